// One cue being edited, in its own row: its text, its exact times, and what can be done with it.

import { say } from "/static/frame.js";
import { make, t } from "./dom.js";
import { mergeCues, splitCue } from "./cues.js";
import { readingOf } from "./reading.js";
import { formatMs, parseMs } from "./times.js";

const NEW_MS = 2000;
const LEAST_MS = 100;
const LONGEST_TEXT = 1000;

export class Editor {
  #form = null;
  #cue = null;
  #isNew = false;

  constructor(cues, transcript, player) {
    this.cues = cues;
    this.transcript = transcript;
    this.player = player;
    this.limits = null;
    transcript.addEventListener("edit", (event) => this.open(event.detail));
  }

  get isOpen() {
    return this.#form !== null;
  }

  /** Edit a cue; one that is being edited is done first, and stays open where it can't be. */
  open(cue) {
    const place = this.cues.list.indexOf(cue);
    if (this.isOpen && !this.apply()) return;
    // Being done may have put another in its place.
    const now = this.cues.list.includes(cue) ? cue : this.cues.list[place];
    if (now) this.#show(now, this.transcript.rowOf(now), false);
  }

  /** Write a new cue after another, or as the first; it is in the list once it is done. */
  add(after) {
    const { list, endMs } = this.cues;
    const next = list[after ? list.indexOf(after) + 1 : 0];
    const start_ms = after ? after.end_ms : 0;
    const end_ms = Math.min(start_ms + NEW_MS, next?.start_ms ?? endMs, endMs);
    if (end_ms - start_ms < LEAST_MS) {
      say(t("no_room"), true);
      return;
    }
    const row = make("li", {});
    if (after) this.transcript.rowOf(after).after(row);
    else this.transcript.element.prepend(row);
    this.#show({ start_ms, end_ms, text: "", words: null }, row, true);
  }

  /** Take over what was typed; false where it can't stand, which is said in the form. */
  apply() {
    if (!this.isOpen) return true;
    const typed = this.#typed();
    const [before, after] = this.#neighbours();
    const problem = this.cues.problem(typed, before, after);
    if (problem) {
      this.#form.querySelector(".problem").textContent = t(problem);
      this.#form.querySelector("textarea").focus();
      return false;
    }
    const cue = this.#cue;
    const isNew = this.#isNew;
    const place = isNew ? this.#newPlace() : this.cues.list.indexOf(cue);
    this.close();
    const text = typed.text.split("\n").map((line) => line.trim()).filter(Boolean).join("\n");
    const same = text === cue.text;
    if (isNew || !same || typed.start_ms !== cue.start_ms || typed.end_ms !== cue.end_ms) {
      this.cues.replace(place, isNew ? 0 : 1, [{ ...typed, text, words: same ? cue.words : null }]);
    }
    return true;
  }

