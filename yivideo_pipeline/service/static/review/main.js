// The review page: creates its parts, connects them, and loads the video.

import { fetchJson } from "/static/frame.js";
import { CueList } from "./cues.js";
import { byId, make, t } from "./dom.js";
import { Editor } from "./editor.js";
import { Player } from "./player.js";
import { Search } from "./search.js";
import { installShortcuts } from "./shortcuts.js";
import { Transcript } from "./transcript.js";
import { Versions } from "./versions.js";

const RETRY_MS = 4000;

const url = `/api/v1/review/${encodeURIComponent(byId("review").dataset.key)}`;
const cues = new CueList();
const player = new Player(url, cues);
const transcript = new Transcript(cues);
const editor = new Editor(cues, transcript, player);
const search = new Search(cues, transcript, goTo);
const versions = new Versions(url, cues, editor, load);

/** Jump to a cue, and show its row. */
function goTo(cue) {
  player.seek(cue.start_ms);
  transcript.show(cue.start_ms);
  transcript.reveal(transcript.rowOf(cue));
}

/** Load the review and show it; as long as there are no subtitles, show which stages are done. */
async function load() {
  const review = await fetchJson(url);
  if (review.state === "unprocessed") {
    showStages(review.stages);
    setTimeout(start, RETRY_MS);
    return;
  }
  byId("loading").hidden = true;
  byId("review").classList.remove("waits");
  editor.limits = review.limits;
  transcript.lowPct = review.low_confidence_pct;
  if (!player.isOpen) player.open(review);
  cues.load(review.cues, review.end_ms);
  versions.show(review);
  showFacts(review);
  transcript.show(player.now);
}

async function start() {
  try {
    await load();
  } catch (problem) {
    byId("loading").className = "note bad";
    byId("loading").textContent = problem.message;
  }
}

function showStages(stages) {
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
    t("waiting_hint"),
  );
  const list = make("ul", { id: "stages", className: "stages" }, ...rows);
  byId("stages")?.remove();
  byId("loading").after(list);
}

function showFacts({ language, model, score, confidence, empty_reason: reason }) {
  byId("stages")?.remove();
  const low = cues.list.reduce(
    (sum, cue) => sum + (cue.words?.filter((word) => word[3] < transcript.lowPct).length ?? 0),
    0,
  );
  const mark = (text) => make("span", { className: "mark plain" }, text);
  const facts = [language, model, t("cues", { count: cues.list.length })].filter(Boolean).map(mark);
  if (score !== null) facts.push(mark(t("readability", { score })));
  if (confidence !== null) facts.push(mark(t("mean_confidence", { percent: Math.round(100 * confidence) })));
  if (low) {
    const go = () => goTo(cues.list[transcript.nextUncertain(transcript.currentIndex)]);
    facts.push(make("button", { type: "button", className: "mark warn", title: t("next_low"), onclick: go }, t("low_words", { count: low })));
  }
  byId("facts").replaceChildren(...facts);
  byId("empty")?.remove();
  if (cues.list.length) return;
  const add = make("button", { type: "button", onclick: () => editor.add(null) }, t("add_first"));
  byId("loading").after(make("p", { id: "empty", className: "blank muted" }, t("no_words", { reason: reason ?? "" }), make("br"), add));
}

player.addEventListener("move", () => transcript.show(player.now));
transcript.addEventListener("jump", (event) => player.seek(event.detail));
byId("show-help").addEventListener("click", () => byId("help").showModal());
cues.addEventListener("change", () => transcript.show(player.now));
installShortcuts({ player, transcript, editor, search, versions, goTo });
start();
