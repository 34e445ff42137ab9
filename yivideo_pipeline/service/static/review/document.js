// The subtitles that are edited. All changes go through `replace`, so that each one can be undone and redone.

const MERGE_MS = 1500;

/**
 * @typedef {[text: string, start_ms: number, end_ms: number, percent: number, source: string]} TimedWord
 * @typedef {{start_ms: number, end_ms: number, text: string, words?: TimedWord[] | null}} Cue
 *   A cue is never changed, but replaced. `words` are null where the text was typed, until it is saved.
 * @typedef {{at: number, removed: Cue[], added: Cue[], merge: string | null, time: number}} Step
 */

/** The cues in order, with all steps that led to them. Fires "change" with {at, removed, added} in `detail`. */
export class SubtitleDocument extends EventTarget {
  /** @type {Cue[]} */
  list = [];
  endMs = 0;
  /** @type {Step[]} */
  #done = [];
  /** @type {Step[]} */
  #undone = [];
  /** @type {Step | null} The last step that the saved version has. */
  #savedStep = null;
  #saved = new Set();

  /** Replace everything by what the service has sent; nothing of before can be undone. */
  load(cues, endMs) {
    this.endMs = endMs;
    this.#done = [];
    this.#undone = [];
    this.#savedStep = null;
    this.#saved = new Set(cues);
    this.#splice({ at: 0, removed: this.list, added: cues });
  }

  /**
   * Replace `count` cues by others, as one step.
   *
   * Steps with the same `merge` that follow each other closely are one: the letters of a word that is typed.
   */
  replace(at, count, cues, merge = null) {
    const removed = this.list.slice(at, at + count);
    const { from, until } = unchangedEnds(removed, cues);
    const step = { at: at + from, removed: removed.slice(from, count - until), added: cues.slice(from, cues.length - until), merge, time: Date.now() };
    if (!step.removed.length && !step.added.length) return;
    const last = this.#done.at(-1);
    const continues = merge && last?.merge === merge && last.at === step.at && last !== this.#savedStep && step.time - last.time < MERGE_MS;
    if (continues) this.#done[this.#done.length - 1] = { ...step, removed: last.removed };
    else this.#done.push(step);
    this.#undone = [];
    this.#splice(step);
  }

  /** Replace each cue for which `change` returns another, as one step; return how many did. */
  map(change) {
    let changed = 0;
    const cues = this.list.map((cue, index) => {
      const other = change(cue, index);
      if (other !== cue) changed += 1;
      return other;
    });
    this.replace(0, this.list.length, cues);
    return changed;
  }

  /** Undo the last step; return the index where it was, or null if there is none. */
  undo() {
    const step = this.#done.pop();
    if (!step) return null;
    this.#undone.push(step);
    this.#splice({ at: step.at, removed: step.added, added: step.removed });
    return step.at;
  }

  /** Do the step again that was undone last; return the index where it was, or null if there is none. */
  redo() {
    const step = this.#undone.pop();
    if (!step) return null;
    this.#done.push(step);
    this.#splice(step);
    return step.at;
  }

  get canUndo() {
    return this.#done.length > 0;
  }

  get canRedo() {
    return this.#undone.length > 0;
  }

  /** The last step, to be compared with a later one. */
  get lastStep() {
    return this.#done.at(-1) ?? null;
  }

  /** How many steps lie between this and what is saved. */
  get unsaved() {
    if (this.lastStep === this.#savedStep) return 0;
    const ahead = this.#undone.findIndex((step) => step === this.#savedStep);
    if (ahead >= 0) return this.#undone.length - ahead;
    return this.#done.length - this.#done.lastIndexOf(this.#savedStep) - 1;
  }

  /** End the last step, so that what is typed next is one of its own; return it. */
  seal() {
    if (this.lastStep) this.lastStep.merge = null;
    return this.lastStep;
  }

  isSaved(cue) {
    return this.#saved.has(cue);
  }

  /** Note that the cues were saved as they were after a step; what was typed since is not saved. */
  markSaved(cues, step) {
    this.#savedStep = step;
    this.#saved = new Set(cues);
    this.dispatchEvent(new Event("saved"));
  }

  /** Take over the words that the service has found for cues that were typed. Fires "words". */
  fillWords(cues) {
    cues.forEach(({ start_ms, end_ms, text, words }, index) => {
      const cue = this.list[index];
      if (cue && !cue.words && cue.start_ms === start_ms && cue.end_ms === end_ms && cue.text === text) cue.words = words;
    });
    this.dispatchEvent(new Event("words"));
  }

  /** Return the cues as they are sent to the service. */
  plain() {
    return this.list.map(({ start_ms, end_ms, text }) => ({ start_ms, end_ms, text }));
  }

  #splice({ at, removed, added }) {
    // Not `splice(at, count, ...added)`: a long transcript has more cues than a call may have arguments.
    this.list = this.list.slice(0, at).concat(added, this.list.slice(at + removed.length));
    this.dispatchEvent(new CustomEvent("change", { detail: { at, removed, added } }));
  }
}

/** Return how many cues two lists share at their beginning, and at their end. */
function unchangedEnds(before, after) {
  const most = Math.min(before.length, after.length);
  let from = 0;
  while (from < most && before[from] === after[from]) from += 1;
  let until = 0;
  while (until < most - from && before.at(-1 - until) === after.at(-1 - until)) until += 1;
  return { from, until };
}

/** Return why a cue can't be saved, as the name of a text; null if it can. */
export function problemOf(cue, before, after, endMs) {
  if (cue.start_ms === null || cue.end_ms === null) return "bad_time";
  if (!cue.text.trim()) return "bad_empty";
  if (cue.end_ms <= cue.start_ms) return "bad_order";
  if (before && cue.start_ms < before.end_ms) return "bad_before";
  if (after && cue.end_ms > after.start_ms) return "bad_after";
  return cue.end_ms > endMs ? "bad_end" : null;
}

/** Return where a cue is after a change: the cue in its place, or null if it is gone. */
export function successor(cue, { removed, added }) {
  const place = removed.indexOf(cue);
  return place < 0 ? cue : (added[place] ?? null);
}

/** Return typed text as it is saved: lines without spaces at their ends, and none empty. */
export function tidy(text) {
  return text.split("\n").map((line) => line.trim()).filter(Boolean).join("\n");
}
