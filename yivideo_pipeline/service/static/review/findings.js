// What is wrong with each cue: faults, with which nothing can be saved, and warnings by the limits of its run.

import { problemOf } from "./document.js";
import { columnsOf, isCjk } from "./lines.js";
import { t } from "./dom.js";

/** @typedef {{rule: string, isFault: boolean, text: string}} Finding */

/** Return how fast a cue has to be read, in characters per second, and its seconds. */
export function speedOf(cue) {
  const seconds = Math.max(1, cue.end_ms - cue.start_ms) / 1000;
  const perChar = isCjk(cue.text) ? 2 : 1;
  const length = cue.text.split("\n").reduce((sum, line) => sum + columnsOf(line.trim()) / perChar, 0);
  return { seconds, speed: length / seconds };
}

/** Return all findings on a cue. */
function check(cue, before, after, limits, endMs) {
  const fault = problemOf(cue, before, after, endMs);
  if (fault) return [{ rule: fault, isFault: true, text: t(fault) }];
  const lines = cue.text.split("\n").filter((line) => line.trim());
  const cjk = isCjk(cue.text);
  const { speed, seconds } = speedOf(cue);
  const fastest = cjk ? limits.max_chars_per_second_cjk : limits.max_chars_per_second;
  const longest = cjk ? limits.max_chars_per_line_cjk : limits.max_chars_per_line;
  const gap = after ? after.start_ms - cue.end_ms : Infinity;
  const shortest = Math.floor(limits.min_duration_s * 1000) / 1000;
  const broken = {
    warn_speed: speed > fastest && t("warn_speed", { limit: fastest }),
    warn_long_line: lines.some((line) => columnsOf(line.trim()) / (cjk ? 2 : 1) > longest) && t("warn_long_line", { limit: longest }),
    warn_lines: lines.length > limits.max_lines && t("warn_lines", { limit: limits.max_lines }),
    warn_short: seconds < shortest && t("warn_short", { limit: limits.min_duration_s.toFixed(2) }),
    warn_long: seconds > limits.max_duration_s && t("warn_long", { limit: limits.max_duration_s }),
    warn_gap: gap < limits.min_gap_ms && t("warn_gap"),
  };
  return Object.entries(broken).filter(([, text]) => text).map(([rule, text]) => ({ rule, isFault: false, text }));
}

/** The findings on all cues. Fires "change" with the cues whose findings were made anew in `detail`. */
export class Findings extends EventTarget {
  /** @type {Map<object, Finding[]>} */
  #found = new Map();

  constructor(doc) {
    super();
    this.doc = doc;
    this.limits = null;
    doc.addEventListener("change", (event) => this.#change(event.detail));
  }

  of(cue) {
    return this.#found.get(cue) ?? [];
  }

  /** How many cues break each rule, by the rule's name. */
  get counts() {
    const counts = new Map();
    for (const cue of this.doc.list) for (const { rule } of this.of(cue)) counts.set(rule, (counts.get(rule) ?? 0) + 1);
    return counts;
  }

  get hasFaults() {
    return this.doc.list.some((cue) => this.of(cue).some(({ isFault }) => isFault));
  }

  /** Return the index of the next cue that breaks a rule, or any; after the last, search from the top; -1 for none. */
  next(index, rule = null) {
    const isBad = (cue) => this.of(cue).some((finding) => !rule || finding.rule === rule);
    const after = this.doc.list.findIndex((cue, at) => at > index && isBad(cue));
    return after >= 0 ? after : this.doc.list.findIndex(isBad);
  }

  #change({ at, removed, added }) {
    for (const cue of removed) this.#found.delete(cue);
    const { list, endMs } = this.doc;
    const touched = [];
    for (let index = Math.max(0, at - 1); index <= Math.min(at + added.length, list.length - 1); index += 1) {
      this.#found.set(list[index], check(list[index], list[index - 1], list[index + 1], this.limits, endMs));
      touched.push(list[index]);
    }
    this.dispatchEvent(new CustomEvent("change", { detail: touched }));
  }
}
