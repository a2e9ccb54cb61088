// The telephone: shows the conversation as it grows, sends what is typed, says how the answer stands.
import { follow, showTimes, told } from "./live.js";

const at = (id) => document.getElementById(id);
const [parties, messages, screen, body, refused] = ["parties", "messages", "screen", "body", "refused"].map(at);
let stop = () => {};
const file = at("file"), seen = new Map(), waited = new Map();
let presentTimer, receivedTimer, handedOver = null;

/** Who writes to whom, by what. */
function chosen() {
  const other = at("contact").value === "other";
  const option = at("contact").selectedOptions[0];
  const channel = parties.elements.channel.value;
  const prefix = channel === "whatsapp" ? "whatsapp:" : "";
  const contact = other ? at("number").value.trim() : option.value;
  const business = at("business").value;
  return {
    contact, business, channel,
    from: prefix + contact,
    to: prefix + business,
    name: other ? null : option.dataset.name,
    possible: !other || at("number").checkValidity() && contact !== "",
  };
}

/** Takes over the messages that are new or changed, and leaves the others alone: a screen reader reads what is new. */
function show(html) {
  const fresh = document.createElement("ol");
  fresh.innerHTML = html;
  const atEnd = screen.scrollHeight - screen.scrollTop - screen.clientHeight < 80;
  const ids = new Set([...fresh.children].map((item) => item.id));
  for (const old of [...messages.children]) if (!ids.has(old.id)) old.remove();
  [...fresh.children].forEach((item, index) => {
    item.dataset.html = item.innerHTML;
    const old = at(item.id);
    if (!old) messages.insertBefore(item, messages.children[index] ?? null);
    else if (old.dataset.html !== item.dataset.html || old.dataset.message !== item.dataset.message) old.replaceWith(item);
  });
  at("nothing").hidden = messages.children.length > 0;
  showTimes(messages);
  if (atEnd) screen.scrollTop = screen.scrollHeight;
  askPresent();
  askReceived();
  askHandoff();
}

/** How the run stands that owes the last message an answer. */
async function askPresent() {
  clearTimeout(presentTimer);
  const pending = at("unanswered");
  if (!pending) return;
  const present = pending.querySelector("[data-present]");
  let again = true, text = told("restarted");
  try {
    const answer = await fetch(`/runs/by-message/${pending.dataset.message}/state`);
    const run = answer.ok ? await answer.json() : undefined;
    if (run === null) text = told("none");
    else if (run) [text, again] = [run.told, !run.final];
    pending.classList.toggle("ended", !again);
  } catch { /* the next look may find it again */ }
  if (present.textContent !== text) present.textContent = text;
  if (again) presentTimer = setTimeout(askPresent, 500);
}

/** Whether people have taken the conversation over. */
async function askHandoff() {
  try {
    const { from, to } = chosen();
    const query = new URLSearchParams({ contact: from, state: "human_handoff" });
    const answer = await fetch(`/api/v1/conversations?${query}`);
    if (answer.ok) handedOver = (await answer.json()).items.find((item) => item.our_address === to)?.id ?? null;
  } catch { /* asked again soon */ }
  at("handoff").hidden = handedOver === null;
}

at("hand-back").addEventListener("click", async () => {
  const answer = await fetch(`/api/v1/conversations/${encodeURIComponent(handedOver)}/hand-back`, { method: "POST" });
  if (!answer.ok) complain(told("kept", { status: answer.status }));
  await askHandoff();
  body.focus();
});

function complain(text) {
  refused.textContent = text;
  refused.hidden = text === "";
}

/** Hands the chosen file to the simulated Twilio. Returns its id, or nothing where none is chosen. */
async function upload() {
  const [chosenFile] = file.files;
  if (!chosenFile) return [];
  const type = chosenFile.type || "application/octet-stream";
  const answer = await fetch("/_simulator/media", { method: "POST", headers: { "content-type": type }, body: chosenFile });
  if (answer.status === 413) throw new Error(told("large"));
  if (!answer.ok) throw new Error(told("untaken", { status: answer.status }));
  return [(await answer.json()).sid];
}

/** Shows under what was attached what the business has of it, once it has. */
async function askReceived() {
  clearTimeout(receivedTimer);
  let again = false;
  for (const place of messages.querySelectorAll("[data-received]")) {
    if (place.childElementCount > 0) continue;
    again = true;
    try {
      const { received: sid } = place.dataset;
      const kept = seen.get(sid);
      const answer = kept ? null : await fetch(`/messages/${sid}/attachments`);
      const html = kept ?? (answer.ok ? await answer.text() : "");
      if (!html.includes("<li>")) continue;
      // What is heard of it is written down a little later than what it is.
      if (place.closest(".bubble").querySelector("audio") === null || html.includes('class="body"')) seen.set(sid, html);
      else if (waited.set(sid, (waited.get(sid) ?? 0) + 1).get(sid) < 10) continue;
      place.innerHTML = html;
    } catch { /* the process is being restarted */ }
  }
  if (again) receivedTimer = setTimeout(askReceived, 700);
}

async function send(spoken = false) {
  const { account } = messages.dataset;
  const { from, to, name, possible } = chosen();
  const text = body.value;
  if (text.trim() === "" && (spoken || file.files.length === 0)) {
    return complain(spoken ? told("voiceless") : "");
  }
  if (!possible) return complain(told("number"));
  complain("");
  body.value = "";
  grow();
  try {
    const media = spoken ? [] : await upload();
    const says = spoken ? { voice: text } : { body: text };
    const answer = await fetch("/_simulator/inbound", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ account, from, to, ...says, media, profile_name: name }),
    });
    const result = await answer.json();
    if (!answer.ok) throw new Error(result.detail);
    if (!spoken) file.value = "";
    const last = result.attempts.at(-1);
    if (!(last?.answer >= 200 && last.answer < 300)) {
      complain(told("webhook", { answer: last?.answer ?? last?.error ?? "–" }));
    }
  } catch (error) {
    if (body.value === "") body.value = text;
    complain(told("unsent", { why: error.message }));
  }
}

function grow() {
  body.rows = Math.min(6, Math.max(1, body.value.split("\n").length));
}

function connect() {
  const { contact, business, channel, possible } = chosen();
  at("other-number").hidden = at("contact").value !== "other";
  const ways = at("business").selectedOptions[0]?.dataset.ways.split(" ") ?? [];
  for (const radio of parties.elements.channel) radio.disabled = !ways.includes(radio.value);
  if (!ways.includes(channel) && ways.length > 0) {
    parties.elements.channel.value = ways[0];
    return connect();
  }
  stop();
  if (!possible) return;
  const query = new URLSearchParams({ contact, business, channel });
  history.replaceState(null, "", `?${query}`);
  stop = follow(`/phone/live?${query}`, (sections) => show(sections.messages));
}

parties.addEventListener("change", connect);
parties.addEventListener("submit", (event) => { event.preventDefault(); connect(); });
at("composer").addEventListener("submit", (event) => { event.preventDefault(); send(); });
at("speak").addEventListener("click", () => send(true));
body.addEventListener("input", grow);
body.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  send();
});
setInterval(askHandoff, 2000);
addEventListener("resize", () => { screen.scrollTop = screen.scrollHeight; });
screen.scrollTop = screen.scrollHeight;
at("nothing").hidden = messages.children.length > 0;
connect();
