// Search in the transcript: how often, where, and each hit marked.

import { byId, t } from "./dom.js";
import { flat } from "./cues.js";

const PAUSE_MS = 120;
const marks = globalThis.Highlight ? new Highlight() : null;
const here = globalThis.Highlight ? new Highlight() : null;
if (marks) {
  CSS.highlights.set("hit", marks);
  CSS.highlights.set("hit-here", here);
}

export class Search {
  #field = byId("search");
  #hits = [];
  #at = -1;
  #timer = 0;
  #wanted = "";

  /** `go` is told a cue to be shown. */
  constructor(cues, transcript, go) {
    this.cues = cues;
    this.transcript = transcript;
    this.go = go;
    this.#field.addEventListener("input", () => {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#look(), PAUSE_MS);
    });
    this.#field.addEventListener("keydown", (event) => this.#press(event));
    byId("previous-hit").addEventListener("click", () => this.step(-1));
    byId("next-hit").addEventListener("click", () => this.step(1));
    cues.addEventListener("change", () => this.#wanted && this.#look(this.#at));
    transcript.addEventListener("near", () => this.#mark());
  }

  focus() {
    this.#field.focus();
    this.#field.select();
  }

  step(by) {
    if (!this.#hits.length) return;
    this.#at = (this.#at + by + this.#hits.length) % this.#hits.length;
    this.#tell();
    this.go(this.#hits[this.#at].cue);
  }

  #press(event) {
    if (event.key === "Enter") {
      event.preventDefault();
      if (this.#wanted !== this.#field.value.trim().toLowerCase()) this.#look();
      else this.step(event.shiftKey ? -1 : 1);
    } else if (event.key === "Escape") {
      this.#field.value = "";
      this.#look();
      this.#field.blur();
    }
  }

  #look(at = -1) {
    clearTimeout(this.#timer);
    this.#wanted = this.#field.value.trim().toLowerCase();
    this.#hits = this.#wanted ? this.cues.list.flatMap((cue) => this.#hitsIn(cue)) : [];
    this.#at = Math.min(at, this.#hits.length - 1);
    this.#tell();
    if (at < 0) this.step(1);
  }

  #hitsIn(cue) {
    const text = flat(cue).toLowerCase();
    const hits = [];
    for (let from = text.indexOf(this.#wanted); from >= 0; from = text.indexOf(this.#wanted, from + 1)) {
      hits.push({ cue, from });
    }
    return hits;
  }

  #tell() {
    const count = this.#hits.length;
    const text = count ? t("hits", { at: this.#at + 1, count }) : t("no_hits");
    byId("hits").textContent = this.#wanted ? text : "";
    for (const id of ["previous-hit", "next-hit"]) byId(id).disabled = !count;
    this.#mark();
  }

  /** Mark the hits that can be seen; the others once they can. */
  #mark() {
    if (!marks) return; // a browser without the Highlight API still counts and jumps
    marks.clear();
    here.clear();
    this.#hits.forEach((hit, index) => {
      const range = this.transcript.seen.has(hit.cue) ? this.#rangeOf(hit) : null;
      if (range) (index === this.#at ? here : marks).add(range);
    });
  }

  #rangeOf({ cue, from }) {
    const text = this.transcript.rowOf(cue)?.querySelector(".said-text");
    if (!text) return null;
    const range = new Range();
    const walker = document.createTreeWalker(text, NodeFilter.SHOW_TEXT);
    const until = from + this.#wanted.length;
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
