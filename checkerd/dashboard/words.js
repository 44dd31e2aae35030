/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What people read, from what documents hold.
 */
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
