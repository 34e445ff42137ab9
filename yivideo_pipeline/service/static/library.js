// The library: keeps the list up to date, starts work and shows how it goes, takes files.

import { ask, localize, say, texts } from "./frame.js";

const REFRESH_MS = 10_000;
const POLL_MS = 1_500;
const CHAIN = ["ffmpeg.extract_audio", "whisperx.generate_subtitles"];
const WATCHED = "yivideo.workflows";

const t = texts();
const videos = document.getElementById("videos");
const uploads = document.getElementById("uploads");
const drop = document.getElementById("drop");
const picker = document.getElementById("files");

/* Workflows that were started here, by the video's key; they outlast a reload of the page. */
const watched = new Map(JSON.parse(sessionStorage.getItem(WATCHED) ?? "[]"));
const states = new Map();

function remember() {
  sessionStorage.setItem(WATCHED, JSON.stringify([...watched]));
}

/* The list. */

async function refresh() {
  let answer;
  try {
    answer = await fetch(`/library/videos${location.search}`);
  } catch {
    return; // the next time, maybe
  }
  if (!answer.ok || answer.redirected) return;
  const fresh = document.createElement("section");
  fresh.innerHTML = await answer.text();
  localize(fresh);
  if (sameKeys(fresh)) {
    swap("#chips", fresh);
    swap("#pager", fresh);
    const rows = rowsOf(fresh);
    rowsOf(videos).forEach((row, index) => swapRow(row, rows[index]));
  } else if (!isHeld(videos)) {
    videos.replaceChildren(...fresh.childNodes);
  }
  showProgress();
}

const rowsOf = (part) => [...part.querySelectorAll("tr[data-key]")];
const keysOf = (part) => rowsOf(part).map((row) => row.dataset.key);
const sameKeys = (fresh) => JSON.stringify(keysOf(fresh)) === JSON.stringify(keysOf(videos));
/** What somebody has open or is at with the keyboard is left alone. */
const isHeld = (part) => part.querySelector("details[open]") || part.contains(document.activeElement);

function swap(selector, fresh) {
  const old = videos.querySelector(selector);
  const now = fresh.querySelector(selector);
  if (old && now && !old.isEqualNode(now) && !old.contains(document.activeElement)) old.replaceWith(now);
}

function swapRow(row, now) {
  if (!states.has(row.dataset.key) && !row.isEqualNode(now) && !isHeld(row)) row.replaceWith(now);
}

/* Work that was started here. */

async function start(key, name) {
  const body = { video_path: key, workflow_config: { workflow_chain: CHAIN } };
  const created = await ask("/v1/workflows", { method: "POST", body });
  watched.set(key, { id: created.workflow_id, name });
  remember();
  states.set(key, { state: "queued", progress: 0 });
  showProgress();
}

async function poll() {
  for (const [key, { id, name }] of [...watched]) {
    try {
      const status = await ask(`/v1/workflows/status/${id}`);
      states.set(key, status);
      if (["succeeded", "failed", "cancelled"].includes(status.state)) await end(key, name, status);
    } catch (problem) {
      if (problem.status === 404) await end(key, name, { state: "cancelled" });
    }
  }
  showProgress();
}

async function end(key, name, status) {
  watched.delete(key);
  states.delete(key);
  remember();
  const problem = [status.error?.message, status.error?.hint].filter(Boolean).join(". ");
  say(t(`workflow.${status.state}`, { name, problem }), status.state === "failed");
  await refresh();
}

function showProgress() {
  for (const row of rowsOf(videos)) {
    const status = states.get(row.dataset.key);
    if (status) drawProgress(row, status);
  }
}

function drawProgress(row, status) {
  const cell = row.querySelector(".state");
  let bar = cell.querySelector("progress");
  if (!bar) {
    cell.replaceChildren(element("span", "mark busy"), element("span", "why"), element("progress"));
    bar = cell.querySelector("progress");
    bar.ariaLabel = row.dataset.name;
    row.querySelectorAll("[data-do]").forEach((button) => { button.disabled = true; });
  }
  put(cell.querySelector(".mark"), t(`workflow.${status.state}`));
  put(cell.querySelector(".why"), status.stage ? t(`stage.${status.stage}`) : "");
  bar.value = status.progress ?? 0;
}

