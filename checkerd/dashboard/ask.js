/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Requests, and whether there is anything to press: that is what OPTIONS says,
 * which takes the same way through proxies as a change would.
 */
class Refusal extends Error {
	constructor(status, error) {
		super(error && error.message || `the answer was ${status}`);
		this.status = status;
		this.code = error && error.code;
		this.key = error && error.key;
	}
}

/* Beside the page, and without a password that its own address may have. */
const address = path => new URL(path, location.origin + location.pathname);

const hostPath = host =>
	`v1/pools/${encodeURIComponent(host.pool.doc.name)}/hosts/` +
	encodeURIComponent(host.doc.id);

async function ask(method, path, change, headers = {}) {
	const form = { method, headers, cache: "no-store",
		signal: AbortSignal.timeout(20000) };
	if (change) {
		form.body = JSON.stringify(change);
		headers["Content-Type"] = "application/json";
	}
	const answer = await fetch(address(path), form);
	const date = Date.parse(answer.headers.get("Date"));
	if (date)
		skewMs = Math.abs(date - Date.now()) > 3000
			? date - Date.now() : 0;
	let content = null;
	try {
		content = await answer.json();
	} catch (error) {
		if (answer.ok)
			throw error;
	}
	if (!answer.ok)
		throw new Refusal(answer.status, content && content.error);
	return { content, etag: answer.headers.get("ETag") };
}

/* Asked without a password first, so that nobody is asked for one who only
 * looks: what needs it may be all that is here, or changes alone. */
async function askForOptions() {
	const form = { method: "OPTIONS", credentials: "omit" };
	const answer = await fetch(address("v1/pools/-/hosts/-"), form);
	if (answer.status !== 401)
		return answer;
	const page = await fetch(address("app.js"),
		{ ...form, method: "HEAD" });
	return page.status !== 401 ? answer
		: fetch(address("v1/pools/-/hosts/-"), { method: "OPTIONS" });
}

async function learnAccess() {
	let may = false, why = "";
	try {
		const answer = await askForOptions();
		const allowed = answer.headers.get("Allow") || "";
		const text = await answer.text();
		may = answer.status === 401 ||
			answer.ok && allowed.includes("PATCH");
		if (answer.ok)
			why = "Read-only here: changes go through " +
				"checkerd’s control socket.";
		else if (text.includes("foreign_origin"))
			why = "Read-only here: the proxy in front does not " +
				"pass on the Host header.";
		else
			why = "Read-only here: the proxy in front refuses " +
				"changes.";
	} catch (error) {
		/* the next answer of checkerd has us ask again */
	}
	access = { may, why: may ? "" : why };
	renderAccess();
}
