// A run's page: zooms the time line, brings further events as one scrolls, copies links, obeys keys.

const at = (id) => document.getElementById(id);
const timeLine = at("time-line");
const zooms = [...document.querySelectorAll("[data-zoom]")];

/** Makes the time line so many times as wide as the page, and keeps what was in the middle there. */
function zoom(link) {
  const lines = () => timeLine.querySelector(".steps");
  const before = lines();
  const middle = before ? (before.scrollLeft + before.clientWidth / 2) / before.scrollWidth : 0;
  timeLine.className = `zoom-${link.dataset.zoom}`;
  for (const other of zooms) other.toggleAttribute("aria-current", other === link);
  link.setAttribute("aria-current", "true");
  const after = lines();
  if (after) after.scrollLeft = middle * after.scrollWidth - after.clientWidth / 2;
}

function zoomBy(step) {
  const next = zooms[zooms.findIndex((link) => link.hasAttribute("aria-current")) + step];
  if (next) zoom(next);
}

for (const link of zooms) {
  link.addEventListener("click", (event) => {
    event.preventDefault();
    zoom(link);
  });
}

/** Puts the next events behind those that are there. */
async function bring(link) {
  if (link.dataset.busy) return;
  link.dataset.busy = "yes";
  const answer = await fetch(link.dataset.more, { credentials: "same-origin" }).catch(() => null);
  if (!answer?.ok) return void delete link.dataset.busy;
  const brought = document.createElement("template");
  brought.innerHTML = await answer.text();
  const rows = [...brought.content.querySelectorAll("tbody > tr")];
  const more = brought.content.querySelector(".more");
  const history = link.closest(".history");
  history.querySelector("tbody").append(...rows);
  const shown = at("shown-to");
  if (shown && rows.length) shown.textContent = rows.at(-1).id.replace("event-", "");
  link.closest(".more").remove();
  if (more) {
    history.append(more);
    watch();
  }
}

/** Brings them before one has scrolled quite to the end. */
function watch() {
  const link = at("more-events");
  if (!link) return;
  const seen = new IntersectionObserver((entries) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    seen.disconnect();
    bring(link);
  }, { root: link.closest(".history"), rootMargin: "400px" });
  seen.observe(link);
}
new MutationObserver(watch).observe(at("record"), { childList: true });
watch();

document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a");
  if (link?.id === "more-events" && link.dataset.more) {
    event.preventDefault();
    bring(link);
  }
  if (link?.hasAttribute("data-copy") && navigator.clipboard && !(event.ctrlKey || event.metaKey || event.shiftKey)) {
    event.preventDefault();
    history.replaceState(null, "", `#${link.closest("tr").id}`);
    navigator.clipboard.writeText(link.href).then(() => {
      link.dataset.copied = "yes";
      setTimeout(() => delete link.dataset.copied, 1500);
    }, () => { location.href = link.href; });
  }
});

const keys = at("keys");
const shortcuts = at("shortcuts");
shortcuts.hidden = false;
shortcuts.addEventListener("click", () => keys.showModal());

function move(step) {
  const summaries = [...document.querySelectorAll(".step > summary")];
  const now = summaries.indexOf(document.activeElement);
  summaries[now < 0 ? (step > 0 ? 0 : summaries.length - 1) : now + step]?.focus();
}

const acts = {
  "?": () => keys.showModal(),
  j: () => move(1),
  k: () => move(-1),
  o: () => {
    const steps = [...document.querySelectorAll(".step")];
    const open = steps.some((step) => !step.open);
    for (const step of steps) step.open = open;
  },
  "+": () => zoomBy(1),
  "=": () => zoomBy(1),
  "-": () => zoomBy(-1),
  h: () => {
    at("journal").open = true;
    at("history").focus();
  },
  r: () => document.querySelector("#sight button[type=submit], #sight a")?.focus(),
  a: () => document.querySelector("#retry, #acts summary, #acts button")?.focus(),
};
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || keys.open) return;
  if (event.target.closest?.("input, textarea, select, [contenteditable]")) return;
  const act = acts[event.key];
  if (!act) return;
  event.preventDefault();
  act();
});
