// The review page: creates its parts, connects them, and loads the video.

import { fetchJson, language } from "/static/frame.js";
import { nameLanguage } from "/static/workflows.js";
import { Commands } from "./commands.js";
import { SubtitleDocument } from "./document.js";
import { byId, make, t } from "./dom.js";
import { Drafts } from "./drafts.js";
import { Findings } from "./findings.js";
import { CueForm } from "./form.js";
import { Player } from "./player.js";
import { Processing } from "./processing.js";
import { Search } from "./search.js";
import { showStyle } from "./style.js";
import { Tools } from "./tools.js";
import { Transcript } from "./transcript.js";
import { Versions } from "./versions.js";
import { Waveform } from "./waveform.js";
import { showWordless } from "./wordless.js";

const RETRY_MS = 4000;

const { key, address: url } = byId("review").dataset;
const doc = new SubtitleDocument();
const player = new Player(url, doc);
const transcript = new Transcript(doc);
// After the transcript, whose rows show the findings.
const findings = new Findings(doc);
findings.addEventListener("change", (event) => event.detail.forEach((cue) => transcript.mark(cue, findings.of(cue))));
const form = new CueForm(doc, transcript, findings, (name) => commands.run(name));
const search = new Search(doc, transcript, findings, (cue) => commands.goTo(cue));
const versions = new Versions(url, doc, findings, form, load);
let speech = [];
const waveform = new Waveform(url, doc, player, () => ({ cue: commands.cue, speech, lowPct: transcript.lowPct }));
const commands = new Commands({ doc, player, transcript, form, findings, search, versions, waveform });
waveform.onEdge = (edge, ms) => commands.setEdge(edge, ms);
waveform.onEdit = (cue) => form.open(cue);
new Tools(doc, findings, form, commands);
const drafts = new Drafts(key, doc, () => {
  if (!isLoaded) return undefined;
  return doc.unsaved ? { version: versions.version, cues: doc.plain() } : null;
});
let isLoaded = false;
const processing = new Processing(key, byId("name").textContent, doc, load);

/** Load the review and show it; as long as there are no subtitles, show which stages are done. */
async function load() {
  const review = await fetchJson(url);
  if (review.state === "unprocessed") {
    showStages(review);
    setTimeout(start, RETRY_MS);
    return;
  }
  byId("loading").hidden = true;
  byId("review").classList.remove("waits");
  findings.limits = review.limits;
  transcript.lowPct = review.low_confidence_pct;
  if (!player.isOpen) player.open(review);
  form.release();
  doc.load(review.cues, review.end_ms);
  versions.show(review);
  showFacts(review);
  showStyle(review.style, (number) => doc.list[number] && commands.goTo(doc.list[number]));
  showWordless(review.wordless_spans, (ms) => player.seek(ms));
  transcript.show(player.now);
  speech = review.speech_spans;
  if (!isLoaded) {
    bringBackDraft();
    if (review.sound) waveform.open(review.sound.offset_ms, review.limits.min_gap_ms);
  }
  isLoaded = true;
}

async function start() {
  try {
    await load();
  } catch (problem) {
    byId("loading").hidden = false;
    byId("loading").className = "note bad";
    byId("loading").textContent = problem.message;
  }
}

/** Take up again what was not saved when the page was closed; one click, or Ctrl+Z, drops it. */
function bringBackDraft() {
  const draft = drafts.find();
  if (!draft) return;
  const loaded = doc.list;
  const known = new Map(doc.list.map((cue) => [nameOf(cue), cue]));
  doc.replace(0, doc.list.length, draft.cues.map((cue) => known.get(nameOf(cue)) ?? { ...cue, words: null }));
  if (!doc.unsaved) return;
  const when = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" }).format(new Date(draft.kept_at));
  const close = () => {
    byId("draft").hidden = true;
    transcript.focus(commands.cue);
  };
  const step = doc.lastStep;
  const { version } = versions;
  // Saving then finds that another version was saved in between, and asks.
  versions.version = draft.version;
  byId("draft-text").textContent = t("draft_back", { when });
  byId("draft").hidden = false;
  byId("drop-draft").onclick = () => {
    form.close();
    close();
    versions.version = version;
    if (doc.lastStep === step) doc.undo();
    else doc.replace(0, doc.list.length, loaded);
  };
  byId("keep-draft").onclick = close;
}

const nameOf = ({ start_ms, end_ms, text }) => `${start_ms} ${end_ms} ${text}`;

function showStages({ stages, obstacle }) {
  byId("review").classList.add("waits");
  const rows = stages.map(({ name, is_made: isMade }) =>
    make(
      "li",
      {},
      make("span", {}, t(`stage.${name}`)),
      make("span", { className: isMade ? "mark good" : "mark" }, t(isMade ? "stage_done" : "stage_waiting")),
    ),
  );
  byId("loading").replaceChildren(
    make("strong", {}, t("waiting")),
    make("br"),
    obstacle ? describeObstacle(obstacle) : t("waiting_hint"),
    ...(obstacle ? [make("br"), make("a", { href: `/library?q=${encodeURIComponent(byId("name").textContent)}` }, t("to_library"))] : []),
  );
  byId("stages")?.remove();
  // Stages that nobody makes wait for nothing.
  if (!obstacle) byId("loading").after(make("ul", { id: "stages", className: "stages" }, ...rows));
}

function describeObstacle({ reason, message, detail }) {
  const name = `reason.${reason}`;
  const text = reason && t(name) !== name ? t(name) : message;
  return detail ? `${text} (${detail})` : text;
}

function showFacts({ language: spoken, model, score, confidence, empty_reason: reason }) {
  byId("stages")?.remove();
  const low = doc.list.reduce((sum, cue) => sum + (cue.words?.filter((word) => word[3] < transcript.lowPct).length ?? 0), 0);
  const mark = (text) => make("span", { className: "mark plain" }, text);
  const facts = [model, t("cues", { count: doc.list.length })].filter(Boolean).map(mark);
  if (spoken) {
    const ask = () => processing.ask(spoken);
    facts.unshift(make("button", { type: "button", className: "mark plain", title: t("wrong_language"), "aria-haspopup": "dialog", onclick: ask }, nameLanguage(spoken)));
  }
  if (score !== null) facts.push(mark(t("readability", { score })));
  if (confidence !== null) facts.push(mark(t("mean_confidence", { percent: Math.round(100 * confidence) })));
  if (low) {
    const go = () => commands.run("uncertain");
    facts.push(make("button", { type: "button", className: "mark warn", title: t("next_low"), onclick: go }, t("low_words", { count: low })));
  }
  byId("facts").replaceChildren(...facts);
  byId("empty")?.remove();
  if (doc.list.length) return;
  const add = () => commands.run("add");
  const blank = make("p", { id: "empty", className: "blank muted" }, t("no_words", { reason: reason ?? "" }), make("br"), make("button", { type: "button", onclick: add }, t("add_first")));
  byId("loading").after(blank);
}

player.addEventListener("move", () => transcript.show(player.now));
for (const event of ["focusin", "focusout"]) byId("cues").addEventListener(event, () => waveform.update());
transcript.addEventListener("current", () => waveform.update());
transcript.addEventListener("jump", (event) => player.seek(event.detail));
doc.addEventListener("change", () => {
  if (doc.list.length) byId("empty")?.remove();
  transcript.show(player.now);
});
addEventListener("beforeunload", (event) => {
  if (doc.unsaved && !drafts.isKept) event.preventDefault();
});
start();
