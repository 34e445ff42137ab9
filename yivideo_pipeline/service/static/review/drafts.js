// What is not saved yet is kept in the browser, so that a crash or a closed tab loses nothing.

const PREFIX = "yivideo.draft:";
const KEPT_EVERY_MS = 300;
const KEPT_DAYS = 30;

/** The draft of one video: its cues as they were last, and the version that they were made from. */
export class Drafts {
  #timer = 0;

  /** `state` returns {version, cues}, or null if all is saved. */
  constructor(key, doc, state) {
    this.name = PREFIX + key;
    this.state = state;
    this.isKept = true;
    doc.addEventListener("change", () => this.#keepSoon());
    doc.addEventListener("saved", () => this.keep());
    addEventListener("pagehide", () => this.keep());
    document.addEventListener("visibilitychange", () => this.keep());
  }

  /** Return the draft that was left behind; null if there is none. */
  find() {
    try {
      const draft = JSON.parse(localStorage.getItem(this.name));
      return Array.isArray(draft?.cues) ? draft : null;
    } catch {
      return null;
    }
  }

  /** Keep the present state, or remove the draft if all is saved. */
  keep() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    const state = this.state();
    if (state === undefined) return; // nothing is shown yet
    try {
      if (state) this.#write(JSON.stringify({ ...state, kept_at: Date.now() }));
      else localStorage.removeItem(this.name);
      this.isKept = true;
    } catch {
      this.isKept = false; // no storage, or no room in it: closing the page then asks
    }
  }

  #keepSoon() {
    // Not after a pause: who types without one would lose all of it when the tab crashes.
    this.#timer ||= setTimeout(() => this.keep(), KEPT_EVERY_MS);
  }

  #write(text) {
    try {
      localStorage.setItem(this.name, text);
    } catch {
      this.#removeOld();
      localStorage.setItem(this.name, text);
    }
  }

  #removeOld() {
    const oldest = Date.now() - KEPT_DAYS * 86_400_000;
    for (const name of Object.keys(localStorage).filter((one) => one.startsWith(PREFIX))) {
      const keptAt = /"kept_at":(\d+)/.exec(localStorage.getItem(name))?.[1] ?? 0;
      if (Number(keptAt) < oldest) localStorage.removeItem(name);
    }
  }
}
