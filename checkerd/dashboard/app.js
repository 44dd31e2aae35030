/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The dashboard's script.  It keeps one row per host for as long as the host
 * is there, and writes into a row's text nodes what has changed: nothing is
 * laid out anew but the cells that differ.
 *
 * What is known comes from GET v1/pools every few seconds while somebody
 * looks, and from GET of a host as soon as the stream of events names it.
 * Whether there is something to press is what OPTIONS says, which takes the
 * same way through proxies as a change would.
 *
 * No text from the server is ever parsed as HTML; the page's policy holds the
 * script to that.
 */
"use strict";

const POLL_MS = 5000;
const RETRY_MS = 2000;
const EVENTS_SHOWN = 200;
const CERT_WARN_DAYS = 14;

const STATES = ["down", "drain", "checking", "unknown", "up"]; /* worst first */
const PASSES = new Set(["L7OK", "L4OK", "L6OK"]);
const EVENT_WORDS = {
	host_up: ["up", "up"],
	host_down: ["down", "down"],
	host_drain: ["drain", "drain"],
	cert_expiring: ["warn", "certificate ends soon"],
	panic_on: ["warn", "panic: health is ignored"],
	panic_off: ["up", "panic is over"],
};

const $ = id => document.getElementById(id);
const body = document.body;

const pools = new Map(); /* by name */
const hosts = new Map(); /* by POOL/ID: a pool's name has no slash */
const dirty = new Set(); /* hosts to be asked for */

let access = { may: false, why: "" };
let segment = null;
let skewMs = 0; /* the server's clock less ours, if they differ a lot */
let lostAt = 0; /* since when nobody answers */
let staleFor = 0;
let stream = null;
let lastSeq = 0;
let filterWords = [];
let filterState = "";
let sortBy = "";
let current = null; /* the host that has the keyboard */
let opened = null; /* the host whose detail is shown */
let order = null; /* what is being asked for */

/* --- words ---------------------------------------------------------------- */

const now = () => Date.now() + skewMs;

function age(ms) {
	const s = Math.max(0, Math.floor(ms / 1000));
	if (s < 60)
		return `${s} s`;
	if (s < 3600)
		return `${Math.floor(s / 60)} m`;
	if (s < 172800)
		return `${Math.floor(s / 3600)} h`;
	return `${Math.floor(s / 86400)} d`;
}

function left(ms) {
	const s = Math.max(0, Math.round(ms / 1000));
	if (s < 60)
		return `${s} s`;
	if (s < 3600)
		return `${Math.floor(s / 60)} m ${s % 60} s`;
	if (s < 86400)
		return `${Math.floor(s / 3600)} h ${Math.floor(s % 3600 / 60)} m`;
	return `${Math.floor(s / 86400)} d ${Math.floor(s % 86400 / 3600)} h`;
}

function duration(us) {
	if (us === null || us === undefined)
		return "–";
	if (us < 9950)
		return `${(us / 1000).toFixed(1)} ms`;
	if (us < 999500)
		return `${Math.round(us / 1000)} ms`;
	return `${(us / 1e6).toFixed(2)} s`;
}

