// The switches that make the world misbehave, and the button that kills.

const at = (id) => document.getElementById(id);
const faults = at("faults");
const told = at("world-told");
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
  const answer = await fetch(path, options);
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(body.detail ?? answer.status);
  return body;
}

async function put(wanted) {
  try {
    const headers = { "content-type": "application/json" };
    show(await json("/_simulator/faults", { method: "PUT", headers, body: JSON.stringify(wanted) }));
    told.textContent = "It is so from now on.";
  } catch (error) {
    told.textContent = `Not changed: ${error.message}`;
  }
}

faults.addEventListener("change", async () => put(merged(await json("/_simulator/faults"))));
faults.addEventListener("reset", (event) => { event.preventDefault(); put({}); });

let last = null, death = "";

/** Says who answers now, and who died. */
async function askChild() {
  try {
    const child = await json("/dev/child");
    if (last && child.pid !== last.pid && child.up) death = `process ${last.pid} died; process ${child.pid} took over`;
    if (child.up) last = child;
    const text = !child.up ? "no process answers; the next one starts"
      : death || `process ${child.pid} answers`;
    if (at("child").textContent !== text) at("child").textContent = text;
  } catch { at("child").textContent = "cannot be asked"; }
}

at("kill").addEventListener("click", async () => {
  try { await json("/dev/kill", { method: "POST" }); } catch (error) { told.textContent = `Not killed: ${error.message}`; }
  askChild();
});

json("/_simulator/faults").then(show).catch((error) => { told.textContent = `Cannot be read: ${error.message}`; });
askChild();
setInterval(askChild, 700);
