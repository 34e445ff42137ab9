// Find and replace in the transcript: counts the hits, goes from one to the next, highlights and replaces them.

import { byId, setDisabled, t } from "./dom.js";
import { wrap } from "./lines.js";
import { showMessage } from "/static/frame.js";

const PAUSE_MS = 120;
const allHits = globalThis.Highlight ? new Highlight() : null;
const currentHit = globalThis.Highlight ? new Highlight() : null;
if (allHits) {
  CSS.highlights.set("hit", allHits);
  CSS.highlights.set("hit-current", currentHit);
}

/** Return the expression that finds what is asked for; null if it is empty or invalid. A space also finds a line break. */
function expressionOf(text, { matchCase, wholeWord, isRegex }) {
  if (!text.trim()) return null;
  const source = (isRegex ? text : text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).replaceAll(" ", "\\s");
  // Not \b, which knows only the letters a to z.
  const whole = wholeWord ? `(?<![\\p{L}\\p{N}_])(?:${source})(?![\\p{L}\\p{N}_])` : source;
  try {
    return new RegExp(whole, matchCase ? "gu" : "giu");
  } catch {
    return null;
  }
}

export class Search {
  #field = byId("search");
  #hits = [];
  #at = -1;
  #timer = 0;
  #expression = null;

  /** `goTo` is called with the cue of each hit. */
  constructor(doc, transcript, findings, goTo) {
    this.doc = doc;
    this.transcript = transcript;
    this.findings = findings;
    this.goTo = goTo;
    this.#field.addEventListener("input", () => this.#searchSoon());
    this.#field.addEventListener("keydown", (event) => this.#press(event));
    byId("replacement").addEventListener("keydown", (event) => this.#pressReplacement(event));
    for (const name of ["match-case", "whole-word", "is-regex"]) {
      byId(name).addEventListener("click", ({ currentTarget: button }) => {
        button.setAttribute("aria-pressed", String(button.getAttribute("aria-pressed") !== "true"));
        this.#search();
      });
    }
    byId("previous-hit").addEventListener("click", () => this.step(-1));
    byId("next-hit").addEventListener("click", () => this.step(1));
    byId("replace-one").addEventListener("click", () => this.#replaceOne());
    byId("replace-all").addEventListener("click", () => this.#replaceAll());
    byId("show-replace").addEventListener("click", () => this.#showReplacement(byId("replacing").hidden));
    doc.addEventListener("change", () => this.#expression && this.#searchSoon(this.#at));
    transcript.addEventListener("visible", () => this.#highlight());
  }

  focus() {
    this.#field.focus();
    this.#field.select();
  }

  focusReplacement() {
    this.#showReplacement(true);
    byId(this.#field.value ? "replacement" : "search").focus();
  }

  step(by) {
    if (!this.#hits.length) return;
    this.#at = (this.#at + by + this.#hits.length) % this.#hits.length;
    this.#showCount();
    this.goTo(this.#hits[this.#at].cue);
  }

  #showReplacement(on) {
    byId("replacing").hidden = byId("replacement").hidden = !on;
    byId("show-replace").setAttribute("aria-expanded", String(on));
  }

  #press(event) {
    if (event.key === "Enter") {
      event.preventDefault();
      if (this.#timer) this.#search();
      else this.step(event.shiftKey ? -1 : 1);
    } else if (event.key === "Escape") {
      this.#field.value = "";
      this.#search();
      this.transcript.focus(this.doc.list[Math.max(0, this.transcript.currentIndex)]);
    }
  }

  #pressReplacement(event) {
    if (event.key === "Escape") {
      this.#showReplacement(false);
      this.focus();
    } else if (event.key === "Enter") {
      event.preventDefault();
      this.#replaceOne();
    }
  }

  #searchSoon(at = -1) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#search(at), PAUSE_MS);
  }

  #search(at = -1) {
    clearTimeout(this.#timer);
    this.#timer = 0;
    const isOn = (name) => byId(name).getAttribute("aria-pressed") === "true";
    const options = { matchCase: isOn("match-case"), wholeWord: isOn("whole-word"), isRegex: isOn("is-regex") };
    this.#expression = expressionOf(this.#field.value, options);
    this.#hits = this.#expression ? this.doc.list.flatMap((cue) => this.#hitsIn(cue)) : [];
    this.#at = Math.min(at, this.#hits.length - 1);
    this.#showCount();
    if (at < 0) this.step(1);
  }

  #hitsIn(cue) {
    return [...cue.text.matchAll(this.#expression)].filter(([text]) => text).map((match) => ({ cue, from: match.index, until: match.index + match[0].length }));
  }

  #replacementOf(text) {
    const typed = byId("replacement").value;
    const isRegex = byId("is-regex").getAttribute("aria-pressed") === "true";
    return text.replace(this.#expression, isRegex ? typed.replaceAll("\\n", "\n") : () => typed);
  }

  /** Return a cue with another text, in lines that fit; a cue of which nothing is left keeps its text. */
  #withText(cue, text) {
    if (text === cue.text || !text.trim()) return cue;
    const lostBreak = text.split("\n").length < cue.text.split("\n").length;
    return { ...cue, text: lostBreak ? wrap(text, this.findings.limits) : text, words: null };
  }

  #replaceOne() {
    if (this.#timer) this.#search();
    const hit = this.#hits[Math.max(0, this.#at)];
    if (!hit) return;
    const { cue, from, until } = hit;
    const index = this.doc.list.indexOf(cue);
    const text = cue.text.slice(0, from) + this.#replacementOf(cue.text.slice(from, until)) + cue.text.slice(until);
    const at = Math.max(0, this.#at);
    this.doc.replace(index, 1, [this.#withText(cue, text)]);
    this.#search(at);
    this.#at = Math.min(at, this.#hits.length - 1);
    this.#showCount();
    if (this.#hits.length) this.goTo(this.#hits[this.#at].cue);
  }

  #replaceAll() {
    if (this.#timer) this.#search();
    if (!this.#expression) return;
    const count = this.#hits.length;
    this.doc.map((cue) => this.#withText(cue, this.#replacementOf(cue.text)));
    this.#search();
    showMessage(t("replaced", { count }));
  }

  #showCount() {
    const count = this.#hits.length;
    const found = count ? t("hits", { at: this.#at + 1, count }) : t("no_hits");
    const isInvalid = this.#field.value.trim() && !this.#expression;
    byId("hits").textContent = isInvalid ? t("bad_regex") : this.#expression ? found : "";
    for (const id of ["previous-hit", "next-hit", "replace-one", "replace-all"]) setDisabled(byId(id), !count);
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

  #rangeOf({ cue, from, until }) {
    const text = this.transcript.rowOf(cue)?.querySelector(".cue-text");
    if (!text) return null;
    const range = new Range();
    const walker = document.createTreeWalker(text, NodeFilter.SHOW_TEXT);
    let seen = 0;
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      const { length } = node.nodeValue;
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
