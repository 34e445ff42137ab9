// The library page: keeps the list up to date, starts workflows and shows their progress, and uploads files.

import { fetchJson, joinSentences, loadTexts, localizeTimes, make, showMessage } from "./frame.js";
import { askForChoices, describeChoices, endWorkflow, hasEnded, startWorkflow, workflows } from "./workflows.js";

const REFRESH_MS = 10_000;
const POLL_MS = 1_500;

const t = loadTexts();
const videos = document.getElementById("videos");
const uploads = document.getElementById("uploads");
const drop = document.getElementById("drop");
const picker = document.getElementById("files");

const statuses = new Map();
/** The choices for the files that are added. */
let uploadChoices = {};

/* The list. */

export async function refresh() {
  let response;
  try {
    response = await fetch(`/library/videos${location.search}`);
  } catch {
    return; // the next refresh may succeed
  }
  if (!response.ok || response.redirected) return;
  const fresh = document.createElement("section");
  fresh.innerHTML = await response.text();
  localizeTimes(fresh);
  if (sameKeys(fresh)) {
    replacePart("#chips", fresh);
    replacePart("#queue", fresh);
    replacePart("#pager", fresh);
    const rows = rowsOf(fresh);
    rowsOf(videos).forEach((row, index) => replaceRow(row, rows[index]));
  } else if (!hasOpenMenu(videos)) {
    keepFocus(() => videos.replaceChildren(...fresh.childNodes));
  }
  showProgress();
}

const rowsOf = (part) => [...part.querySelectorAll("tr[data-key]")];
const keysOf = (part) => rowsOf(part).map((row) => row.dataset.key);
const sameKeys = (fresh) => JSON.stringify(keysOf(fresh)) === JSON.stringify(keysOf(videos));
const hasOpenMenu = (part) => part.querySelector("details[open]") !== null;

function replacePart(selector, fresh) {
  const old = videos.querySelector(selector);
  const now = fresh.querySelector(selector);
  if (old && now && !old.isEqualNode(now)) keepFocus(() => old.replaceWith(now));
}

function replaceRow(row, now) {
  if (!row.isEqualNode(now) && !hasOpenMenu(row)) keepFocus(() => row.replaceWith(now));
}

/** Replace a part of the list; what then stands in the place of what had the focus gets it. */
function keepFocus(replace) {
  const active = document.activeElement;
  if (!videos.contains(active)) return replace();
  const key = active.closest("tr")?.dataset.key;
  const find = (what) => videos.querySelector(key ? `tr[data-key="${CSS.escape(key)}"] ${what}` : what);
  replace();
  if (!active.isConnected) (find(describe(active)) ?? find(key ? "[name=pick]" : "#all"))?.focus();
}

/** Return a selector of an element, to be looked for in its row or in the list. */
function describe(element) {
  const name = ["id", "name", "data-do", "data-pause", "href"].find((one) => element.hasAttribute(one));
  if (name === "data-pause") return "[data-pause]"; // its value changes
  return name ? `[${name}="${CSS.escape(element.getAttribute(name))}"]` : element.localName;
}

/* Workflows. */

export async function start(key, name, choices = {}) {
  await startWorkflow(key, name, choices);
  statuses.set(key, { state: "queued", progress: 0 });
}

async function poll() {
  for (const [key, { id, name }] of [...workflows]) {
    try {
      const status = await fetchJson(`/v1/workflows/status/${id}`);
      statuses.set(key, status);
      if (hasEnded(status.state)) await end(key, name, status);
    } catch (problem) {
      if (problem.status === 404) await end(key, name, { state: "cancelled" });
    }
  }
  showProgress();
}

async function end(key, name, status) {
  endWorkflow(key);
  statuses.delete(key);
  const problem = joinSentences(status.error?.message, status.error?.hint);
  showMessage(t(`workflow.${status.state}`, { name, problem }), status.state === "failed");
  await refresh();
}

function showProgress() {
  for (const row of rowsOf(videos)) {
    const status = statuses.get(row.dataset.key);
    // Of what waits the server says the place in the queue.
    if (status && status.state !== "queued") drawProgress(row, status);
  }
}

function drawProgress(row, status) {
  const cell = row.querySelector(".state");
  let bar = cell.querySelector("progress");
  if (!bar) {
    cell.replaceChildren(make("span", "mark busy"), make("span", "why"), make("progress"));
    bar = cell.querySelector("progress");
    bar.ariaLabel = row.dataset.name;
    row.querySelectorAll("[data-do=process], [data-do=release]").forEach((button) => { button.disabled = true; });
  }
  setText(cell.querySelector(".mark"), t(`workflow.${status.state}`));
  setText(cell.querySelector(".why"), status.stage ? t(`stage.${status.stage}`) : "");
  bar.value = status.progress ?? 0;
}

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/* Uploads. */

