// The cues as they are being edited: one list, changed in one way, so that each step can be undone.

/** A cue's text in one line, exactly as its row shows it. */
export function flat(cue) {
  if (cue.words) return cue.words.map((word) => word[0]).join("").trim();
  return cue.text.replaceAll("\n", " ");
}

/** Fires "change" with {at, removed, added} in `detail`. */
export class CueList extends EventTarget {
  constructor() {
    super();
    this.list = [];
    this.endMs = 0;
    this.steps = [];
  }

  /** Take over what the service told. */
  load(cues, endMs) {
    this.endMs = endMs;
    this.steps = [];
    this.#put(0, this.list.length, cues);
  }

  /** Put cues in the place of `count` others. */
  replace(at, count, cues) {
    const added = cues.map((cue) => ({ ...cue, changed: true }));
    this.steps.push({ at, count: added.length, cues: this.list.slice(at, at + count) });
    this.#put(at, count, added);
  }

  /** Take the last step back; says where, or null where there is none. */
  undo() {
    const step = this.steps.pop();
    if (!step) return null;
    this.#put(step.at, step.count, step.cues);
    return step.at;
  }

  /** What the service wants to have saved. */
  plain() {
    return this.list.map(({ start_ms, end_ms, text }) => ({ start_ms, end_ms, text }));
  }

  /** Why a cue can't stand between its neighbours, as the name of a text; null where it can. */
  problem(cue, before, after) {
    if (cue.start_ms === null || cue.end_ms === null) return "bad_time";
    if (!cue.text.trim()) return "bad_empty";
    if (cue.end_ms <= cue.start_ms) return "bad_order";
    if (before && cue.start_ms < before.end_ms) return "bad_before";
    if (after && cue.end_ms > after.start_ms) return "bad_after";
    return cue.end_ms > this.endMs ? "bad_end" : null;
  }

  #put(at, count, added) {
    const removed = this.list.slice(at, at + count);
    // Not by `splice(at, count, ...added)`: a long transcript has more cues than a call takes arguments.
    this.list = this.list.slice(0, at).concat(added, this.list.slice(at + count));
    this.dispatchEvent(new CustomEvent("change", { detail: { at, removed, added } }));
  }
}

/** Part a cue at a place of its text; null where one half would be empty. */
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

/** Join two cues that follow each other. */
export function mergeCues(first, second) {
  const words = first.words && second.words ? [...first.words, ...spaced(second)] : null;
  return { start_ms: first.start_ms, end_ms: second.end_ms, text: `${first.text}\n${second.text}`, words };
}

/** The second cue's words, with the space that parts them from the first cue's, as its text needs it. */
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
  const place = cue.words.findIndex((word) => {
    const here = seen >= bare(head);
    seen += bare(word[0]);
    return here;
  });
  if (place < 1) return { time: guess, words: null };
  const words = [cue.words.slice(0, place), cue.words.slice(place)];
  // In the middle of a word no list of words says what the halves say.
  const fits = bare(words[0].map((word) => word[0]).join("")) === bare(head);
  return { time: cue.words[place][1], words: fits ? words : null };
}
