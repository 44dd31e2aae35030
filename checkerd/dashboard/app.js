/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Keyboard and clicks, and the start.
 */
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
		/* else it is open again, for another host */
		if (!detail.open)
			opened = null;
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