const clock = new Intl.DateTimeFormat(undefined, {
	hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const calendar = new Intl.DateTimeFormat(undefined, {
	year: "numeric", month: "short", day: "numeric" });

function time(at) {
	const date = new Date(at);
	if (isNaN(date))
		return "–";
	const near = Math.abs(now() - date) < 20 * 3600e3;
	return near ? clock.format(date)
		: `${calendar.format(date)}, ${clock.format(date)}`;
}

const plural = (n, noun) => `${n} ${noun}${n === 1 ? "" : "s"}`;
const known = value => value === null || value === undefined ? "–" : `${value}`;
const fails = doc => doc.fall ? `${doc.failcount}/${doc.fall}`
	: `${doc.failcount}`;
const code = doc => doc.http_status ? `${doc.outcome} ${doc.http_status}`
	: doc.outcome;
const weight = doc => doc.weight !== null && doc.effective_weight !== doc.weight
	? `${+doc.effective_weight.toFixed(2)} of ${doc.weight}`
	: known(doc.weight);

function certDays(doc) {
	return doc.cert_expires_at === null ? null
		: Math.floor((Date.parse(doc.cert_expires_at) - now()) / 86400e3);
}

function orderText(doc) {
	if (doc.admin === "auto")
		return "";
	return `Ordered ${doc.admin}` + (doc.reason ? `: ${doc.reason}` : "") +
		(doc.until ? ` (${left(Date.parse(doc.until) - now())} left)` : "");
}

function agentText(agent) {
	const parts = [];
	if (agent.order)
		parts.push(`agent says ${agent.order}`);
	if (agent.weight_percent !== 100)
		parts.push(`agent ${agent.weight_percent} %`);
	if (agent.missed > 0)
		parts.push(`agent silent ×${agent.missed}`);
	return parts.join(", ");
}

/* --- the page's nodes ----------------------------------------------------- */

function make(tag, text, className) {
	const node = document.createElement(tag);
	if (text !== undefined)
		node.textContent = text;
	if (className)
		node.className = className;
	return node;
}

/* `node` is a text node. */
function put(node, text) {
	if (node.data !== text)
		node.data = text;
}

function putText(node, text) {
	if (node.textContent !== text)
		node.textContent = text;
}

function mark(node, name, value) {
	if (node.getAttribute(name) !== value)
		node.setAttribute(name, value);
}

/* --- asking --------------------------------------------------------------- */

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

/* --- pools and hosts ------------------------------------------------------ */

function addPool(name) {
	const node = $("pool").content.firstElementChild.cloneNode(true);
	const head = node.querySelector("div");
	const pool = { name, node, hosts: [], doc: null, upstream: null,
		title: head.querySelector("h3").firstChild,
		facts: head.querySelector(".facts").firstChild,
		up: head.querySelector(".up").firstChild,
		panic: head.querySelector(".panic"),
		share: head.querySelector(".now") };
	pools.set(name, pool);
	return pool;
}

function addHost(key, pool) {
	const row = $("row").content.firstElementChild.cloneNode(true);
	const [state, name, why, since, failed, latency, share, cert] =
		row.children;
	const host = { key, pool, row, doc: null, etag: null, askedAt: 0,
		extra: "",
		state: state.lastChild.firstChild,
		id: name.firstChild.firstChild,
		address: name.lastChild.firstChild,
		whyBox: why, why: why.firstChild.firstChild,
		code: why.lastChild.firstChild,
		since: since.firstChild,
		failsBox: failed, fails: failed.firstChild,
		pass: latency.firstChild.firstChild,
		fail: latency.firstChild.lastChild,
		latency: latency.lastChild.firstChild,
		weight: share.firstChild,
		certBox: cert, cert: cert.firstChild };
	row.host = host;
	hosts.set(key, host);
	return host;
}

/* A bar for each probe that passed, a cross for those that failed; the newest
 * at the right. */
function drawLatency(host) {
	const history = host.doc.history;
	let most = 1000, pass = "", fail = "";
	for (const probe of history)
		most = Math.max(most, probe.total_us);
	history.forEach((probe, i) => {
		const x = 60 - 8 * i;
		const height = 2 + 18 * probe.total_us / most;
		if (PASSES.has(probe.outcome))
			pass += `M${x} 20V${(20 - height).toFixed(1)}`;
		else if (probe.outcome !== "INCONCL")
			fail += `M${x - 2.5} 20l5-5m0 5l-5-5`;
	});
	mark(host.pass, "d", pass);
	mark(host.fail, "d", fail);
}

/* What few hosts have. */
function drawTags(host) {
	const doc = host.doc, tags = [];
	if (doc.agent && agentText(doc.agent))
		tags.push(["agent", agentText(doc.agent)]);
	if (doc.tls_verify === false)
		tags.push(["warn", "TLS unverified"]);
	if (doc.shared > 1)
		tags.push(["", `shared ×${doc.shared}`]);
	const key = tags.join("|");
	if (key === host.extra)
		return;
	host.extra = key;
	for (const old of host.whyBox.querySelectorAll(".tag"))
		old.remove();
	for (const [kind, text] of tags)
		host.whyBox.append(make("em", text, `tag ${kind}`));
}

function drawTimes(host) {
	const doc = host.doc;
	put(host.since, doc.changed_at ? age(now() - Date.parse(doc.changed_at))
		: "–");
	put(host.why, orderText(doc) || doc.detail);
}

function drawHost(host) {
	const doc = host.doc, days = certDays(doc);
	mark(host.row, "data-state", doc.state);
	mark(host.row, "data-admin", doc.admin);
	put(host.state, doc.state);
	put(host.id, doc.id);
	put(host.address, doc.address === doc.id ? "" : doc.address);
	put(host.code, doc.outcome === "NONE" ? "" : code(doc));
	put(host.fails, fails(doc));
	mark(host.failsBox, "data-some", doc.failcount > 0 ? "yes" : "no");
	put(host.latency, duration(doc.latency_us));
	put(host.weight, weight(doc));
	put(host.cert, days === null ? "" : days < 0 ? "expired" : `${days} d`);
	mark(host.certBox, "data-near",
		days !== null && days < CERT_WARN_DAYS ? "yes" : "no");
	drawLatency(host);
	drawTags(host);
	drawTimes(host);
	host.words = null;
}

function setHost(pool, doc, askedAt) {
	const key = `${pool.name}/${doc.id}`;
	const host = hosts.get(key) || addHost(key, pool);
	if (askedAt < host.askedAt)
		return host; /* an older answer came later */
	host.askedAt = askedAt;
	host.pool = pool;
	host.doc = doc;
	drawHost(host);
	if (opened === host)
		drawDetail();
	return host;
}

function drawPool(pool) {
	const doc = pool.doc;
	const up = pool.hosts.filter(host => host.doc.state === "up").length;
	const total = pool.hosts.length;
	put(pool.title, doc.name);
	put(pool.facts, `priority ${doc.priority} · ` +
		doc.balance.replaceAll("_", " "));
	put(pool.up, `${up} of ${total} up`);
	mark(pool.share, "d", up ? `M0 2H${(100 * up / total).toFixed(1)}` : "");
	mark(pool.node, "data-health", up === total ? "full"
		: up ? "part" : "none");
	pool.panic.hidden = !doc.panic;
}

function placeUpstreams(names) {
	let at = $("columns").nextElementSibling;
	for (const upstream of new Set(names.map(n => pools.get(n).doc.upstream))) {
		let section = [...$("fleet").children].find(
			node => node.upstream === upstream);
		if (!section) {
			section = make("section", undefined, "upstream");
			section.upstream = upstream;
			section.append(make("h2", upstream));
		}
		if (section !== at)
			$("fleet").insertBefore(section, at);
		else
			at = at.nextElementSibling;
		let after = section.firstChild;
		for (const name of names) {
			const pool = pools.get(name);
			if (pool.doc.upstream !== upstream)
				continue;
			if (after.nextSibling !== pool.node)
				after.after(pool.node);
			after = pool.node;
		}
	}
	for (const section of document.querySelectorAll(".upstream"))
		if (!section.querySelector(".pool"))
			section.remove();
}

function setFleet(status, askedAt) {
	const first = pools.size === 0;
	const names = [], seen = new Set();
	performance.clearMeasures("fleet");
	performance.mark("fleet");
	segment = status.segment;
	for (const doc of status.pools) {
		const pool = pools.get(doc.name) || addPool(doc.name);
		pool.doc = doc;
		pool.hosts = doc.hosts.map(host => setHost(pool, host, askedAt));
		doc.hosts = null;
		for (const host of pool.hosts)
			seen.add(host.key);
		names.push(doc.name);
	}
	for (const [key, host] of hosts)
		if (!seen.has(key)) {
			host.row.remove();
			hosts.delete(key);
			if (opened === host)
				$("detail").close();
		}
	for (const [name, pool] of pools)
		if (!names.includes(name)) {
			pool.node.remove();
			pools.delete(name);
		}
	arrangeRows();
	placeUpstreams(names);
	settle();
	drawSummary();
	if (first)
		performance.measure("first fleet", "fleet");
	performance.measure("fleet", "fleet");
}

/* --- filter and sort ------------------------------------------------------ */

const RANK = Object.fromEntries(STATES.map((state, i) => [state, i]));
const latest = host => Date.parse(host.doc.changed_at) || 0;
const COMPARE = {
	state: (a, b) => RANK[a.doc.state] - RANK[b.doc.state],
	since: (a, b) => latest(b) - latest(a),
	latency: (a, b) => (b.doc.latency_us || 0) - (a.doc.latency_us || 0),
	fails: (a, b) => b.doc.failcount - a.doc.failcount,
	cert: (a, b) => (Date.parse(a.doc.cert_expires_at) || Infinity) -
		(Date.parse(b.doc.cert_expires_at) || Infinity) || 0,
	host: (a, b) => a.doc.id.localeCompare(b.doc.id, undefined,
		{ numeric: true }),
};

function isShown(host) {
	const doc = host.doc;
	if (filterState && (filterState === "!up" ? doc.state === "up"
		: doc.state !== filterState))
		return false;
	if (filterWords.length === 0)
		return true;
	host.words = host.words || [doc.id, doc.address, host.pool.name,
		host.pool.doc.upstream, doc.state, doc.outcome, doc.http_status,
		doc.detail, doc.reason].join("\n").toLowerCase();
	return filterWords.every(word => host.words.includes(word));
}

function arrangeRows() {
	for (const pool of pools.values()) {
		const sorted = sortBy ? [...pool.hosts].sort(COMPARE[sortBy])
			: pool.hosts;
		let after = pool.node.firstElementChild, some = false;
		for (const host of sorted) {
			const hidden = !isShown(host);
			if (host.row.hidden !== hidden)
				host.row.hidden = hidden;
			if (after.nextSibling !== host.row)
				after.after(host.row);
			after = host.row;
			some = some || !hidden;
		}
		if (pool.node.hidden === some)
			pool.node.hidden = !some;
	}
}

function arrange() {
	arrangeRows();
	settle();
}

/* What follows from which rows are shown. */
function settle() {
	const first = visibleRows().next().value;
	for (const section of document.querySelectorAll(".upstream"))
		section.hidden = !section.querySelector(".pool:not([hidden])");
	$("nothing").hidden = first !== undefined;
	putText($("nothing"), hosts.size === 0
		? "No hosts are configured." : "No host matches.");
	if (!current || current.row.hidden || !hosts.has(current.key))
		point(first);
}

function* visibleRows() {
	for (const row of document.querySelectorAll(".row"))
		if (!row.hidden)
			yield row;
}

function drawSummary() {
	const counts = { "": hosts.size, "!up": 0 };
	for (const state of STATES)
		counts[state] = 0;
	for (const host of hosts.values())
		counts[host.doc.state]++;
	counts["!up"] = hosts.size - counts.up;
	for (const pool of pools.values())
		drawPool(pool);
	for (const button of $("states").children) {
		const state = button.dataset.state;
		putText(button.lastChild, `${counts[state]}`);
		button.hidden = counts[state] === 0 && state !== "" &&
			state !== "up" && state !== "down" &&
			state !== filterState;
		mark(button, "aria-pressed", `${state === filterState}`);
	}
	const upstreams = new Set([...pools.values()].map(p => p.doc.upstream));
	putText($("summary"), `${plural(hosts.size, "host")} in ` +
		`${plural(pools.size, "pool")} of ` +
		`${plural(upstreams.size, "upstream")}`);
	putText($("segment"), segment ? `generation ${segment.generation} · ` +
		`running since ${time(segment.started_at)} · pid ` +
		segment.writer_pid : "");
	document.title = counts.down ? `(${counts.down} down) checkerd`
		: "checkerd";
	drawBanners();
}

function banner(id, text) {
	let node = $(id);
	if (!text) {
		if (node)
			node.remove();
		return;
	}
	if (!node) {
		node = make("p");
		node.id = id;
		$("banners").append(node);
	}
	putText(node, text);
}

function drawBanners() {
	const panics = [...pools.values()].filter(pool => pool.doc.panic)
		.map(pool => pool.name);
	banner("b-lost", lostAt ? "checkerd does not answer since " +
		`${clock.format(new Date(lostAt))}. What is shown is from then.` : "");
	banner("b-stale", staleFor && !lostAt ? "checkerd gives no sign of life " +
		`for ${age(staleFor)}: states are not being updated.` : "");
	banner("b-panic", panics.length ? "Too few hosts are up in " +
		`${panics.join(", ")}: requests go to all of them, ` +
		"whatever their health." : "");
	body.classList.toggle("old", lostAt > 0 || staleFor > 0);
}

/* --- the detail of a host ------------------------------------------------- */

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

/* --- changes -------------------------------------------------------------- */

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
			: kind !== "weight";
		form.elements[name].value = name === "weight"
			? known(host.doc.weight) : "";
		form.elements[name].disabled = !wanted;
		form.elements[name].parentNode.hidden = !wanted;
	}
	box.showModal();
	form.elements[kind === "weight" ? "weight" : "reason"].focus();
}

