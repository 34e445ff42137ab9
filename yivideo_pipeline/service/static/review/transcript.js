// The transcript: a row a cue, its words made only where somebody can see them, the spoken one lit.

import { byId, make, t } from "./dom.js";
import { flat } from "./cues.js";
import { formatClock, placeAt } from "./times.js";

const NEAR = "600px";
const QUIET_KEYS = new Set(["PageUp", "PageDown", "Home", "End"]);

/** Fires "jump" with milliseconds, "edit" with a cue, and "near" when other rows can be seen. */
export class Transcript extends EventTarget {
  #rows = new Map();
  #scroller = byId("scroller");
  #near = new IntersectionObserver((seen) => this.#fill(seen), { root: this.#scroller, rootMargin: NEAR });
  #row = null;
  #word = null;
  #follows = true;

  constructor(cues) {
    super();
    this.cues = cues;
    this.lowPct = 50;
    /** The cues whose rows can be seen, or soon will be. */
    this.seen = new Set();
    this.element = byId("cues");
    this.element.addEventListener("click", (event) => this.#click(event));
    cues.addEventListener("change", (event) => this.#change(event.detail));
    for (const name of ["wheel", "touchmove"]) {
      this.#scroller.addEventListener(name, () => this.follow(false), { passive: true });
    }
    this.#scroller.addEventListener("pointerdown", (event) => {
      if (event.target === this.#scroller) this.follow(false); // its scrollbar
    });
    this.#scroller.addEventListener("keydown", (event) => {
      if (QUIET_KEYS.has(event.key)) this.follow(false);
    });
    byId("follow").addEventListener("click", () => this.follow(true));
  }

  /** The place of the cue that is shown, or was shown last; -1 before the first. */
  get place() {
    return this.#row ? this.cues.list.indexOf(this.#row.cue) : -1;
  }

  rowOf(cue) {
    return this.#rows.get(cue);
  }

  /** Go along with what is spoken, or stay where the reader is. */
  follow(on) {
    this.#follows = on;
    byId("follow").hidden = on || !this.cues.list.length;
    if (on && this.#row) this.reveal(this.#row);
  }

  /** Light what is spoken at a time. */
  show(ms) {
    const cue = this.cues.list[placeAt(this.cues.list, ms, (one) => one.start_ms)];
    this.#lightRow(cue ? this.#rows.get(cue) : null, cue, ms);
    this.#lightWord(cue, ms);
  }

  reveal(row) {
    const view = this.#scroller.getBoundingClientRect();
    const place = row.getBoundingClientRect();
    const above = place.top < view.top + 40;
    if (!above && place.bottom <= view.bottom - 80) return;
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const far = Math.abs(place.top - view.top) > 3 * view.height;
    // The list scrolls, never the page: on a narrow screen the video stays in sight.
    this.#scroller.scrollTo({
      top: this.#scroller.scrollTop + place.top - view.top - view.height / 3,
      behavior: calm || far ? "instant" : "smooth",
    });
  }

  /** The first cue after a place that holds a word the machine was unsure of; from the top after the last. */
  nextUncertain(place) {
    const isLow = (cue) => cue.words?.some((word) => word[3] < this.lowPct);
    const { list } = this.cues;
    const after = list.findIndex((cue, index) => index > place && isLow(cue));
    return after >= 0 ? after : list.findIndex(isLow);
  }

  #lightRow(row, cue, ms) {
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

  #lightWord(cue, ms) {
    const words = cue?.words ?? [];
    const at = placeAt(words, ms, (word) => word[1]);
    const span = words[at] && ms < words[at][2] + 80 ? this.#row?.querySelector(`[data-word="${at}"]`) : null;
    if (span === this.#word) return;
    this.#word?.classList.remove("lit");
    span?.classList.add("lit");
    this.#word = span;
  }

  #click(event) {
    const row = event.target.closest("li");
    if (!row?.cue || event.target.closest("form")) return;
    if (event.target.closest(".edit")) {
      this.dispatchEvent(new CustomEvent("edit", { detail: row.cue }));
      return;
    }
    if (getSelection().toString()) return; // somebody marks text to copy it
    const word = event.target.closest("[data-word]");
    if (!word && !event.target.closest(".at, .said-text")) return;
    this.follow(true);
    const ms = word ? row.cue.words[word.dataset.word][1] : row.cue.start_ms;
    this.dispatchEvent(new CustomEvent("jump", { detail: ms }));
  }

  #change({ at, removed, added }) {
    for (const cue of removed) {
      const row = this.#rows.get(cue);
      this.#near.unobserve(row);
      this.seen.delete(cue);
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
    const text = make("p", { className: "said-text" }, flat(cue));
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
    this.#near.observe(row);
    return row;
  }

  #fill(seen) {
    for (const { isIntersecting, target } of seen) {
      if (!isIntersecting || !target.isConnected) {
        this.seen.delete(target.cue);
        continue;
      }
      this.seen.add(target.cue);
      if (target.cue.words && !target.querySelector("[data-word]")) this.#fillWords(target);
    }
    this.dispatchEvent(new Event("near"));
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
      // The space stands between the words, not under their marks.
      return [index > 0 && /^\s/.test(text) ? " " : "", span, index < words.length - 1 && /\S\s$/.test(text) ? " " : ""];
    });
    row.querySelector(".said-text").replaceChildren(...parts.filter((part) => part !== ""));
  }
}
