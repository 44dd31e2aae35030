/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Changes, each made only to the host as it was seen: If-Match has whoever was
 * slower look again.
 */
const ORDERS = {
	down: ["Take down", "It gets no new requests, whatever its checks say."],
	drain: ["Drain", "It gets no new requests; those in flight finish."],
	auto: ["Leave to checks", "The order ends; its checks decide again."],
	up: ["Mark up", "The order ends, its failures are forgotten, and it is " +
		"up until its checks fail again."],
	weight: ["Set weight", "Its share of the requests."],
};

async function openOrder(kind) {
	const box = $("order"), form = box.querySelector("form");
	const host = opened;
	const [verb, explanation] = ORDERS[kind];
	order = { kind, host, etag: host.etag };
	putText($("order-title"), `${verb}: ${host.key}`);
	putText(box.querySelector(".explanation"), explanation);
	putText(box.querySelector(".do"), verb);
	mark(box.querySelector(".do"), "data-order", kind);
	say(box.querySelector(".problem"), "");
	for (const name of ["reason", "for", "weight"]) {
		const wanted = name === "weight" ? kind === "weight"
			: name === "for" ? kind === "down" || kind === "drain"
			: true;
		form.elements[name].value = name === "weight"
			? known(host.doc.weight) : "";
		form.elements[name].disabled = !wanted;
		form.elements[name].parentNode.hidden = !wanted;
	}
	box.showModal();
	form.elements[kind === "weight" ? "weight" : "reason"].focus();
}

function whatIsMeant(form) {
	const change = order.kind === "weight"
		? { weight: form.elements.weight.valueAsNumber }
		: { admin: order.kind };
	if (form.elements.reason.value)
		change.reason = form.elements.reason.value;
	if (!form.elements.for.disabled && form.elements.for.value.trim())
		change.for = form.elements.for.value.trim();
	return change;
}

async function sendOrder(form) {
	const { host, etag, kind } = order, button = form.querySelector(".do");
	const problem = form.querySelector(".problem");
	say(problem, "");
	button.disabled = true;
	try {
		const askedAt = performance.now();
		const answer = await ask("PATCH", hostPath(host),
			whatIsMeant(form), etag ? { "If-Match": etag } : {});
		take(host, answer, askedAt);
		$("order").close();
		notify(`${host.key}: ${ORDERS[kind][0].toLowerCase()}, done`);
	} catch (error) {
		say(problem, await complaint(error, host));
	}
	button.disabled = false;
}

async function complaint(error, host) {
	if (error.status === 412) {
		await refresh(host);
		order.etag = host.etag;
		return "Somebody else changed it meanwhile. " +
			(orderText(host.doc) || "Its checks decide now") +
			`; weight ${weight(host.doc)}. Send it again to overrule that.`;
	}
	if (error.status === 403 || error.status === 405)
		learnAccess();
	if (error instanceof Refusal)
		return (error.key ? `${error.key}: ` : "") + error.message;
	return "checkerd does not answer; whether it was done is not known.";
}

async function probe(host, button) {
	const problem = $("detail").querySelector(".problem");
	const word = button.textContent;
	say(problem, "");
	button.disabled = true;
	button.textContent = "Probing …";
	try {
		const askedAt = performance.now();
		take(host, await ask("POST", `${hostPath(host)}/probe`), askedAt);
	} catch (error) {
		say(problem, await complaint(error, host));
	}
	button.textContent = word;
	button.disabled = false;
}

let noticeTimer = 0;

function notify(text) {
	say($("notice"), text);
	clearTimeout(noticeTimer);
	noticeTimer = setTimeout(() => say($("notice"), ""), 4000);
}
