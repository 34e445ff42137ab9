// All that can be done by a key or a button: one table of commands, which the list of keys shows too.

import { byId, make, t } from "./dom.js";
import { caretAt, mergeCues, moveCue, splitCue } from "./operations.js";
import { showMessage } from "/static/frame.js";

const SECONDS = 1000;
const NUDGE_MS = 100;
const NEW_MS = 2000;
const MIN_MS = 100;

/**
 * The keys of each command. Those with Alt, Ctrl or F work while something is typed, too; the others don't.
 * A command without a text in the list of keys is in it by another one.
 */
const KEYS = {
  play: "Space K Alt+K",
  back: "J Alt+J",
  forward: "L Alt+L",
  back_5: "ArrowLeft",
  forward_5: "ArrowRight",
  frame_back: ", Alt+ArrowLeft",
  frame_forward: ". Alt+ArrowRight",
  slower: "< Alt+,",
  faster: "> Alt+.",
  loop: "R Alt+R",
  previous: "ArrowUp Alt+ArrowUp",
  next: "ArrowDown Alt+ArrowDown",
  edit: "Enter",
  done: "Ctrl+Enter",
  drop: "Escape",
  in: "I Alt+I",
  out: "O Alt+O",
  start_earlier: "[ Alt+[",
  start_later: "] Alt+]",
  end_earlier: "; Alt+;",
  end_later: "' Alt+'",
  frame_nudge: "Shift+[ Shift+] Shift+; Shift+' Shift+Alt+[ Shift+Alt+] Shift+Alt+; Shift+Alt+'",
  split: "S Alt+Enter",
  merge: "M Alt+M",
  add: "A Alt+A",
  delete: "Alt+Delete",
  uncertain: "U Alt+U",
  problem: "N Alt+N",
  zoom_in: "+ Alt+=",
  zoom_out: "- Alt+-",
  search: "/",
  replace: "Ctrl+H",
  undo: "Ctrl+Z",
  redo: "Ctrl+Shift+Z Ctrl+Y",
  save: "Ctrl+S",
  help: "? F1",
};
const PUNCTUATION = {
  BracketLeft: "[", BracketRight: "]", Semicolon: ";", Quote: "'", Comma: ",", Period: ".", Equal: "=", Minus: "-",
};

/** Return a key with its modifiers, as it is written in the table. */
export function nameOf(event) {
  const withAlt = event.altKey;
  const code = event.code ?? "";
  // With Alt, a key may type another character; with Shift, brackets become braces.
  const byPlace = PUNCTUATION[code] ?? (/^Key[A-Z]$/.test(code) ? code.slice(3) : null);
  const isBracket = ["BracketLeft", "BracketRight", "Semicolon", "Quote"].includes(code);
  let key = event.key === " " ? "Space" : event.key.length === 1 && !/[<>?+]/.test(event.key) ? event.key.toUpperCase() : event.key;
  if ((withAlt || isBracket) && byPlace) key = byPlace;
  const shift = event.shiftKey && (event.key.length > 1 || event.ctrlKey || event.metaKey || withAlt || isBracket);
  return [(event.ctrlKey || event.metaKey) && "Ctrl", shift && "Shift", withAlt && "Alt", key].filter(Boolean).join("+");
}

/** Fill the list of keys. */
function showKeys() {
  const rows = Object.entries(KEYS).map(([name, keys]) => {
    const shown = keys.split(" ").map((key) => make("kbd", {}, key.replace("Arrow", "").replace("Escape", "Esc")));
    const list = name === "frame_nudge" ? [make("kbd", {}, "Shift")] : shown.flatMap((key) => [key, " "]);
    return make("div", {}, make("dt", {}, ...list), make("dd", {}, t(`key.${name}`)));
  });
  byId("keys").replaceChildren(...rows);
}

