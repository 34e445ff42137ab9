// The transcript: one row per cue with what is wrong with it, its words only in visible rows, the spoken one highlighted.

import { byId, make, t } from "./dom.js";
import { joinLines } from "./lines.js";
import { successor } from "./document.js";
import { placeWords } from "./operations.js";
import { formatClock, indexAt } from "./times.js";

const MARGIN = "600px";
const SCROLL_KEYS = new Set(["PageUp", "PageDown", "Home", "End"]);

/** Fires "jump" with milliseconds, "edit" with a cue, "current" when another cue is, and "visible" when other rows are. */
export class Transcript extends EventTarget {
  #rows = new Map();
  #scroller = byId("scroller");
  #observer = new IntersectionObserver((entries) => this.#fill(entries), { root: this.#scroller, rootMargin: MARGIN });
  #row = null;
  #word = null;
  #follows = true;

  constructor(doc) {
    super();
    this.doc = doc;
    this.lowPct = 50;
    /** The cues whose rows are visible, or almost. */
    this.visible = new Set();
    this.element = byId("cues");
    this.element.addEventListener("click", (event) => this.#click(event));
    this.element.addEventListener("dblclick", (event) => this.#edit(event.target.closest("li")));
    doc.addEventListener("change", (event) => this.#change(event.detail));
    doc.addEventListener("saved", () => this.#rows.forEach((row) => this.#markRow(row)));
    doc.addEventListener("words", () => this.visible.forEach((cue) => this.#fillRow(this.#rows.get(cue))));
    for (const name of ["wheel", "touchmove"]) {
      this.#scroller.addEventListener(name, () => this.follow(false), { passive: true });
    }
    this.#scroller.addEventListener("pointerdown", (event) => {
      if (event.target === this.#scroller) this.follow(false); // the scrollbar
    });
    this.#scroller.addEventListener("keydown", (event) => {
      if (SCROLL_KEYS.has(event.key)) this.follow(false);
    });
    byId("follow").addEventListener("click", () => this.follow(true));
  }

  /** The index of the current cue, or of the last one before it; -1 before the first. */
  get currentIndex() {
    return this.#row ? this.doc.list.indexOf(this.#row.cue) : -1;
  }

  /** Show what is wrong with a cue. */
  mark(cue, findings) {
    const marks = findings.map(({ text, isFault }) => make("span", { className: isFault ? "mark bad" : "mark warn" }, text));
    const place = this.#rows.get(cue).querySelector(":scope > .findings");
    if (marks.length || place.childElementCount) place.replaceChildren(...marks);
  }

  rowOf(cue) {
    return this.#rows.get(cue);
  }

  /** Scroll along with the playback, or stop doing so. */
  follow(on) {
    this.#follows = on;
    byId("follow").hidden = on || !this.doc.list.length;
    if (on && this.#row) this.reveal(this.#row);
  }

  /** Highlight what is spoken at a time. */
  show(ms) {
    const cue = this.doc.list[indexAt(this.doc.list, ms, (one) => one.start_ms)];
    this.#highlightRow(cue ? this.#rows.get(cue) : null, cue, ms);
    this.#highlightWord(cue, ms);
  }

  reveal(row) {
    const view = this.#scroller.getBoundingClientRect();
    const place = row.getBoundingClientRect();
    const above = place.top < view.top + 40;
    if (!above && place.bottom <= view.bottom - 80) return;
    const reducedMotion = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const far = Math.abs(place.top - view.top) > 3 * view.height;
    // Only the list scrolls, not the page: on a narrow screen the video stays visible.
    this.#scroller.scrollTo({
      top: this.#scroller.scrollTop + place.top - view.top - view.height / 3,
      behavior: reducedMotion || far ? "instant" : "smooth",
    });
  }

  /** The time of the next uncertain word after a time; after the last one, of the first one; null if there is none. */
  nextUncertain(ms) {
    const low = this.doc.list.flatMap((cue) => cue.words?.filter((word) => word[3] < this.lowPct) ?? []);
    return (low.find((word) => word[1] > ms + 1) ?? low[0])?.[1] ?? null;
  }

  /** Let a row's buttons be reached by Tab: one row's at a time, so that Tab soon leaves the list. */
  setTabStop(row) {
    for (const button of this.element.querySelectorAll(":scope > li > button[tabindex='0']")) button.tabIndex = -1;
    row?.querySelectorAll(":scope > button").forEach((button) => (button.tabIndex = 0));
  }

  /** Focus a cue's row. */
  focus(cue) {
    const row = this.#rows.get(cue);
    if (!row) return;
    this.setTabStop(row);
    this.reveal(row);
    row.querySelector(".at").focus({ preventScroll: true });
  }

  #highlightRow(row, cue, ms) {
    const spoken = Boolean(cue && ms < cue.end_ms);
    if (row !== this.#row) {
      this.#row?.classList.remove("current", "spoken");
      this.#row?.removeAttribute("aria-current");
      this.#row = row;
      row?.classList.add("current");
      row?.setAttribute("aria-current", "true");
      this.setTabStop(row ?? this.element.firstElementChild);
      if (row && this.#follows) this.reveal(row);
      this.dispatchEvent(new Event("current"));
    }
    row?.classList.toggle("spoken", spoken);
  }

  #highlightWord(cue, ms) {
    const words = cue?.words ?? [];
    const at = indexAt(words, ms, (word) => word[1]);
    const span = words[at] && ms < words[at][2] + 80 ? this.#row?.querySelector(`[data-word="${at}"]`) : null;
    if (span === this.#word) return;
    this.#word?.classList.remove("spoken-word");
    span?.classList.add("spoken-word");
    this.#word = span;
  }

  #click(event) {
    const row = event.target.closest("li");
    if (!row?.cue || event.target.closest("form")) return;
    if (event.target.closest(".edit")) this.#edit(row);
    else if (!getSelection().toString()) this.#jump(row, event.target.closest("[data-word]"), event.target); // else the user selects text
  }

  #jump(row, word, target) {
    if (!word && !target.closest(".at, .cue-text")) return;
    this.follow(true);
    const ms = word ? row.cue.words[word.dataset.word][1] : row.cue.start_ms;
    this.dispatchEvent(new CustomEvent("jump", { detail: ms }));
  }

