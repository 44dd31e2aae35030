/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Pools and hosts: the rows, their cells, and when they come and go.
 */
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
	if (doc.id.length > 16) /* it may be cut */
		mark(host.row, "title", doc.id);
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