function upload(file) {
  const choices = uploadChoices;
  const line = document.getElementById("upload-row").content.cloneNode(true).firstElementChild;
  const status = line.querySelector(".status");
  const bar = line.querySelector("progress");
  const cancel = line.querySelector("button");
  const size = formatSize(file.size);
  const show = (share) => {
    bar.value = share;
    setText(status, t("uploading", { name: file.name, percent: Math.floor(100 * share), size }));
  };
  const finish = (text, isError = false) => {
    setText(status, text);
    line.classList.toggle("bad", isError);
    bar.remove();
    cancel.remove();
    showMessage(text, isError);
  };
  bar.ariaLabel = file.name;
  uploads.append(line);
  uploads.hidden = false;
  show(0);
  // fetch() does not report the progress of an upload.
  const request = new XMLHttpRequest();
  request.upload.addEventListener("progress", (event) => show(event.loaded / Math.max(1, event.total)));
  request.addEventListener("abort", () => finish(t("cancelled", { name: file.name })));
  cancel.addEventListener("click", () => request.abort());
  request.addEventListener("error", () =>
    finish(t("not_uploaded", { name: file.name, problem: document.getElementById("toast").dataset.offline }), true));
  request.addEventListener("load", () => startUploaded(request, file, choices, finish));
  request.open("PUT", `/library/upload?name=${encodeURIComponent(file.name)}`);
  request.setRequestHeader("Content-Type", "application/octet-stream");
  request.send(file);
}

async function startUploaded(request, file, choices, finish) {
  const answer = parse(request.responseText);
  if (request.status !== 201) {
    const problem = joinSentences(answer?.error?.message, answer?.error?.hint);
    finish(t("not_uploaded", { name: file.name, problem: problem || request.status }), true);
    return;
  }
  try {
    await start(answer.key, file.name, choices);
    finish(t("uploaded", { name: file.name }));
  } catch (problem) {
    finish(t("not_started", { name: file.name, problem: problem.message }), true);
  }
  await refresh();
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function formatSize(bytes) {
  const mb = bytes / 2 ** 20;
  return mb >= 1024 ? `${(mb / 1024).toFixed(1)} GB` : `${mb.toFixed(1)} MB`;
}

/* Choices. */

document.getElementById("upload-choices").addEventListener("click", async () => {
  setUploadChoices(await askForChoices({ title: t("choices_for_uploads"), button: t("choices_apply"), present: uploadChoices }) ?? uploadChoices);
});
document.getElementById("reset-choices").addEventListener("click", () => {
  setUploadChoices({});
  document.getElementById("upload-choices").focus(); // the button hides itself
});

function setUploadChoices(choices) {
  uploadChoices = choices;
  const shown = describeChoices(choices);
  document.getElementById("chosen").hidden = !shown;
  document.getElementById("chosen-text").textContent = shown && t("choices_now", { choices: shown });
}

videos.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-do=choose]");
  if (!button) return;
  const { key, name } = button.closest("tr").dataset;
  button.closest("details").open = false;
  const choices = await askForChoices({ title: name, button: t("process_with") });
  if (choices) await start(key, name, choices).catch((problem) => showMessage(problem.message, true));
});

/* Buttons, menus and dropped files. */

videos.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-do=process], [data-do=release]");
  if (!button) return; // selection.js does the others
  const row = button.closest("tr");
  const { key, name } = row.dataset;
  row.querySelector("[name=pick]").focus(); // a disabled button loses the focus
  button.disabled = true;
  button.closest("details")?.removeAttribute("open");
  try {
    if (button.dataset.do === "process") {
      await start(key, name);
    } else {
      await fetchJson("/library/release", { method: "POST", body: { key } });
      showMessage(t("released", { name }));
    }
    await refresh();
  } catch (problem) {
    button.disabled = false;
    showMessage(problem.message, true);
  }
});

/* Escape and a click elsewhere close a menu. */
document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll(".menu[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of document.querySelectorAll(".menu[open]")) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});

document.getElementById("sort").addEventListener("change", (event) => event.target.form.requestSubmit());
picker.addEventListener("change", () => {
  [...picker.files].forEach(upload);
  picker.value = "";
});

/* Files may be dropped anywhere on the page. */
const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
addEventListener("dragover", (event) => {
  if (!hasFiles(event)) return;
  event.preventDefault();
  drop.classList.add("over");
});
addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) drop.classList.remove("over");
});
addEventListener("drop", (event) => {
  if (!hasFiles(event)) return;
  event.preventDefault();
  drop.classList.remove("over");
  [...event.dataTransfer.files].forEach(upload);
});

async function loop(work, pause_ms) {
  if (!document.hidden) await work();
  setTimeout(loop, pause_ms, work, pause_ms);
}

loop(poll, POLL_MS);
setTimeout(loop, REFRESH_MS, refresh, REFRESH_MS);
document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
