// The transcript: one row per cue, with words only in visible rows, and the spoken word highlighted.

import { byId, make, t } from "./dom.js";
import { lineOf } from "./cues.js";
import { formatClock, indexAt } from "./times.js";

const MARGIN = "600px";
const SCROLL_KEYS = new Set(["PageUp", "PageDown", "Home", "End"]);

/** Fires "jump" with milliseconds, "edit" with a cue, and "visible" when other rows become visible. */
export class Transcript extends EventTarget {
  #rows = new Map();
  #scroller = byId("scroller");
  #observer = new IntersectionObserver((entries) => this.#fill(entries), { root: this.#scroller, rootMargin: MARGIN });
  #row = null;
  #word = null;
  #follows = true;

  constructor(cues) {
    super();
    this.cues = cues;
    this.lowPct = 50;
    /** The cues whose rows are visible, or almost. */
    this.visible = new Set();
    this.element = byId("cues");
    this.element.addEventListener("click", (event) => this.#click(event));
    cues.addEventListener("change", (event) => this.#change(event.detail));
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
    return this.#row ? this.cues.list.indexOf(this.#row.cue) : -1;
  }

  rowOf(cue) {
    return this.#rows.get(cue);
  }

  /** Scroll along with the playback, or stop doing so. */
  follow(on) {
    this.#follows = on;
    byId("follow").hidden = on || !this.cues.list.length;
    if (on && this.#row) this.reveal(this.#row);
  }

  /** Highlight what is spoken at a time. */
  show(ms) {
    const cue = this.cues.list[indexAt(this.cues.list, ms, (one) => one.start_ms)];
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

  /** Return the index of the next cue with an uncertain word; after the last one, search from the top. */
  nextUncertain(index) {
    const isLow = (cue) => cue.words?.some((word) => word[3] < this.lowPct);
    const { list } = this.cues;
    const after = list.findIndex((cue, at) => at > index && isLow(cue));
    return after >= 0 ? after : list.findIndex(isLow);
  }

  #highlightRow(row, cue, ms) {
    const spoken = Boolean(cue && ms < cue.end_ms);
    if (row !== this.#row) {
      this.#row?.classList.remove("current", "spoken");
      this.#row?.querySelectorAll("button").forEach((button) => (button.tabIndex = -1));
      this.#row = row;
      row?.classList.add("current");
      row?.querySelectorAll("button").forEach((button) => (button.tabIndex = 0));
      if (row && this.#follows) this.reveal(row);
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
    if (event.target.closest(".edit")) {
      this.dispatchEvent(new CustomEvent("edit", { detail: row.cue }));
      return;
    }
    if (getSelection().toString()) return; // the user is selecting text
    const word = event.target.closest("[data-word]");
    if (!word && !event.target.closest(".at, .cue-text")) return;
    this.follow(true);
    const ms = word ? row.cue.words[word.dataset.word][1] : row.cue.start_ms;
    this.dispatchEvent(new CustomEvent("jump", { detail: ms }));
  }

  #change({ at, removed, added }) {
    for (const cue of removed) {
      const row = this.#rows.get(cue);
      this.#observer.unobserve(row);
      this.visible.delete(cue);
      if (row === this.#row) this.#row = this.#word = null;
      row.remove();
      this.#rows.delete(cue);
    }
    const before = this.cues.list[at + added.length];
    const fresh = document.createDocumentFragment();
    for (const cue of added) fresh.append(this.#make(cue));
    this.element.insertBefore(fresh, before ? this.#rows.get(before) : null);
  }

  #make(cue) {
    const time = formatClock(cue.start_ms);
    const text = make("p", { className: "cue-text" }, lineOf(cue));
    const row = make(
      "li",
      { className: cue.changed ? "changed" : "" },
      make("button", { type: "button", className: "at number", tabIndex: -1, title: t("jump", { time }) }, time),
      text,
      make("button", { type: "button", className: "edit quiet", tabIndex: -1, "aria-label": t("edit_cue", { time }) }, t("edit")),
    );
    if (cue.changed) row.title = t("changed");
    row.cue = cue;
    this.#rows.set(cue, row);
    this.#observer.observe(row);
    return row;
  }

  #fill(entries) {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting || !target.isConnected) {
        this.visible.delete(target.cue);
        continue;
      }
      this.visible.add(target.cue);
      if (target.cue.words && !target.querySelector("[data-word]")) this.#fillWords(target);
    }
    this.dispatchEvent(new Event("visible"));
  }

  #fillWords(row) {
    const { words } = row.cue;
    const parts = words.flatMap(([text, , , percent, source], index) => {
      const span = make("span", { data: { word: index } }, text.trim());
      if (source === "interpolated") {
        span.className = "estimated";
        span.title = t("interpolated");
      } else if (percent < this.lowPct) {
        span.className = "low";
        span.title = t("confidence", { percent });
      }
      // Spaces go between the words, so that the underlines do not cover them.
      return [index > 0 && /^\s/.test(text) ? " " : "", span, index < words.length - 1 && /\S\s$/.test(text) ? " " : ""];
    });
    row.querySelector(".cue-text").replaceChildren(...parts.filter((part) => part !== ""));
  }
}
