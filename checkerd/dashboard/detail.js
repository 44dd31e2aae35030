/* SPDX-License-Identifier: BSD-2-Clause
 *
 * All that is known of one host.
 */
const PHASES = ["dns", "connect", "tls", "wait", "rest"];

/* How long each took: they are counted from the probe's start. */
function phases(probe) {
	let end = 0;
	return [probe.dns_us, probe.connect_us, probe.tls_us,
		probe.first_byte_us, probe.total_us].map(us => {
		const spent = Math.max(0, us - end);
		end = Math.max(end, us);
		return spent;
	});
}

function drawProbes(doc) {
	const most = Math.max(1, ...doc.history.map(probe => probe.total_us));
	const list = doc.history.map(probe => {
		const row = make("p");
		const bar = make("span", undefined, "bar");
		phases(probe).forEach((us, i) => {
			const part = make("i");
			part.dataset.phase = PHASES[i];
			part.style.width = `${100 * us / most}%`;
			bar.append(part);
		});
		const outcome = make("code", code(probe));
		outcome.className = PASSES.has(probe.outcome) ? "" : "bad";
		row.append(make("time", time(probe.at)), outcome, bar,
			make("span", duration(probe.total_us), "number"));
		return row;
	});
	if (list.length === 0)
		list.push(make("p", "None yet.", "quiet"));
	$("detail").querySelector(".probes").replaceChildren(...list);
}

function drawList(node, pairs) {
	node.replaceChildren(...pairs.flatMap(
		([name, value]) => [make("dt", name), make("dd", value)]));
}

function facts(doc) {
	const list = [
		["failures in a row", doc.fall
			? `${doc.failcount}, fall = ${doc.fall}`
			: `${doc.failcount}`],
		["passes in a row", doc.rise
			? `${known(doc.passcount)}, rise = ${doc.rise}`
			: known(doc.passcount)],
		["checks say", doc.verdict],
		["weight", weight(doc)],
		["last probe", doc.checked_at ? time(doc.checked_at) : "never"],
		["last change", doc.changed_at ? time(doc.changed_at) : "never"],
		["probes", `${known(doc.probes)}, ${known(doc.failures)} failed, ` +
			`${known(doc.inconclusive)} inconclusive`],
	];
	if (doc.shared > 1)
		list.push(["shared probe", `serves ${doc.shared} hosts`]);
	if (doc.cert_expires_at)
		list.push(["certificate ends", `${time(doc.cert_expires_at)} ` +
			`(${certDays(doc)} days)`]);
	if (doc.tls_verify === false)
		list.push(["TLS", "the certificate is not verified"]);
	if (doc.agent)
		list.push(["agent", [agentText(doc.agent) || "weight 100 %",
			doc.agent.said && `“${doc.agent.said}”`,
			doc.agent.said_at && `at ${time(doc.agent.said_at)}`,
			doc.agent.problem].filter(Boolean).join(" · ")]);
	return list;
}

function drawDetailTimes() {
	const doc = opened.doc, box = $("detail");
	const text = orderText(doc);
	putText(box.querySelector(".since"), doc.changed_at
		? `for ${age(now() - Date.parse(doc.changed_at))}` : "");
	putText(box.querySelector(".order"), text);
	box.querySelector(".order").hidden = !text;
}

function drawDetail() {
	const doc = opened.doc, box = $("detail");
	box.dataset.state = doc.state;
	putText(box.querySelector(".place"), [...new Set(
		[opened.pool.doc.upstream, opened.pool.name])].join(" › "));
	putText($("detail-name"), doc.id);
	putText(box.querySelector(".address"), doc.address === doc.id ? ""
		: doc.address);
	putText(box.querySelector(".state"), doc.state);
	putText(box.querySelector(".why"), `${doc.detail}` +
		(doc.outcome === "NONE" ? "" : ` (${code(doc)})`));
	box.querySelector("[data-order=auto]").hidden = doc.admin === "auto";
	drawProbes(doc);
	drawList(box.querySelector(".facts"), facts(doc));
	drawDetailTimes();
}

function drawSettings(settings) {
	const pairs = Object.entries(settings || {}).filter(
		([, value]) => value !== null && value.length !== 0);
	drawList($("detail").querySelector(".settings"), pairs.map(
		([name, value]) => [name, Array.isArray(value)
			? value.join("\n") : `${value}`]));
}

function renderAccess() {
	const box = $("detail");
	box.querySelector(".actions").hidden = !access.may;
	putText(box.querySelector(".read-only"), access.why);
	box.querySelector(".read-only").hidden = access.may || !access.why;
}

function say(node, text) {
	putText(node, text);
	node.hidden = !text;
}

async function open(host) {
	const box = $("detail");
	opened = host;
	drawSettings(null);
	say(box.querySelector(".problem"), "");
	drawDetail();
	point(host.row);
	if (!box.open)
		box.showModal();
	box.scrollTop = 0;
	await refresh(host);
}
