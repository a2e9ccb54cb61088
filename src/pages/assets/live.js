// Every page: replaces what changed on a followed page, shows time as a person says it, asks before a change.

const units = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
const relative = new Intl.RelativeTimeFormat(document.documentElement.lang, { numeric: "auto", style: "short" });

/** What scripts say, in the page's language: the page holds it as `data-say-…`, with `{name}` where something is given. */
export function told(what, given = {}) {
  const name = `say${what[0].toUpperCase()}${what.slice(1)}`;
  const holder = [...document.querySelectorAll("[data-words]")].find((element) => name in element.dataset);
  return (holder?.dataset[name] ?? what).replace(/\{(\w+)\}/g, (_, key) => given[key] ?? "");
}

/** "12 sec. ago", "in 3 min." */
function relativeTo(now, then) {
  const seconds = Math.round((then - now) / 1000);
  if (Math.abs(seconds) < 1) return relative.format(0, "second");
  const [unit, size] = units.find(([, size]) => Math.abs(seconds) >= size);
  return relative.format(Math.trunc(seconds / size), unit);
}

/** Writes every point in time on the page anew. */
export function showTimes(root = document) {
  const now = Date.now();
  for (const time of root.querySelectorAll("time[data-show]")) {
    const then = new Date(time.dateTime);
    const text = time.dataset.show === "local"
      ? then.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" })
      : relativeTo(now, then);
    if (time.textContent !== text) time.textContent = text;
  }
}

const chosen = (field) => field.type === "radio" || field.type === "checkbox";

/** Puts what a person typed or chose in `element`, and did not send yet, into what stands there by then. */
function keepTyped(element) {
  const kept = [...element.querySelectorAll("[id] :is(input, textarea)[name]")]
    .filter((field) => chosen(field) ? field.checked !== field.defaultChecked : field.value !== field.defaultValue)
    .map((field) => {
      const within = field.parentElement.closest("[id]").id;
      const path = `#${CSS.escape(within)} [name="${CSS.escape(field.name)}"]`;
      return [chosen(field) ? `${path}[value="${CSS.escape(field.value)}"]` : path, field];
    });
  return () => {
    for (const [path, field] of kept) {
      const now = element.querySelector(path);
      if (now) [now.value, now.checked] = [field.value, field.checked];
    }
  };
}

/** Puts `html` into `element`; what was open or typed stays so, and the keyboard stays where it was. */
function replace(element, html) {
  const typed = keepTyped(element);
  const open = [...element.querySelectorAll("details[open][id]")].map((details) => details.id);
  const focused = element.contains(document.activeElement) ? document.activeElement : null;
  const place = focused && (focused.closest("[id]")?.id ?? null);
  const before = element.querySelector(".scroll");
  const [left, top] = [before?.scrollLeft ?? 0, before?.scrollTop ?? 0];
  element.innerHTML = html;
  for (const id of open) document.getElementById(id)?.setAttribute("open", "");
  typed();
  if (place) {
    const target = document.getElementById(place);
    (target?.matches("details") ? target.querySelector("summary") : target)?.focus({ preventScroll: true });
  }
  const scroll = element.querySelector(".scroll");
  if (scroll) [scroll.scrollLeft, scroll.scrollTop] = [left, top];
  showTimes(element);
}

function say(word) {
  const following = document.querySelector("[data-following]");
  if (!following || following.dataset.following === word) return;
  following.dataset.following = word;
  const told = `say${word[0].toUpperCase()}${word.slice(1)}`;
  following.querySelector("[data-word]").textContent = following.dataset[told] ?? word;
}

