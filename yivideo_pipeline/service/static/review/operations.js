// What can be done to cues: each function returns new cues, and changes none.

import { columnsOf, isCjk, joinLines, wrap } from "./lines.js";

export const MIN_MS = 100;

/** Return the time limits of a text: the shortest time to read it, in milliseconds, and the gap between cues. */
function readingMs(text, limits) {
  const cjk = isCjk(text);
  const columns = columnsOf(text.replaceAll("\n", "")) / (cjk ? 2 : 1);
  const perSecond = cjk ? limits.max_chars_per_second_cjk : limits.max_chars_per_second;
  return Math.max(Math.ceil((1000 * columns) / perSecond), limits.min_duration_s * 1000);
}

/** Return where each word of a cue stands in its text, as [from, until]; null for one that is not in it. */
export function placeWords(cue) {
  let seen = 0;
  return (cue.words ?? []).map(([text]) => {
    const word = text.trim();
    const from = word ? cue.text.indexOf(word, seen) : -1;
    if (from < 0) return null;
    seen = from + word.length;
    return [from, seen];
  });
}

/** Return the place in a cue's text of the word that is spoken at a time. */
export function caretAt(cue, ms) {
  const places = placeWords(cue);
  const at = (cue.words ?? []).findIndex((word, index) => places[index] && (word[1] + word[2]) / 2 >= ms);
  if (at >= 0) return places[at][0];
  if (cue.words?.length) return cue.text.length;
  return Math.round((cue.text.length * (ms - cue.start_ms)) / (cue.end_ms - cue.start_ms));
}

/** Split a cue at a position in its text; return null if one half would be empty. */
export function splitCue(cue, caret, limits) {
  const texts = [cue.text.slice(0, caret), cue.text.slice(caret)].map((text) => text.trim());
  if (!texts[0] || !texts[1]) return null;
  const places = placeWords(cue);
  const at = places.findIndex((place) => place && place[0] >= caret - 1);
  // Inside a word, no split of the list of words matches the two halves.
  const isBetween = at > 0 && places.every((place) => place && (place[1] <= caret || place[0] >= caret - 1));
  const share = texts[0].length / (texts[0].length + texts[1].length);
  const guess = Math.round(cue.start_ms + share * (cue.end_ms - cue.start_ms));
  const start_ms = Math.min(Math.max(isBetween ? cue.words[at][1] : guess, cue.start_ms + 2), cue.end_ms - 1);
  const spoken_ms = isBetween ? cue.words[at - 1][2] : start_ms;
  const latest_ms = Math.max(start_ms - limits.min_gap_ms, cue.start_ms + 1);
  // Readers see the first half as long as there is room: not only while it is spoken.
  const end_ms = Math.min(latest_ms, Math.max(spoken_ms, cue.start_ms + readingMs(texts[0], limits)));
  if (cue.end_ms - cue.start_ms < 3) return null;
  return [
    { start_ms: cue.start_ms, end_ms, text: wrap(texts[0], limits), words: isBetween ? cue.words.slice(0, at) : null },
    { start_ms, end_ms: cue.end_ms, text: wrap(texts[1], limits), words: isBetween ? cue.words.slice(at) : null },
  ];
}

/** Merge two consecutive cues. */
export function mergeCues(first, second, limits) {
  const text = wrap(joinLines(`${first.text}\n${second.text}`), limits);
  const words = first.words && second.words ? [...first.words, ...second.words] : null;
  return { start_ms: first.start_ms, end_ms: second.end_ms, text, words };
}

/** Move a cue, or one of its ends ("start", "end"), as far as its neighbours and the end of the video allow. */
export function moveCue(list, index, part, by_ms, endMs) {
  const cue = list[index];
  const least = list[index - 1]?.end_ms ?? 0;
  const most = list[index + 1]?.start_ms ?? endMs;
  const within = (ms, low, high) => Math.round(Math.max(low, Math.min(ms, high)));
  if (part === "start") return { ...cue, start_ms: within(cue.start_ms + by_ms, least, cue.end_ms - MIN_MS) };
  if (part === "end") return { ...cue, end_ms: within(cue.end_ms + by_ms, cue.start_ms + MIN_MS, most) };
  const length = cue.end_ms - cue.start_ms;
  const start_ms = within(cue.start_ms + by_ms, least, Math.max(least, most - length));
  return { ...cue, start_ms, end_ms: start_ms + length };
}

/** Return a cue with all its times changed by a function. */
export function retime(cue, change) {
  const at = (ms) => Math.round(change(ms));
  const words = cue.words?.map(([text, start, end, ...rest]) => [text, at(start), at(end), ...rest]) ?? null;
  return { ...cue, start_ms: at(cue.start_ms), end_ms: at(cue.end_ms), words };
}