  /** Leave the form; what was typed in it is dropped. */
  close() {
    if (!this.isOpen) return;
    const row = this.#form.closest("li");
    this.#form.remove();
    row.classList.remove("editing");
    if (this.#isNew) row.remove();
    this.#form = this.#cue = null;
  }

  #show(cue, row, isNew) {
    this.#cue = cue;
    this.#isNew = isNew;
    this.#form = this.#make(cue, isNew);
    row.classList.add("editing");
    row.append(this.#form);
    this.transcript.follow(false);
    this.transcript.reveal(row);
    this.#measure();
    const field = this.#form.querySelector("textarea");
    field.focus({ preventScroll: true });
    field.setSelectionRange(field.value.length, field.value.length);
  }

  #make(cue, isNew) {
    const form = make(
      "form",
      {
        className: "cue-form",
        oninput: () => this.#measure(),
        onkeydown: (event) => this.#press(event),
        onsubmit: (event) => {
          event.preventDefault();
          this.apply();
        },
      },
      make("div", { className: "times" }, this.#time("start", cue.start_ms), this.#time("end", cue.end_ms)),
      make("textarea", { name: "text", rows: Math.max(2, cue.text.split("\n").length), maxLength: LONGEST_TEXT, value: cue.text, "aria-label": t("text"), spellcheck: true }),
      make("p", { className: "reading small number", role: "status" }),
      make("p", { className: "problem small", role: "alert" }),
    );
    const buttons = make("div", { className: "row" }, make("button", { className: "main" }, t("done")), this.#button("cancel", () => this.close()));
    if (!isNew) {
      buttons.append(
        make("span", { className: "spring" }),
        this.#button("split", () => this.#split()),
        this.#button("merge", () => this.#merge(), this.cues.list.at(-1) === cue),
        this.#button("add", () => this.#addAfter()),
        this.#button("delete", () => this.#delete()),
      );
    }
    form.append(buttons);
    return form;
  }

  #time(name, ms) {
    const field = make("input", { name, value: formatMs(ms), className: "number", inputMode: "decimal", autocomplete: "off", size: 12 });
    const set = make(
      "button",
      { type: "button", className: "quiet small", title: t("from_playhead"), "aria-label": `${t(name)}: ${t("from_playhead")}`, onclick: () => {
        field.value = formatMs(this.player.now);
        this.#measure();
      } },
      t("now"),
    );
    const label = make("label", {}, make("span", { className: "small muted" }, t(name)), field);
    return make("div", { className: "row" }, label, set);
  }

  #button(name, onclick, disabled = false) {
    return make("button", { type: "button", className: "quiet", onclick, disabled, data: { act: name } }, t(name));
  }

  #press(event) {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      this.apply();
    } else if (event.key === "Escape") {
      event.stopPropagation();
      this.close();
    }
  }

  #typed() {
    const { start, end, text } = this.#form.elements;
    return { start_ms: parseMs(start.value), end_ms: parseMs(end.value), text: text.value };
  }

  #newPlace() {
    const before = this.#form.closest("li").previousElementSibling;
    return before ? this.cues.list.indexOf(before.cue) + 1 : 0;
  }

  #neighbours() {
    const { list } = this.cues;
    const place = this.#isNew ? this.#newPlace() : list.indexOf(this.#cue);
    return [list[place - 1], list[this.#isNew ? place : place + 1]];
  }

  /** Say how fast it reads, and what keeps it from being taken over. */
  #measure() {
    const typed = this.#typed();
    const [before, after] = this.#neighbours();
    const problem = this.cues.problem(typed, before, after);
    this.#form.querySelector(".problem").textContent = problem && problem !== "bad_empty" ? t(problem) : "";
    const told = this.#form.querySelector(".reading");
    if (typed.start_ms === null || typed.end_ms === null) {
      told.textContent = "";
      return;
    }
    const { speed, seconds, warnings } = readingOf(typed, after, this.limits);
    const figures = `${t("duration", { seconds: seconds.toFixed(2) })} · ${t("speed", { speed: speed.toFixed(1) })}`;
    told.replaceChildren(figures, ...warnings.map((line) => make("span", { className: "mark warn" }, line)));
  }

  #split() {
    const { text } = this.#form.elements;
    const typed = this.#typed();
    const words = typed.text === this.#cue.text ? this.#cue.words : null;
    const halves = typed.start_ms === null ? null : splitCue({ ...typed, words }, text.selectionStart);
    if (!halves || this.cues.problem(typed, ...this.#neighbours())) {
      this.#form.querySelector(".problem").textContent = t("bad_split");
      text.focus();
      return;
    }
    const place = this.cues.list.indexOf(this.#cue);
    this.close();
    this.cues.replace(place, 1, halves);
    this.open(this.cues.list[place + 1]);
  }

  #merge() {
    const place = this.cues.list.indexOf(this.#cue);
    if (!this.apply()) return;
    const [first, second] = this.cues.list.slice(place, place + 2);
    this.cues.replace(place, 2, [mergeCues(first, second)]);
    this.open(this.cues.list[place]);
  }

  #addAfter() {
    const place = this.cues.list.indexOf(this.#cue);
    if (this.apply()) this.add(this.cues.list[place]);
  }

  #delete() {
    const place = this.cues.list.indexOf(this.#cue);
    this.close();
    this.cues.replace(place, 1, []);
  }
}
