/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What comes in: documents now and then, events as they happen.
 */
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
	if (!stream && !document.hidden)
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
