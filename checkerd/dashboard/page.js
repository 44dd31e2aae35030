/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The dashboard's script, of which this is the first file: the build puts them
 * together in the order of checkerd/CMakeLists.txt. What they share stands here.
 *
 * One row per host is kept for as long as the host is there, and what changed is
 * written into its text nodes: nothing is laid out anew but cells that differ.
 * What is known comes from GET v1/pools every few seconds while somebody looks,
 * and from GET of a host as soon as an event names it.
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
