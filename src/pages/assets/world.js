// The switches that make the world misbehave, and the button that kills.

import { told } from "./live.js";

const at = (id) => document.getElementById(id);
const faults = at("faults");
const answer = at("world-told");
const creates = {
  none: "none",
  status: { status: 500 },
  rate_limited: { rate_limited: { retry_after: 3 } },
  accept_and_never_answer: "accept_and_never_answer",
  accept_and_drop: "accept_and_drop",
  refuse: { refuse: 21408 },
};

/** What is switched on elsewhere stays: only what this form shows is changed. */
function merged(present) {
  const on = (name) => faults.elements[name].checked;
  return {
    ...present,
    twilio: { ...present.twilio, create: creates[faults.elements.create.value] },
    callbacks: { ...present.callbacks, doubled: on("doubled"), shuffled: on("shuffled"), delay_ms: on("late") ? 3000 : 0 },
    media: { ...present.media, status: on("lost") ? 403 : null },
    speech: { ...present.speech, status: on("deaf") ? 400 : null },
    model: { ...present.model, slow_ms: on("slow") ? 5000 : 0, down: on("down") },
  };
}

function show({ twilio, callbacks, media, speech, model }) {
  const create = typeof twilio.create === "string" ? twilio.create : Object.keys(twilio.create)[0];
  if (create in creates) faults.elements.create.value = create;
  const set = (name, value) => { faults.elements[name].checked = value; };
  set("doubled", callbacks.doubled);
  set("shuffled", callbacks.shuffled);
  set("late", callbacks.delay_ms > 0);
  set("lost", media.status !== null);
  set("deaf", speech.status !== null);
  set("slow", model.slow_ms > 0);
  set("down", model.down);
}

async function json(path, options) {
  const response = await fetch(path, options);
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(body.detail ?? response.status);
  return body;
}

async function put(wanted) {
  try {
    const headers = { "content-type": "application/json" };
    show(await json("/_simulator/faults", { method: "PUT", headers, body: JSON.stringify(wanted) }));
    answer.textContent = told("so");
  } catch (error) {
    answer.textContent = told("unchanged", { why: error.message });
  }
}

faults.addEventListener("change", async () => put(merged(await json("/_simulator/faults"))));
faults.addEventListener("reset", (event) => { event.preventDefault(); put({}); });

let last = null, death = "";

/** Says who answers now, and who died. */
async function askChild() {
  try {
    const child = await json("/dev/child");
    if (last && child.pid !== last.pid && child.up) death = told("died", { old: last.pid, new: child.pid });
    if (child.up) last = child;
    const text = !child.up ? told("nobody")
      : death || told("answers", { pid: child.pid });
    if (at("child").textContent !== text) at("child").textContent = text;
  } catch { at("child").textContent = told("unasked"); }
}

at("kill").addEventListener("click", async () => {
  try { await json("/dev/kill", { method: "POST" }); } catch (error) { answer.textContent = told("unkilled", { why: error.message }); }
  askChild();
});

json("/_simulator/faults").then(show).catch((error) => { answer.textContent = told("unread", { why: error.message }); });
askChild();
setInterval(askChild, 700);