/** Does the commands on the cue that is edited, or else on the current one. */
export class Commands {
  /**
   * @param {object} parts
   * @param {import("./document.js").SubtitleDocument} parts.doc
   * @param {import("./player.js").Player} parts.player
   * @param {import("./transcript.js").Transcript} parts.transcript
   * @param {import("./form.js").CueForm} parts.form
   * @param {import("./findings.js").Findings} parts.findings
   * @param {import("./search.js").Search} parts.search
   * @param {import("./versions.js").Versions} parts.versions
   * @param {import("./waveform.js").Waveform} parts.waveform
   */
  constructor({ doc, player, transcript, form, findings, search, versions, waveform }) {
    this.doc = doc;
    this.player = player;
    this.transcript = transcript;
    this.form = form;
    this.findings = findings;
    this.search = search;
    this.versions = versions;
    this.waveform = waveform;
    const byKey = new Map(Object.entries(KEYS).flatMap(([name, keys]) => keys.split(" ").map((key) => [key, name])));
    // In the capture phase, before the video element, which would handle the keys a second time.
    document.addEventListener("keydown", (event) => this.#press(event, byKey), true);
    for (const button of document.querySelectorAll("[data-command]")) {
      button.addEventListener("click", () => this.run(button.dataset.command));
    }
    showKeys();
  }

  /** The index of the cue that the commands are for; -1 if there is none. */
  get index() {
    const { list } = this.doc;
    if (this.form.isOpen) return list.indexOf(this.form.cue);
    // While it plays, the cue that is spoken is meant, wherever the focus was left.
    const focused = this.player.paused && document.activeElement?.closest("#cues > li")?.cue;
    return focused ? list.indexOf(focused) : Math.min(Math.max(this.transcript.currentIndex, 0), list.length - 1);
  }

  /** Do a command by its name. */
  run(name, options = {}) {
    this.#actions[name](options);
  }

  /** The cue that the commands are for; undefined if there is none. */
  get cue() {
    return this.doc.list[this.index];
  }

  /** Show a cue, and go to its start. */
  goTo(cue) {
    if (!cue) return;
    this.player.seek(cue.start_ms);
    this.transcript.show(cue.start_ms);
    this.transcript.reveal(this.transcript.rowOf(cue));
  }

  #press(event, byKey) {
    if (document.querySelector("dialog[open]") || event.isComposing) return;
    const name = nameOf(event);
    const isNudge = name.startsWith("Shift+") && KEYS.frame_nudge.split(" ").includes(name);
    const command = byKey.get(isNudge ? name.replace("Shift+", "") : name);
    const { target } = event;
    const typing = target.matches("input:not([type=checkbox]), textarea, select");
    const withModifier = event.ctrlKey || event.metaKey || event.altKey || /^F\d/.test(name);
    if (!command || (typing && !withModifier && !(command === "drop" && target.closest("form")))) return;
    if (typing && ["undo", "redo"].includes(command) && !target.closest(".cue-form")) return; // a field's own
    if (["Space", "Enter"].includes(name) && target.closest("button, a, summary") && !(name === "Enter" && target.matches("#cues .at"))) return;
    event.preventDefault();
    event.stopPropagation();
    this.run(command, { isFrame: isNudge });
  }

