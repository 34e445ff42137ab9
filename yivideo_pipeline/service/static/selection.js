// What is done with the selected videos of the library, and with the queue.

import { fetchJson, loadTexts, showMessage } from "./frame.js";
import { refresh, start } from "./library.js";

const t = loadTexts();
const videos = document.getElementById("videos");
const actions = document.getElementById("actions");
const dialog = document.getElementById("forget");

/* The names of the selected videos, by key; a row that is replaced stays selected. */
const selected = new Map();
let lastTicked = null;
let isBusy = false;

const rowsOf = () => [...videos.querySelectorAll("tr[data-key]")];
const tickOf = (row) => row.querySelector("[name=pick]");

function select(row, isSelected) {
  if (isSelected) selected.set(row.dataset.key, row.dataset.name);
  else selected.delete(row.dataset.key);
}

/** Show what is selected; videos that are listed no longer are not. */
function show() {
  const rows = rowsOf();
  const all = document.getElementById("all");
  const shown = new Set(rows.map((row) => row.dataset.key));
  for (const key of selected.keys()) if (!shown.has(key)) selected.delete(key);
  for (const row of rows) tickOf(row).checked = selected.has(row.dataset.key);
  if (all) {
    all.checked = selected.size === rows.length;
    all.indeterminate = selected.size > 0 && !all.checked;
  }
  if (!selected.size && actions.contains(document.activeElement)) all?.focus();
  actions.hidden = !selected.size;
  document.getElementById("selected").textContent = selected.size ? t("selected_count", { count: selected.size }) : "";
}

/* With Shift, all between the last box and this one follow it. */
videos.addEventListener("click", (event) => {
  if (event.target.name !== "pick") return;
  const rows = rowsOf();
  const row = event.target.closest("tr");
  const [from, to] = [rows.indexOf(event.shiftKey && lastTicked?.isConnected ? lastTicked : row), rows.indexOf(row)];
  for (const one of rows.slice(Math.min(from, to), Math.max(from, to) + 1)) select(one, event.target.checked);
  lastTicked = row;
  show();
});
videos.addEventListener("change", (event) => {
  if (event.target.id !== "all") return;
  rowsOf().forEach((row) => select(row, event.target.checked));
  show();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && selected.size && !dialog.open && !videos.querySelector(".menu[open]")) clear();
});
function clear() {
  selected.clear();
  show();
}
new MutationObserver(show).observe(videos, { childList: true, subtree: true });

/* Actions. */

actions.addEventListener("click", async (event) => {
  const action = event.target.dataset.all;
  if (!action) return;
  if (action === "none") return clear();
  await doWith(action, [...selected]);
});
actions.addEventListener("submit", () => {
  actions.querySelectorAll("[name=key]").forEach((field) => field.remove());
  for (const key of selected.keys()) {
    const field = document.createElement("input");
    Object.assign(field, { type: "hidden", name: "key", value: key });
    actions.append(field);
  }
});

/**
 * Do something with videos, and say what became of it.
 * @param {string} action `process`, `cancel`, `front` or `forget`.
 * @param {[string, string][]} chosen Key and name of each video.
 */
async function doWith(action, chosen) {
  if (isBusy) return;
  isBusy = true; // buttons that were disabled would lose the focus
  try {
    const choice = action === "forget" ? await askToForget(chosen) : {};
    if (choice) await tell(action, chosen, await send(action, chosen, choice));
  } catch (problem) {
    showMessage(problem.message, true);
  }
  isBusy = false;
}

async function send(action, chosen, choice) {
  const keys = chosen.map(([key]) => key);
  if (action !== "process") return fetchJson(`/library/${action}`, { method: "POST", body: { keys, ...choice } });
  for (const [key, name] of chosen) await start(key, name);
  return { done: keys, not_done: {} };
}

async function tell(action, chosen, { done, not_done }) {
  const names = new Map(chosen);
  const refused = Object.entries(not_done).map(([key, why]) => `${names.get(key)}: ${t(`not_done.${why}`)}`);
  const first = done.length ? [t(`did.${action}`, { count: done.length })] : [];
  showMessage([...first, ...refused].join("\n"), refused.length > 0);
  await refresh();
}

/** Ask whether to forget videos; returns the choice, or null. */
function askToForget(chosen) {
  const title = chosen.length === 1 ? chosen[0][1] : t("selected_count", { count: chosen.length });
  dialog.querySelector("h2").textContent = t("forget_title", { title });
  dialog.querySelector("form").reset();
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    const choose = () => resolve(dialog.returnValue ? { results: dialog.querySelector("[name=results]").checked } : null);
    dialog.addEventListener("close", choose, { once: true });
  });
}

/* The buttons of one row, and of the queue. */

videos.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-do=cancel], [data-do=front], [data-do=forget]");
  if (!button) return;
  const { key, name } = button.closest("tr").dataset;
  const menu = button.closest("details");
  menu?.removeAttribute("open");
  menu?.querySelector("summary").focus();
  await doWith(button.dataset.do, [[key, name]]);
});

videos.addEventListener("click", async (event) => {
  const { pause } = event.target.dataset;
  if (!pause) return;
  try {
    await fetchJson("/library/queue", { method: "POST", body: { paused: pause === "true" } });
    await refresh();
  } catch (problem) {
    showMessage(problem.message, true);
  }
});

show();