function element(tag, name = "") {
  const made = document.createElement(tag);
  made.className = name;
  return made;
}

function put(place, text) {
  if (place.textContent !== text) place.textContent = text;
}

/* Files that are sent. */

function send(file) {
  const line = document.getElementById("upload-row").content.cloneNode(true).firstElementChild;
  const told = line.querySelector(".told");
  const bar = line.querySelector("progress");
  const cancel = line.querySelector("button");
  const size = shownSize(file.size);
  const show = (share) => {
    bar.value = share;
    put(told, t("uploading", { name: file.name, percent: Math.floor(100 * share), size }));
  };
  const close = (text, bad = false) => {
    put(told, text);
    line.classList.toggle("bad", bad);
    bar.remove();
    cancel.remove();
    say(text, bad);
  };
  bar.ariaLabel = file.name;
  uploads.append(line);
  uploads.hidden = false;
  show(0);
  // fetch() does not tell how far it has come.
  const request = new XMLHttpRequest();
  request.upload.addEventListener("progress", (event) => show(event.loaded / Math.max(1, event.total)));
  request.addEventListener("abort", () => close(t("cancelled", { name: file.name })));
  cancel.addEventListener("click", () => request.abort());
  request.addEventListener("error", () =>
    close(t("not_uploaded", { name: file.name, problem: document.getElementById("said").dataset.offline }), true));
  request.addEventListener("load", () => taken(request, file, close));
  request.open("PUT", `/library/upload?name=${encodeURIComponent(file.name)}`);
  request.setRequestHeader("Content-Type", "application/octet-stream");
  request.send(file);
}

async function taken(request, file, close) {
  const answer = parse(request.responseText);
  if (request.status !== 201) {
    const problem = [answer?.error?.message, answer?.error?.hint].filter(Boolean).join(". ");
    close(t("not_uploaded", { name: file.name, problem: problem || request.status }), true);
    return;
  }
  try {
    await start(answer.key, file.name);
    close(t("uploaded", { name: file.name }));
  } catch (problem) {
    close(t("not_started", { name: file.name, problem: problem.message }), true);
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

function shownSize(bytes) {
  const mb = bytes / 2 ** 20;
  return mb >= 1024 ? `${(mb / 1024).toFixed(1)} GB` : `${mb.toFixed(1)} MB`;
}

/* What people do. */

videos.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-do]");
  if (!button) return;
  const { key, name } = button.closest("tr").dataset;
  button.disabled = true;
  button.closest("details")?.removeAttribute("open");
  try {
    if (button.dataset.do === "process") {
      await start(key, name);
    } else {
      await ask("/library/release", { method: "POST", body: { key } });
      say(t("released", { name }));
      button.blur();
      await refresh();
    }
  } catch (problem) {
    button.disabled = false;
    say(problem.message, true);
  }
});

/* One menu at a time; Escape and a click elsewhere close it. */
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
  [...picker.files].forEach(send);
  picker.value = "";
});

/* Files may be dropped anywhere on the page. */
const bringsFiles = (event) => event.dataTransfer?.types.includes("Files");
addEventListener("dragover", (event) => {
  if (!bringsFiles(event)) return;
  event.preventDefault();
  drop.classList.add("over");
});
addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) drop.classList.remove("over");
});
addEventListener("drop", (event) => {
  if (!bringsFiles(event)) return;
  event.preventDefault();
  drop.classList.remove("over");
  [...event.dataTransfer.files].forEach(send);
});

async function loop(work, pause_ms) {
  if (!document.hidden) await work();
  setTimeout(loop, pause_ms, work, pause_ms);
}

loop(poll, POLL_MS);
setTimeout(loop, REFRESH_MS, refresh, REFRESH_MS);
document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