  /** @type {Record<string, (options: {rule?: string, isFrame?: boolean}) => void>} */
  #actions = {
    play: () => this.player.toggle(),
    back: () => this.player.seek(this.player.now - SECONDS),
    forward: () => this.player.seek(this.player.now + SECONDS),
    back_5: () => this.player.seek(this.player.now - 5 * SECONDS),
    forward_5: () => this.player.seek(this.player.now + 5 * SECONDS),
    frame_back: () => this.player.stepFrames(-1),
    frame_forward: () => this.player.stepFrames(1),
    slower: () => this.player.changeSpeed(-1),
    faster: () => this.player.changeSpeed(1),
    loop: () => this.player.toggleLoop(this.doc.list[this.index]),
    previous: () => this.#step(-1),
    next: () => this.#step(1),
    edit: () => this.#open(this.index),
    done: () => this.form.close(),
    drop: () => this.form.drop(),
    in: () => this.setEdge("start", this.player.now),
    out: () => this.setEdge("end", this.player.now),
    start_earlier: (options) => this.#nudge("start", -1, options),
    start_later: (options) => this.#nudge("start", 1, options),
    end_earlier: (options) => this.#nudge("end", -1, options),
    end_later: (options) => this.#nudge("end", 1, options),
    split: () => this.#split(),
    merge: () => this.#merge(),
    add: () => this.#add(),
    delete: () => this.#delete(),
    uncertain: () => this.#nextUncertain(),
    problem: ({ rule = null }) => this.#nextProblem(rule),
    zoom_in: () => this.waveform.zoom(1.5),
    zoom_out: () => this.waveform.zoom(1 / 1.5),
    search: () => this.search.focus(),
    replace: () => this.search.focusReplacement(),
    undo: () => this.#travel("undo"),
    redo: () => this.#travel("redo"),
    save: () => this.versions.save(),
    help: () => byId("help").showModal(),
  };

  #open(index) {
    const cue = this.doc.list[index];
    if (cue) this.form.open(cue);
  }

  /** Go to a neighbour; if a cue is edited, it is done, and its neighbour is edited next. */
  #step(by) {
    const wasOpen = this.form.isOpen;
    const cue = this.doc.list[this.index];
    this.form.close();
    const at = this.doc.list.indexOf(cue);
    const { currentIndex } = this.transcript;
    const from = at >= 0 ? at : currentIndex;
    const isBefore = !wasOpen && currentIndex < 0 && !document.activeElement?.closest("#cues");
    const next = this.doc.list[isBefore ? 0 : Math.min(Math.max(from + by, 0), this.doc.list.length - 1)];
    if (!next) return;
    this.goTo(next);
    if (wasOpen) this.form.open(next);
    else if (document.activeElement?.closest("#cues")) this.transcript.focus(next);
  }

  /** Let the cue start or end at a time. */
  setEdge(edge, ms) {
    const cue = this.doc.list[this.index];
    if (cue) this.#move(edge, ms - cue[`${edge}_ms`]);
  }

  #nudge(edge, by, { isFrame = false }) {
    this.#move(edge, by * (isFrame ? this.player.frameMs : NUDGE_MS), `nudge ${edge}`);
  }

  #move(edge, by_ms, merge = null) {
    const { index } = this;
    const { list, endMs } = this.doc;
    if (!list[index]) return;
    const moved = moveCue(list, index, edge, by_ms, endMs);
    const asked = Math.round(list[index][`${edge}_ms`] + by_ms);
    if (moved[`${edge}_ms`] !== list[index][`${edge}_ms`]) this.doc.replace(index, 1, [moved], merge);
    if (Math.abs(moved[`${edge}_ms`] - asked) > 1) showMessage(t("stopped"));
  }

  #split() {
    const { index } = this;
    const cue = this.doc.list[index];
    if (!cue) return;
    const { caret } = this.form;
    const halves = splitCue(cue, caret ?? caretAt(cue, this.player.now), this.findings.limits);
    if (!halves) {
      showMessage(t("bad_split"), true);
      return;
    }
    this.#reopen(() => this.doc.replace(index, 1, halves), index + 1);
  }

  #merge() {
    const { index } = this;
    const [first, second] = this.doc.list.slice(index, index + 2);
    if (!second) showMessage(t("bad_merge"), true);
    else this.#reopen(() => this.doc.replace(index, 2, [mergeCues(first, second, this.findings.limits)]), index);
  }

  /** Change the cues; if one is edited, edit another afterwards. */
  #reopen(change, index) {
    const wasOpen = this.form.isOpen;
    this.form.release();
    change();
    if (wasOpen) this.#open(index);
    else this.transcript.focus(this.doc.list[index]);
  }

  /** Add a cue after the one that is meant, or as the first one. */
  #add() {
    this.form.close();
    const { list, endMs } = this.doc;
    const { index } = this;
    const before = list[index];
    const start_ms = before ? before.end_ms + this.findings.limits.min_gap_ms : 0;
    const room = list[index + 1] ? list[index + 1].start_ms - this.findings.limits.min_gap_ms : endMs;
    const end_ms = Math.min(start_ms + NEW_MS, room);
    if (end_ms - start_ms < MIN_MS) {
      showMessage(t("no_room"), true);
      return;
    }
    this.doc.replace(index + 1, 0, [{ start_ms, end_ms, text: "", words: null }]);
    this.form.open(this.doc.list[index + 1], true);
  }

  #delete() {
    const { index } = this;
    if (index < 0) return;
    this.form.release();
    this.doc.replace(index, 1, []);
    this.transcript.focus(this.doc.list[Math.min(index, this.doc.list.length - 1)]);
  }

  #nextUncertain() {
    const ms = this.transcript.nextUncertain(this.player.now);
    if (ms === null) {
      showMessage(t("no_low"));
      return;
    }
    this.form.close();
    this.player.seek(ms);
    this.transcript.show(ms);
    this.transcript.focus(this.doc.list[this.transcript.currentIndex]);
  }

  #nextProblem(rule = null) {
    const wasOpen = this.form.isOpen;
    const index = this.findings.next(this.doc.list.length ? this.index : -1, rule);
    this.form.close();
    const cue = this.doc.list[index];
    if (!cue) {
      showMessage(t("no_problems"));
      return;
    }
    this.goTo(cue);
    if (wasOpen) this.form.open(cue);
    else this.transcript.focus(cue);
  }

  #travel(way) {
    this.form.commit();
    const at = this.doc[way]();
    if (at === null) {
      showMessage(t(way === "undo" ? "nothing_to_undo" : "nothing_to_redo"));
      return;
    }
    const cue = this.doc.list[Math.min(at, this.doc.list.length - 1)];
    if (!cue || this.form.cue === cue) return;
    this.form.release();
    this.transcript.focus(cue);
  }
}