  #edit(row) {
    if (!row?.cue || row.classList.contains("editing")) return;
    getSelection().empty(); // a double click selects a word
    this.dispatchEvent(new CustomEvent("edit", { detail: row.cue }));
  }

  /** Rows of cues that were replaced stay, with the form and the focus that they may have. */
  #change({ at, removed, added }) {
    for (const cue of removed) {
      const row = this.#rows.get(cue);
      this.#rows.delete(cue);
      this.visible.delete(cue);
      const now = successor(cue, { removed, added });
      if (now) this.#show(row, now);
      else this.#remove(row);
    }
    const before = this.doc.list[at + added.length];
    const fresh = document.createDocumentFragment();
    for (const cue of added.slice(removed.length)) fresh.append(this.#make(cue));
    this.element.insertBefore(fresh, before ? this.#rows.get(before) : null);
    if (!this.#row) this.setTabStop(this.element.firstElementChild);
  }

  #remove(row) {
    this.#observer.unobserve(row);
    const neighbour = row.nextElementSibling ?? row.previousElementSibling;
    const hadFocus = row.contains(document.activeElement);
    if (row === this.#row) this.#row = this.#word = null;
    row.remove();
    // The focus must not fall to the page: the next key would do something else.
    if (hadFocus) (neighbour?.querySelector(".at") ?? byId("search")).focus({ preventScroll: true });
  }

  #make(cue) {
    const row = make(
      "li",
      {},
      make("button", { type: "button", className: "at number", tabIndex: -1 }),
      make("p", { className: "cue-text" }),
      make("button", { type: "button", className: "edit quiet", tabIndex: -1 }, t("edit")),
      make("p", { className: "findings small" }),
    );
    this.#show(row, cue);
    this.#observer.observe(row);
    return row;
  }

  /** Let a row show a cue. */
  #show(row, cue) {
    const time = formatClock(cue.start_ms);
    const at = row.querySelector(":scope > .at");
    at.textContent = time;
    at.title = t("jump", { time });
    at.setAttribute("aria-label", this.#describe(cue, time));
    row.querySelector(":scope > .edit").setAttribute("aria-label", t("edit_cue", { time }));
    row.querySelector(":scope > .cue-text").textContent = cue.text;
    if (row.contains(this.#word)) this.#word = null;
    row.cue = cue;
    this.#rows.set(cue, row);
    this.#markRow(row);
    if (row.isShown) this.#fillRow(row);
  }

  /** What a screen reader says when a cue gets the focus: its time and text, and the words that are uncertain. */
  #describe(cue, time) {
    const low = cue.words?.filter((word) => this.#isLow(word)).map(([text]) => text.trim()) ?? [];
    return `${time} ${joinLines(cue.text)}${low.length ? ` (${t("uncertain", { words: low.join(", ") })})` : ""}`;
  }

  #isLow([, , , percent, source]) {
    return percent < this.lowPct && source !== "interpolated";
  }

  #markRow(row) {
    const isSaved = this.doc.isSaved(row.cue);
    row.classList.toggle("changed", !isSaved);
    row.title = isSaved ? "" : t("changed");
  }

  #fill(entries) {
    for (const { isIntersecting, target } of entries) {
      target.isShown = isIntersecting && target.isConnected;
      if (target.isShown) this.#fillRow(target);
      else this.visible.delete(target.cue);
    }
    this.dispatchEvent(new Event("visible"));
  }

  /** Make a word of each word in a row's text, whose content stays the same. */
  #fillRow(row) {
    const { cue } = row;
    this.visible.add(cue);
    const text = row.querySelector(":scope > .cue-text");
    if (!cue.words || text.childElementCount) return;
    let seen = 0;
    const parts = placeWords(cue).flatMap((place, index) => {
      if (!place) return [];
      const between = cue.text.slice(seen, place[0]);
      seen = place[1];
      return [between, this.#makeWord(cue.words[index], cue.text.slice(...place), index)];
    });
    text.replaceChildren(...[...parts, cue.text.slice(seen)].filter((part) => part !== ""));
  }

  #makeWord(word, text, index) {
    const span = make("span", { data: { word: index } }, text);
    if (word[4] === "interpolated") {
      span.className = "estimated";
      span.title = t("interpolated");
    } else if (this.#isLow(word)) {
      span.className = "low";
      span.title = t("confidence", { percent: word[3] });
    }
    return span;
  }
}
