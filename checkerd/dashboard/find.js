/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Filter, sort, and what is said of all hosts together.
 */
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
