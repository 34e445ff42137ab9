// The form that edits one cue in its row: its text, its exact times, and buttons to split, merge, add and delete.

import { showMessage } from "/static/frame.js";
import { make, t } from "./dom.js";
import { mergeCues, splitCue } from "./cues.js";
import { checkReadability } from "./readability.js";
import { formatMs, parseMs } from "./times.js";

const NEW_MS = 2000;
const MIN_MS = 100;
const MAX_TEXT = 1000;

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

  /** Edit a cue. The cue that is edited now is applied first; if that fails, it stays open instead. */
  open(cue) {
    const index = this.cues.list.indexOf(cue);
    if (this.isOpen && !this.apply()) return;
    // Applying may have replaced the cue by another.
    const now = this.cues.list.includes(cue) ? cue : this.cues.list[index];
    if (now) this.#show(now, this.transcript.rowOf(now), false);
  }

  /** Add a new cue after another, or as the first one; it joins the list when it is applied. */
  add(after) {
    const { list, endMs } = this.cues;
    const next = list[after ? list.indexOf(after) + 1 : 0];
    const start_ms = after ? after.end_ms : 0;
    const end_ms = Math.min(start_ms + NEW_MS, next?.start_ms ?? endMs, endMs);
    if (end_ms - start_ms < MIN_MS) {
      showMessage(t("no_room"), true);
      return;
    }
    const row = make("li", {});
    if (after) this.transcript.rowOf(after).after(row);
    else this.transcript.element.prepend(row);
    this.#show({ start_ms, end_ms, text: "", words: null }, row, true);
  }

  /** Apply what was typed; return false if it is invalid, and say why in the form. */
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
    const index = isNew ? this.#newIndex() : this.cues.list.indexOf(cue);
    this.close();
    const text = typed.text.split("\n").map((line) => line.trim()).filter(Boolean).join("\n");
    const same = text === cue.text;
    if (isNew || !same || typed.start_ms !== cue.start_ms || typed.end_ms !== cue.end_ms) {
      this.cues.replace(index, isNew ? 0 : 1, [{ ...typed, text, words: same ? cue.words : null }]);
    }
    return true;
  }

  /** Close the form and discard what was typed in it. */
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
    this.#check();
    const field = this.#form.querySelector("textarea");
    field.focus({ preventScroll: true });
    field.setSelectionRange(field.value.length, field.value.length);
  }

  #make(cue, isNew) {
    const form = make(
      "form",
      {
        className: "cue-form",
        oninput: () => this.#check(),
        onkeydown: (event) => this.#press(event),
        onsubmit: (event) => {
          event.preventDefault();
          this.apply();
        },
      },
      make("div", { className: "times" }, this.#time("start", cue.start_ms), this.#time("end", cue.end_ms)),
      make("textarea", { name: "text", rows: Math.max(2, cue.text.split("\n").length), maxLength: MAX_TEXT, value: cue.text, "aria-label": t("text"), spellcheck: true }),
      make("p", { className: "readability small number", role: "status" }),
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
        this.#check();
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

  #newIndex() {
    const before = this.#form.closest("li").previousElementSibling;
    return before ? this.cues.list.indexOf(before.cue) + 1 : 0;
  }

  #neighbours() {
    const { list } = this.cues;
    const index = this.#isNew ? this.#newIndex() : list.indexOf(this.#cue);
    return [list[index - 1], list[this.#isNew ? index : index + 1]];
  }

  /** Show how readable the cue is, and why it can't be applied. */
  #check() {
    const typed = this.#typed();
    const [before, after] = this.#neighbours();
    const problem = this.cues.problem(typed, before, after);
    this.#form.querySelector(".problem").textContent = problem && problem !== "bad_empty" ? t(problem) : "";
    const readability = this.#form.querySelector(".readability");
    if (typed.start_ms === null || typed.end_ms === null) {
      readability.textContent = "";
      return;
    }
    const { speed, seconds, warnings } = checkReadability(typed, after, this.limits);
    const figures = `${t("duration", { seconds: seconds.toFixed(2) })} · ${t("speed", { speed: speed.toFixed(1) })}`;
    readability.replaceChildren(figures, ...warnings.map((line) => make("span", { className: "mark warn" }, line)));
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
    const index = this.cues.list.indexOf(this.#cue);
    this.close();
    this.cues.replace(index, 1, halves);
    this.open(this.cues.list[index + 1]);
  }

  #merge() {
    const index = this.cues.list.indexOf(this.#cue);
    if (!this.apply()) return;
    const [first, second] = this.cues.list.slice(index, index + 2);
    this.cues.replace(index, 2, [mergeCues(first, second)]);
    this.open(this.cues.list[index]);
  }

  #addAfter() {
    const index = this.cues.list.indexOf(this.#cue);
    if (this.apply()) this.add(this.cues.list[index]);
  }

  #delete() {
    const index = this.cues.list.indexOf(this.#cue);
    this.close();
    this.cues.replace(index, 1, []);
  }
}
