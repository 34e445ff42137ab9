// What is done with the selected videos of the library, and with the queue.

import { fetchJson, loadTexts, showMessage } from "./frame.js";
import { refresh, start } from "./library.js";

const t = loadTexts();
const videos = document.getElementById("videos");
const actions = document.getElementById("actions");
const found = actions.querySelector("[data-all=found]");
const packed = actions.querySelector("[name=keys]");

/** More videos than this are processed as a backfill, after a question; of fewer each gets a run of its own. */
const FEW = 50;
/** Videos that one request processes or forgets. */
const AT_ONCE = 500;
/** Videos that are named where something was not done with them. */
const MOST_NAMED = 5;

/* The names of the selected videos, by key; a row that is replaced stays selected. */
const selected = new Map();
/** Whether videos of other pages are selected too. */
let isBeyond = false;
let lastTicked = null;
let isBusy = false;

const rowsOf = () => [...videos.querySelectorAll("tr[data-key]")];
const tickOf = (row) => row.querySelector("[name=pick]");

function select(row, isSelected) {
  if (isSelected) selected.set(row.dataset.key, row.dataset.name);
  else selected.delete(row.dataset.key);
}

/** Show what is selected; videos that are listed no longer are not, unless all that were found are. */
function show() {
  const rows = rowsOf();
  const all = document.getElementById("all");
  const shown = new Set(rows.map((row) => row.dataset.key));
  if (!isBeyond) for (const key of selected.keys()) if (!shown.has(key)) selected.delete(key);
  const ticked = rows.filter((row) => selected.has(row.dataset.key));
  for (const row of rows) tickOf(row).checked = selected.has(row.dataset.key);
  if (all) {
    all.checked = ticked.length === rows.length;
    all.indeterminate = ticked.length > 0 && !all.checked;
  }
  if (!selected.size && actions.contains(document.activeElement)) all?.focus();
  actions.hidden = !selected.size;
  document.getElementById("selected").textContent = selected.size ? t("selected_count", { count: selected.size }) : "";
  offerFound(all, rows.length);
}

/** Offer to select what the list has on its other pages too, once all shown are selected. */
function offerFound(all, shown) {
  const total = Number(all?.dataset.total ?? 0);
  const most = Number(found.dataset.most);
  if (document.activeElement === found) document.getElementById("selected").focus();
  found.hidden = isBeyond || !all?.checked || total <= shown;
  found.textContent = t(total > most ? "select_first" : "select_found", { count: Math.min(total, most) });
}

async function selectFound() {
  const { videos: all } = await fetchJson(`/library/keys${location.search}`);
  isBeyond = true;
  for (const [key, name] of all) selected.set(key, name);
  show();
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
  if (!event.target.checked) return clear();
  rowsOf().forEach((row) => select(row, event.target.checked));
  show();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && selected.size && !document.querySelector("dialog[open], .menu[open]")) clear();
});
function clear() {
  selected.clear();
  isBeyond = false;
  show();
}
new MutationObserver(show).observe(videos, { childList: true, subtree: true });

/* Actions. */

actions.addEventListener("click", async (event) => {
  const action = event.target.dataset.all;
  if (!action) return;
  if (action === "none") return clear();
  if (action === "found") return selectFound().catch((problem) => showMessage(problem.message, true));
  await doWith(action, [...selected]);
});
actions.addEventListener("submit", (event) => {
  packed.value = JSON.stringify([...selected.keys()]);
  const most = Number(packed.dataset.most);
  if (selected.size <= most) return;
  event.preventDefault();
  showMessage(t("too_many_packed", { most }), true);
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
    const choice = await ask(action, chosen);
    if (choice) await tell(action, chosen, await send(action, chosen, choice));
  } catch (problem) {
    showMessage(problem.message, true);
  }
  isBusy = false;
}

async function send(action, chosen, choice) {
  const keys = chosen.map(([key]) => key);
  if (action === "process" && chosen.length <= FEW) {
    for (const [key, name] of chosen) await start(key, name);
    return { done: keys, not_done: {} };
  }
  // Videos that share a run are cancelled and moved together.
  const step = ["process", "forget"].includes(action) ? AT_ONCE : keys.length;
  const whole = { done: [], not_done: {} };
  for (let at = 0; at < keys.length; at += step) {
    if (keys.length > FEW) showMessage(t("goes_on", { done: at, count: keys.length }));
    const body = { keys: keys.slice(at, at + step), ...choice };
    const { done, not_done } = await fetchJson(`/library/${action}`, { method: "POST", body });
    whole.done.push(...done);
    Object.assign(whole.not_done, not_done);
  }
  return whole;
}

async function tell(action, chosen, { done, not_done }) {
  const names = new Map(chosen);
  const refused = Map.groupBy(Object.entries(not_done), ([, why]) => why);
  const lines = [...refused].map(([why, those]) => {
    const shown = those.slice(0, MOST_NAMED).map(([key]) => names.get(key)).join(", ");
    const rest = those.length > MOST_NAMED ? ` ${t("and_more", { count: those.length - MOST_NAMED })}` : "";
    return `${shown}${rest}: ${t(`not_done.${why}`)}`;
  });
  const first = done.length ? [t(`did.${action}`, { count: done.length })] : [];
  showMessage([...first, ...lines].join("\n"), lines.length > 0);
  if (isBeyond) clear();
  await refresh();
}

/** Ask before videos are forgotten, or many are processed; returns the choices, or null. */
function ask(action, chosen) {
  if (action !== "forget" && !(action === "process" && chosen.length > FEW)) return {};
  const dialog = document.getElementById(action);
  const title = chosen.length === 1 ? chosen[0][1] : t("video_count", { count: chosen.length });
  dialog.querySelector("h2").textContent = t(`title.${action}`, { title });
  dialog.querySelector("form").reset();
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    const choose = () => {
      const results = dialog.querySelector("[name=results]");
      resolve(dialog.returnValue ? (results ? { results: results.checked } : {}) : null);
    };
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
