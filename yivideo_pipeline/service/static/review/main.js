// The review page: one video, its transcript, and what becomes of it.

import { ask } from "/static/frame.js";
import { CueList } from "./cues.js";
import { byId, make, t } from "./dom.js";
import { Editor } from "./editor.js";
import { listen } from "./keys.js";
import { Player } from "./player.js";
import { Search } from "./search.js";
import { Transcript } from "./transcript.js";
import { Versions } from "./versions.js";

const WAIT_MS = 4000;

const address = `/api/v1/review/${encodeURIComponent(byId("review").dataset.key)}`;
const cues = new CueList();
const player = new Player(address, cues);
const transcript = new Transcript(cues);
const editor = new Editor(cues, transcript, player);
const search = new Search(cues, transcript, goTo);
const versions = new Versions(address, cues, editor, load);

/** Play from a cue, and show its row. */
function goTo(cue) {
  player.seek(cue.start_ms);
  transcript.show(cue.start_ms);
  transcript.reveal(transcript.rowOf(cue));
}

/** Ask for all, and show it; as long as there are no subtitles, how far they are. */
async function load() {
  const review = await ask(address);
  if (review.state === "unprocessed") {
    showStages(review.stages);
    setTimeout(start, WAIT_MS);
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
      make("span", {}, t(`stage_${name}`)),
      make("span", { className: isMade ? "mark good" : "mark" }, t(isMade ? "made" : "not_made")),
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

function showFacts({ language, model, score, empty_reason: reason }) {
  byId("stages")?.remove();
  const low = cues.list.reduce(
    (sum, cue) => sum + (cue.words?.filter((word) => word[3] < transcript.lowPct).length ?? 0),
    0,
  );
  const mark = (text) => make("span", { className: "mark plain" }, text);
  const facts = [language, model, t("cues", { count: cues.list.length })].filter(Boolean).map(mark);
  if (score !== null) facts.push(mark(t("score", { score })));
  if (low) {
    const go = () => goTo(cues.list[transcript.nextUncertain(transcript.place)]);
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
listen({ player, transcript, editor, search, versions, goTo });
start();
