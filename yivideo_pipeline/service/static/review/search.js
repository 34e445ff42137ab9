// The search in the transcript: counts the hits, goes from one to the next, and highlights them.

import { byId, t } from "./dom.js";
import { lineOf } from "./cues.js";

const PAUSE_MS = 120;
const allHits = globalThis.Highlight ? new Highlight() : null;
const currentHit = globalThis.Highlight ? new Highlight() : null;
if (allHits) {
  CSS.highlights.set("hit", allHits);
  CSS.highlights.set("hit-current", currentHit);
}

export class Search {
  #field = byId("search");
  #hits = [];
  #at = -1;
  #timer = 0;
  #query = "";

  /** `goTo` is called with the cue of each hit. */
  constructor(cues, transcript, goTo) {
    this.cues = cues;
    this.transcript = transcript;
    this.goTo = goTo;
    this.#field.addEventListener("input", () => {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#search(), PAUSE_MS);
    });
    this.#field.addEventListener("keydown", (event) => this.#press(event));
    byId("previous-hit").addEventListener("click", () => this.step(-1));
    byId("next-hit").addEventListener("click", () => this.step(1));
    cues.addEventListener("change", () => this.#query && this.#search(this.#at));
    transcript.addEventListener("visible", () => this.#highlight());
  }

  focus() {
    this.#field.focus();
    this.#field.select();
  }

  step(by) {
    if (!this.#hits.length) return;
    this.#at = (this.#at + by + this.#hits.length) % this.#hits.length;
    this.#showCount();
    this.goTo(this.#hits[this.#at].cue);
  }

  #press(event) {
    if (event.key === "Enter") {
      event.preventDefault();
      if (this.#query !== this.#field.value.trim().toLowerCase()) this.#search();
      else this.step(event.shiftKey ? -1 : 1);
    } else if (event.key === "Escape") {
      this.#field.value = "";
      this.#search();
      this.#field.blur();
    }
  }

  #search(at = -1) {
    clearTimeout(this.#timer);
    this.#query = this.#field.value.trim().toLowerCase();
    this.#hits = this.#query ? this.cues.list.flatMap((cue) => this.#hitsIn(cue)) : [];
    this.#at = Math.min(at, this.#hits.length - 1);
    this.#showCount();
    if (at < 0) this.step(1);
  }

  #hitsIn(cue) {
    const text = lineOf(cue).toLowerCase();
    const hits = [];
    for (let from = text.indexOf(this.#query); from >= 0; from = text.indexOf(this.#query, from + 1)) {
      hits.push({ cue, from });
    }
    return hits;
  }

  #showCount() {
    const count = this.#hits.length;
    const text = count ? t("hits", { at: this.#at + 1, count }) : t("no_hits");
    byId("hits").textContent = this.#query ? text : "";
    for (const id of ["previous-hit", "next-hit"]) byId(id).disabled = !count;
    this.#highlight();
  }

  /** Highlight the hits that are visible; others are highlighted once they are. */
  #highlight() {
    if (!allHits) return; // a browser without the Highlight API still counts the hits and jumps to them
    allHits.clear();
    currentHit.clear();
    this.#hits.forEach((hit, index) => {
      const range = this.transcript.visible.has(hit.cue) ? this.#rangeOf(hit) : null;
      if (range) (index === this.#at ? currentHit : allHits).add(range);
    });
  }

  #rangeOf({ cue, from }) {
    const text = this.transcript.rowOf(cue)?.querySelector(".cue-text");
    if (!text) return null;
    const range = new Range();
    const walker = document.createTreeWalker(text, NodeFilter.SHOW_TEXT);
    const until = from + this.#query.length;
    let seen = 0;
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      const length = node.data.length;
      if (seen <= from && from < seen + length) range.setStart(node, from - seen);
      if (seen < until && until <= seen + length) {
        range.setEnd(node, until - seen);
        return range;
      }
      seen += length;
    }
    return null;
  }
}
