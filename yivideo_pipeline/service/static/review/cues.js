// The list of cues that is edited: all changes go through `replace`, so that each one can be undone.

/** Return a cue's text in one line, exactly as its row shows it. */
export function lineOf(cue) {
  if (cue.words) return cue.words.map((word) => word[0]).join("").trim();
  return cue.text.replaceAll("\n", " ");
}

/** The cues in order. Fires "change" with {at, removed, added} in `detail`. */
export class CueList extends EventTarget {
  constructor() {
    super();
    this.list = [];
    this.endMs = 0;
    this.steps = [];
  }

  /** Replace everything by what the service has sent. */
  load(cues, endMs) {
    this.endMs = endMs;
    this.steps = [];
    this.#splice(0, this.list.length, cues);
  }

  /** Replace `count` cues by others. */
  replace(at, count, cues) {
    const added = cues.map((cue) => ({ ...cue, changed: true }));
    this.steps.push({ at, count: added.length, cues: this.list.slice(at, at + count) });
    this.#splice(at, count, added);
  }

  /** Undo the last step; return its index, or null if there is none. */
  undo() {
    const step = this.steps.pop();
    if (!step) return null;
    this.#splice(step.at, step.count, step.cues);
    return step.at;
  }

  /** Return the cues as they are sent to the service. */
  plain() {
    return this.list.map(({ start_ms, end_ms, text }) => ({ start_ms, end_ms, text }));
  }

  /** Return why a cue does not fit between its neighbours, as the name of a text; null if it fits. */
  problem(cue, before, after) {
    if (cue.start_ms === null || cue.end_ms === null) return "bad_time";
    if (!cue.text.trim()) return "bad_empty";
    if (cue.end_ms <= cue.start_ms) return "bad_order";
    if (before && cue.start_ms < before.end_ms) return "bad_before";
    if (after && cue.end_ms > after.start_ms) return "bad_after";
    return cue.end_ms > this.endMs ? "bad_end" : null;
  }

  #splice(at, count, added) {
    const removed = this.list.slice(at, at + count);
    // Not `splice(at, count, ...added)`: a long transcript has more cues than a call may have arguments.
    this.list = this.list.slice(0, at).concat(added, this.list.slice(at + count));
    this.dispatchEvent(new CustomEvent("change", { detail: { at, removed, added } }));
  }
}

/** Split a cue at a position in its text; return null if one half would be empty. */
export function splitCue(cue, caret) {
  const texts = [cue.text.slice(0, caret).trim(), cue.text.slice(caret).trim()];
  if (!texts[0] || !texts[1]) return null;
  const { time, words } = splitPoint(cue, texts);
  const at_ms = Math.min(Math.max(time, cue.start_ms + 1), cue.end_ms - 1);
  if (at_ms <= cue.start_ms) return null;
  return [
    { start_ms: cue.start_ms, end_ms: at_ms, text: texts[0], words: words?.[0] ?? null },
    { start_ms: at_ms, end_ms: cue.end_ms, text: texts[1], words: words?.[1] ?? null },
  ];
}

/** Merge two consecutive cues. */
export function mergeCues(first, second) {
  const words = first.words && second.words ? [...first.words, ...spaced(second)] : null;
  return { start_ms: first.start_ms, end_ms: second.end_ms, text: `${first.text}\n${second.text}`, words };
}

/** Return the second cue's words, with a space before the first one if its script separates words by spaces. */
function spaced(cue) {
  const [first, ...others] = cue.words;
  const needsSpace = first && /^[\p{Script=Latin}\p{Script=Cyrillic}\p{Script=Greek}\d]/u.test(first[0]);
  return first ? [[needsSpace ? ` ${first[0]}` : first[0], ...first.slice(1)], ...others] : [];
}

function splitPoint(cue, [head, tail]) {
  const bare = (text) => text.replace(/\s+/g, "").length;
  const share = bare(head) / (bare(head) + bare(tail));
  const guess = Math.round(cue.start_ms + share * (cue.end_ms - cue.start_ms));
  if (!cue.words) return { time: guess, words: null };
  let seen = 0;
  const index = cue.words.findIndex((word) => {
    const here = seen >= bare(head);
    seen += bare(word[0]);
    return here;
  });
  if (index < 1) return { time: guess, words: null };
  const words = [cue.words.slice(0, index), cue.words.slice(index)];
  // Inside a word, no split of the list of words matches the two halves.
  const fits = bare(words[0].map((word) => word[0]).join("")) === bare(head);
  return { time: cue.words[index][1], words: fits ? words : null };
}