function whatIsMeant(form) {
	if (order.kind === "weight")
		return { weight: form.elements.weight.valueAsNumber };
	const change = { admin: order.kind };
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

/* --- what comes in -------------------------------------------------------- */

/* The answer to a request for one host. */
function take(host, answer, askedAt) {
	const { settings, ...doc } = answer.content;
	host.etag = answer.etag;
	setHost(host.pool, doc, askedAt);
	if (opened === host)
		drawSettings(settings);
	arrange();
	drawSummary();
}

async function refresh(host) {
	const askedAt = performance.now();
	try {
		take(host, await ask("GET", hostPath(host)), askedAt);
	} catch (error) {
		if (error.status === 404)
			soon(); /* it went */
	}
}

let pollTimer = 0, polling = false, again = false;

function soon() {
	again = polling;
	if (!polling)
		poll();
}

async function poll() {
	const askedAt = performance.now();
	let wait = POLL_MS;
	clearTimeout(pollTimer);
	polling = true;
	again = false;
	try {
		const { content } = await ask("GET", "v1/pools");
		const tookMs = performance.now() - askedAt;
		/* a large fleet is not asked for all the time */
		wait = Math.max(POLL_MS, 20 * tookMs);
		if (lostAt || !access.why && !access.may)
			learnAccess();
		lostAt = 0;
		staleFor = content.segment.stale
			? content.segment.heartbeat_age_ms || 1 : 0;
		setFleet(content, askedAt);
		if (opened)
			await refresh(opened);
		await askReaders();
	} catch (error) {
		lostAt = lostAt || Date.now();
		wait = RETRY_MS;
		drawBanners();
	}
	polling = false;
	if (!stream)
		listen();
	if (!document.hidden)
		pollTimer = setTimeout(poll, again ? 0 : wait);
}

let hasReaders = true;

async function askReaders() {
	if (!hasReaders)
		return;
	try {
		const answer = await ask("GET", "v1/readers");
		const list = answer.content.readers.map(reader => {
			const item = make("li");
			const agoMs = now() - Date.parse(reader.seen_at);
			item.append(make("b", `nginx ${reader.nginx}`),
				make("span", `pid ${reader.pid}`),
				make("span", reader.behind > 0
					? `${plural(reader.behind, "event")} behind`
					: "up to date"),
				make("span", agoMs > 30000
					? `seen ${age(agoMs)} ago` : ""));
			return item;
		});
		$("readers").hidden = list.length === 0;
		$("readers").lastElementChild.replaceChildren(...list);
	} catch (error) {
		hasReaders = error.status !== 404;
		$("readers").hidden = true;
	}
}

/* --- events --------------------------------------------------------------- */

let arrived = [], drawing = false;

function eventNode(event) {
	const [shape, words] = EVENT_WORDS[event.event] || ["", event.event];
	const item = make("li"), what = make("span", undefined, "what");
	const place = event.host ? `${event.pool}/${event.host}` : event.pool;
	item.dataset.state = shape;
	item.append(make("time", time(event.at)), make("i", undefined, "shape"),
		what);
	if (event.host) {
		const name = make("button", place, "name");
		name.dataset.key = place;
		what.append(name);
	} else {
		what.append(make("b", place));
	}
	what.append(make("span", ` ${words} `));
	if (event.outcome)
		what.append(make("code", code(event)));
	if (event.reason)
		what.append(make("q", event.reason));
	return item;
}

function drawEvents() {
	const list = $("events");
	const nodes = arrived.splice(0).slice(-EVENTS_SHOWN).map(eventNode);
	drawing = false;
	list.prepend(...nodes.reverse());
	while (list.children.length > EVENTS_SHOWN)
		list.lastChild.remove();
	$("no-events").hidden = list.children.length > 0;
}

function show(event) {
	arrived.push(event);
	if (drawing)
		return;
	drawing = true;
	setTimeout(drawEvents, 30);
}

let dirtyTimer = 0;

function askForDirty() {
	const list = [...dirty].map(key => hosts.get(key));
	dirty.clear();
	dirtyTimer = 0;
	if (list.length > 8 || list.includes(undefined))
		soon();
	else
		list.forEach(refresh);
}

function onEvent(message) {
	const event = JSON.parse(message.data);
	if (event.seq <= lastSeq) { /* another sequence has begun */
		arrived = [];
		$("events").replaceChildren();
	}
	lastSeq = event.seq;
	show(event);
	if (event.event.startsWith("panic"))
		soon();
	else if (Date.parse(event.at) > now() - 60000)
		dirty.add(`${event.pool}/${event.host}`);
	if (dirty.size > 0 && !dirtyTimer)
		dirtyTimer = setTimeout(askForDirty, 50);
}

function setLink(state, text) {
	$("link").dataset.link = state;
	putText($("link").lastChild, text);
}

function listen() {
	const source = new EventSource(address(lastSeq > 0
		? `v1/events?since=${lastSeq}`
		: `v1/events?newest=${EVENTS_SHOWN}`));
	stream = source;
	source.onopen = () => setLink("live", "live");
	source.onerror = () => {
		setLink("lost", "reconnecting");
		if (source.readyState !== EventSource.CLOSED)
			return; /* it tries again by itself */
		stream = null; /* so does the next poll */
	};
	for (const name of Object.keys(EVENT_WORDS))
		source.addEventListener(name, onEvent);
	source.addEventListener("lost", soon);
}

/* A stream is one of the few connections that a browser has for a site: a
 * page that nobody sees must not hold one. */
function onVisibility() {
	clearTimeout(pollTimer);
	if (!document.hidden) {
		soon();
		return;
	}
	if (stream)
		stream.close();
	stream = null;
	setLink("paused", "paused");
}

/* --- keyboard and clicks -------------------------------------------------- */

function point(row) {
	if (current)
		current.row.tabIndex = -1;
	current = row ? row.host : null;
	if (row)
		row.tabIndex = 0;
}

function move(step) {
	const rows = [...visibleRows()];
	const focused = document.activeElement;
	const at = rows.indexOf(focused);
	const to = at >= 0
		? Math.min(rows.length - 1, Math.max(0, at + step))
		: current && focused !== $("filter") ? rows.indexOf(current.row)
		: 0;
	if (!rows[to])
		return;
	point(rows[to]);
	rows[to].focus();
	rows[to].scrollIntoView({ block: "nearest" });
}

const KEYS = {
	ArrowDown: () => move(1), j: () => move(1),
	ArrowUp: () => move(-1), k: () => move(-1),
	PageDown: () => move(10), PageUp: () => move(-10),
	Home: () => move(-Infinity), End: () => move(Infinity),
	"/": () => $("filter").focus(),
};

function onKey(event) {
	const target = event.target;
	if (event.ctrlKey || event.altKey || event.metaKey ||
	    document.querySelector("dialog[open]"))
		return;
	if (event.key === "Escape") {
		if ($("filter").value || filterState) {
			$("filter").value = "";
			filterState = "";
			onFilter();
		}
		if (target === $("filter"))
			target.blur();
		return;
	}
	if (event.key === "Enter" && target.host) {
		event.preventDefault();
		open(target.host);
		return;
	}
	if (target.matches("input, select") &&
	    !(target === $("filter") && event.key === "ArrowDown"))
		return;
	if (target.matches("select, #events *"))
		return;
	if (KEYS[event.key]) {
		event.preventDefault();
		KEYS[event.key]();
	}
}

function onFilter() {
	filterWords = $("filter").value.toLowerCase().split(/\s+/)
		.filter(Boolean);
	arrange();
	drawSummary();
}

function onSort(by) {
	sortBy = by;
	$("sort").value = by;
	for (const button of document.querySelectorAll("[data-sort]"))
		mark(button, "aria-pressed", `${button.dataset.sort === by}`);
	arrange();
}

function onView(view) {
	body.dataset.view = view;
	for (const button of document.querySelectorAll("[data-view]"))
		if (button !== body)
			mark(button, "aria-pressed",
				`${button.dataset.view === view}`);
}

function addStates() {
	const words = [["", "All"], ["!up", "Not up"],
		...STATES.map(state => [state, state])];
	for (const [state, word] of words) {
		const button = make("button");
		button.dataset.state = state;
		if (STATES.includes(state))
			button.append(make("i", undefined, "shape"));
		button.append(make("span", word), make("b", "0"));
		button.onclick = () => {
			filterState = state === filterState ? "" : state;
			arrange();
			drawSummary();
		};
		$("states").append(button);
	}
}

function bind() {
	const detail = $("detail"), orderBox = $("order");
	addStates();
	$("filter").oninput = onFilter;
	$("sort").onchange = event => onSort(event.target.value);
	for (const button of document.querySelectorAll("[data-sort]"))
		button.onclick = () => onSort(button.dataset.sort === sortBy
			? "" : button.dataset.sort);
	for (const button of document.querySelectorAll(".tabs button"))
		button.onclick = () => onView(button.dataset.view);
	$("fleet").onclick = event => {
		const row = event.target.closest(".row");
		if (row && getSelection().isCollapsed)
			open(row.host);
	};
	$("events").onclick = event => {
		const host = hosts.get(event.target.dataset.key);
		if (host)
			open(host);
	};
	document.addEventListener("keydown", onKey);
	document.addEventListener("visibilitychange", onVisibility);
	detail.onclick = event => {
		const kind = event.target.dataset.order;
		if (event.target === detail || event.target.closest(".close"))
			detail.close();
		else if (kind === "probe")
			probe(opened, event.target);
		else if (kind)
			openOrder(kind);
	};
	detail.onclose = () => {
		if (detail.open)
			return; /* for another host, before we were told */
		opened = null;
		if (current)
			current.row.focus();
	};
	orderBox.querySelector(".cancel").onclick = () => orderBox.close();
	orderBox.querySelector("form").onsubmit = event => {
		event.preventDefault();
		sendOrder(event.target);
	};
}

function tick() {
	if (document.hidden)
		return;
	for (const host of hosts.values())
		if (!host.row.hidden)
			drawTimes(host);
	if (opened)
		drawDetailTimes();
}

onView("hosts");
bind();
poll();
setInterval(tick, 1000);