/** Follows `url`: hands the sections of every event to `show`. Returns what ends it. */
export function follow(url, show) {
  let source, again, ended = false;
  const connect = () => {
    source = new EventSource(url);
    source.onopen = () => say("live");
    source.addEventListener("sections", (event) => show(JSON.parse(event.data)));
    source.addEventListener("end", () => { ended = true; source.close(); say("ended"); });
    source.onerror = () => {
      if (ended) return;
      say("reconnecting");
      // A browser gives up on an answer that is not 200, which a server that is being restarted gives.
      if (source.readyState === EventSource.CLOSED) again = setTimeout(connect, 500);
    };
  };
  const close = () => { clearTimeout(again); source.close(); };
  // A page that a browser keeps for its "back" button must not keep its stream.
  const reopen = (event) => { if (event.persisted && !ended) connect(); };
  addEventListener("pagehide", close);
  addEventListener("pageshow", reopen);
  connect();
  return () => {
    ended = true;
    close();
    removeEventListener("pagehide", close);
    removeEventListener("pageshow", reopen);
  };
}

/** As a browser would write it: what the page came with is compared with what the stream tells. */
function written(html) {
  const read = document.createElement("template");
  read.innerHTML = html;
  return read.innerHTML;
}

const live = [...document.querySelectorAll("[data-live]")];
const shown = new Map(live.map((element) => [element.id, element.innerHTML]));
const followed = document.querySelector("[data-source]");
if (followed) {
  follow(followed.dataset.source, (sections) => {
    for (const [id, html] of Object.entries(sections)) {
      const element = document.getElementById(id);
      const now = written(html);
      if (!element || shown.get(id) === now) continue;
      shown.set(id, now);
      replace(element, html);
    }
  });
}

document.addEventListener("click", (event) => {
  const from = event.target.dataset?.fork;
  const offer = from && document.getElementById("act-fork");
  if (!offer) return;
  offer.open = true;
  offer.querySelector("[name=from]").value = from;
  offer.scrollIntoView({ block: "center" });
  offer.querySelector("[type=submit]").focus({ preventScroll: true });
});

/** A link to an event shows it, though it stands in what is folded. */
function showTarget() {
  const target = location.hash.startsWith("#event-") ? document.getElementById(location.hash.slice(1)) : null;
  target?.closest("details")?.setAttribute("open", "");
  target?.scrollIntoView({ block: "center" });
}
addEventListener("hashchange", showTarget);
showTarget();

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.dataset.confirm || form.dataset.confirmed) return;
  event.preventDefault();
  const dialog = document.createElement("dialog");
  const question = document.createElement("p");
  question.textContent = form.dataset.confirm;
  const acts = document.createElement("form");
  acts.method = "dialog";
  acts.className = "acts";
  acts.innerHTML = '<button value="yes" class="primary" id="confirm-yes"></button> <button value="no"></button>';
  for (const button of acts.elements) button.textContent = told(button.value);
  dialog.setAttribute("aria-label", told("confirm"));
  dialog.append(question, acts);
  dialog.addEventListener("close", () => {
    dialog.remove();
    if (dialog.returnValue !== "yes") return;
    // The page may have been replaced meanwhile: the form is sent from where it now stands.
    if (!form.isConnected) document.body.append(form);
    form.dataset.confirmed = "yes";
    form.requestSubmit();
  });
  document.body.append(dialog);
  dialog.showModal();
});

showTimes();
setInterval(() => showTimes(), 1000);

// On a telephone the pages' names are one line that scrolls.
document.querySelector(".top nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });

/** Completes the last word of a line: the words of its list stand behind what is typed before it. */
const line = document.querySelector("input[data-complete]");
if (line) {
  const words = [...line.list.options].map((option) => option.value);
  line.addEventListener("input", () => {
    const [, before, last] = line.value.match(/^(.*\s|)(\S*)$/s);
    const fit = words.filter((word) => word.startsWith(last) && word !== last).slice(0, 40);
    line.list.replaceChildren(...fit.map((word) => new Option("", before + word)));
  });
}

/** Where the pages' names do not fit side by side, the present one is in sight. */
const here = document.querySelector(".top nav [aria-current]");
if (here) here.parentElement.scrollLeft = here.offsetLeft - (here.parentElement.clientWidth - here.clientWidth) / 2;

/** Ctrl-K leads to the search from everywhere. */
const search = document.querySelector("input[data-search]");
addEventListener("keydown", (event) => {
  if (event.key !== "k" || !(event.ctrlKey || event.metaKey)) return;
  event.preventDefault();
  if (search) search.select();
  else location.href = "/search";
});