/**
 * Return the function that moves two times to two others, and all else in proportion; null if it can't be.
 *
 * @param {number[]} first
 * @param {number[]} last
 */
export function twoPoints([from_a, to_a], [from_b, to_b]) {
  const factor = (to_b - to_a) / (from_b - from_a);
  return Number.isFinite(factor) && factor > 0 ? (ms) => to_a + (ms - from_a) * factor : null;
}

/** Return a cue that ends later, as far as the next one allows. */
function lengthen(cue, length_ms, after, { limits, endMs }) {
  const most = after ? after.start_ms - limits.min_gap_ms : endMs;
  const end_ms = Math.round(Math.min(cue.start_ms + length_ms, most));
  return end_ms > cue.end_ms ? { ...cue, end_ms } : cue;
}

/** Return a cue that ends a gap before the next one; unchanged if too little of it would be left. */
function keepGap(cue, after, { limits }) {
  const end_ms = after ? after.start_ms - limits.min_gap_ms : cue.end_ms;
  return end_ms < cue.end_ms && end_ms - cue.start_ms >= MIN_MS ? { ...cue, end_ms } : cue;
}

/** Return a cue that is shown no longer than allowed: up to its last word, or else in parts. */
function shorten(cue, after, { limits }) {
  const longest = Math.round(limits.max_duration_s * 1000);
  if (cue.end_ms - cue.start_ms <= longest) return cue;
  const needed = cue.words?.length ? cue.words.at(-1)[2] - cue.start_ms : readingMs(cue.text, limits);
  if (needed <= longest) return { ...cue, end_ms: cue.start_ms + longest };
  const halves = splitCue(cue, middleOf(cue), limits);
  return halves ? halves.flatMap((half) => shorten(half, after, { limits })) : cue;
}

/** Return the place in a cue's text where a word begins that is nearest to the middle of its time, or of its text. */
function middleOf(cue) {
  const middle_ms = (cue.start_ms + cue.end_ms) / 2;
  const places = placeWords(cue);
  const starts = cue.words?.length ? cue.words.flatMap((word, index) => (places[index] ? [[places[index][0], word[1]]] : [])) : [];
  const inside = starts.filter(([at]) => at > 0).sort((a, b) => Math.abs(a[1] - middle_ms) - Math.abs(b[1] - middle_ms));
  if (inside.length) return inside[0][0];
  const half = cue.text.length / 2;
  const breaks = [...cue.text.matchAll(/\s+/g)].map(({ index }) => index).sort((a, b) => Math.abs(a - half) - Math.abs(b - half));
  return breaks[0] ?? Math.round(half);
}

/** Return cues in the order of their times, none of which overlap: each ends where the next one needs the time. */
export function putInOrder(list, { limits, endMs }) {
  const forwards = list.map((cue) => (cue.end_ms < cue.start_ms ? { ...cue, start_ms: cue.end_ms, end_ms: cue.start_ms } : cue));
  const sorted = forwards.toSorted((a, b) => a.start_ms - b.start_ms);
  let least = 0;
  return sorted.map((cue, index) => {
    const start_ms = Math.max(cue.start_ms, least);
    const next = sorted[index + 1]?.start_ms;
    const free = next !== undefined && next - limits.min_gap_ms >= start_ms + MIN_MS ? next - limits.min_gap_ms : endMs;
    const end_ms = Math.max(Math.min(cue.end_ms, free), start_ms + MIN_MS);
    least = end_ms;
    return start_ms === cue.start_ms && end_ms === cue.end_ms ? cue : { ...cue, start_ms, end_ms };
  });
}

const rewrap = (cue, after, { limits }) => {
  const text = wrap(cue.text, limits);
  return text === cue.text ? cue : { ...cue, text };
};

/** Faults of a cue's place among the others, which are corrected for all cues together. */
export const DISORDER = new Set(["bad_order", "bad_before", "bad_after"]);

/** What corrects a cue that breaks a rule, by the rule's name: a cue, or several in its place. */
export const FIXES = {
  warn_speed: (cue, after, rules) => lengthen(cue, readingMs(cue.text, rules.limits), after, rules),
  warn_long: shorten,
  warn_short: (cue, after, rules) => lengthen(cue, rules.limits.min_duration_s * 1000, after, rules),
  warn_long_line: rewrap,
  warn_lines: rewrap,
  warn_gap: keepGap,
  bad_end: (cue, after, { endMs }) => (endMs - cue.start_ms >= MIN_MS ? { ...cue, end_ms: endMs } : cue),
};
