// The form that edits one cue in its row. What is typed changes the cue at once, so that nothing of it can be lost.

import { make, t } from "./dom.js";
import { problemOf, successor, tidy } from "./document.js";
import { speedOf } from "./findings.js";
import { formatMs, parseMs } from "./times.js";

const MAX_TEXT = 1000;
let opened = 0;

export class CueForm {
  #form = null;
  #cue = null;
  #original = null;

  /** `run` does a command by its name. To be made after the findings, which a change brings up to date first. */
  constructor(doc, transcript, findings, run) {
    this.doc = doc;
    this.transcript = transcript;
    this.findings = findings;
    this.run = run;
    transcript.addEventListener("edit", (event) => this.open(event.detail));
    doc.addEventListener("change", (event) => this.#change(event.detail));
  }

  get isOpen() {
    return this.#form !== null;
  }

  /** The cue that is edited; null if none is. */
  get cue() {
    return this.#cue;
  }

  /** The position of the cursor in the text, also while a button has the focus; null if no cue is edited. */
  get caret() {
    return this.#form?.elements.text.selectionStart ?? null;
  }

  /** Edit a cue; the one that is edited now is done. `isNew` if the cue is to go when nothing is typed. */
  open(cue, isNew = false) {
    const index = this.doc.list.indexOf(cue);
    if (this.isOpen && this.#cue !== cue) this.close();
    const now = this.doc.list.includes(cue) ? cue : this.doc.list[Math.min(index, this.doc.list.length - 1)];
    if (!now || this.isOpen) return;
    opened += 1; // the steps of each form are its own
    this.#cue = now;
    this.#original = isNew ? null : now;
    this.#form = this.#make();
    const row = this.transcript.rowOf(now);
    row.classList.add("editing");
    row.append(this.#form);
    this.transcript.follow(false);
    this.transcript.reveal(row);
    this.#refresh();
    const field = this.#form.elements.text;
    field.focus({ preventScroll: true });
    field.setSelectionRange(field.value.length, field.value.length);
  }

  /** Close the form; what was typed stays. A cue without text goes. */
  close() {
    if (!this.isOpen) return;
    this.commit();
    const cue = this.#cue;
    const index = this.doc.list.indexOf(cue);
    const text = tidy(cue.text);
    this.#detach();
    if (!text) this.doc.replace(index, 1, []);
    else if (text !== cue.text) this.doc.replace(index, 1, [{ ...cue, text }], this.#mergeName);
  }

  /** Close the form, and leave the cue as it is. */
  release() {
    if (this.isOpen) this.#detach();
  }

  /** Close the form and drop what was typed in it; that can be undone. */
  drop() {
    if (!this.isOpen) return;
    const index = this.doc.list.indexOf(this.#cue);
    const original = this.#original;
    this.#detach();
    this.doc.replace(index, 1, original ? [original] : []);
  }

  /** Take over a time that was typed, if it fits. */
  commit() {
    if (!this.isOpen) return;
    for (const name of ["start", "end"]) this.#commitTime(name);
  }

  get #mergeName() {
    return `text ${opened}`;
  }

  #detach() {
    const row = this.#form.closest("li");
    const hadFocus = this.#form.contains(document.activeElement);
    this.#form.remove();
    row?.classList.remove("editing");
    const cue = this.#cue;
    this.#form = this.#cue = null;
    if (hadFocus) this.transcript.focus(cue);
  }

  #make() {
    return make(
      "form",
      {
        className: "cue-form",
        onsubmit: (event) => {
          event.preventDefault();
          this.run("done");
        },
      },
      make("div", { className: "times" }, this.#time("start", "in"), this.#time("end", "out")),
      make("textarea", { name: "text", rows: 2, maxLength: MAX_TEXT, value: this.#cue.text, "aria-label": t("text"), spellcheck: true, oninput: () => this.#type() }),
      make("p", { className: "readability small number", role: "status" }),
      make("p", { className: "problem small", role: "alert" }),
      make(
        "div",
        { className: "row" },
        make("button", { className: "main" }, t("done")),
        this.#button("drop"),
        make("span", { className: "spring" }),
        ...["split", "merge", "add", "delete"].map((name) => this.#button(name)),
      ),
    );
  }

  #time(name, command) {
    const field = make("input", {
      name, value: formatMs(this.#cue[`${name}_ms`]), className: "number", inputMode: "decimal", autocomplete: "off", size: 12,
      oninput: () => this.#checkTimes(),
      onchange: () => this.#commitTime(name),
      onkeydown: (event) => event.key === "Enter" && !event.ctrlKey && !event.altKey && (event.preventDefault(), this.#commitTime(name)),
    });
    const set = make(
      "button",
      { type: "button", className: "quiet small", title: t("from_playhead"), "aria-label": `${t(name)}: ${t("from_playhead")}`, onclick: () => this.run(command) },
      t("now"),
    );
    return make("div", { className: "row" }, make("label", {}, make("span", { className: "small muted" }, t(name)), field), set);
  }

  #button(name) {
    return make("button", { type: "button", className: "quiet", onclick: () => this.run(name), data: { act: name } }, t(name));
  }

  #type() {
    const { value } = this.#form.elements.text;
    const text = value.replaceAll("\r", "");
    const words = text === this.#original?.text ? this.#original.words : null;
    this.doc.replace(this.doc.list.indexOf(this.#cue), 1, [{ ...this.#cue, text, words }], this.#mergeName);
  }

  #typedTimes() {
    const { start, end } = this.#form.elements;
    return { start_ms: parseMs(start.value), end_ms: parseMs(end.value) };
  }

  /** Show why the times that are typed don't fit; return whether they do. */
  #checkTimes() {
    const index = this.doc.list.indexOf(this.#cue);
    const { list, endMs } = this.doc;
    const problem = problemOf({ text: "…", ...this.#typedTimes() }, list[index - 1], list[index + 1], endMs);
    this.#form.querySelector(".problem").textContent = problem ? t(problem) : "";
    return !problem;
  }

  #commitTime(name) {
    const typed = this.#typedTimes()[`${name}_ms`];
    if (typed === this.#cue[`${name}_ms`] || !this.#checkTimes()) return;
    this.doc.replace(this.doc.list.indexOf(this.#cue), 1, [{ ...this.#cue, [`${name}_ms`]: typed }]);
  }

  #change(change) {
    if (!this.isOpen) return;
    const now = successor(this.#cue, change);
    if (!now) {
      this.#detach();
      return;
    }
    const { start, end, text } = this.#form.elements;
    // A time that is being typed stays, unless the cue's own has changed meanwhile.
    if (now.start_ms !== this.#cue.start_ms) start.value = formatMs(now.start_ms);
    if (now.end_ms !== this.#cue.end_ms) end.value = formatMs(now.end_ms);
    this.#cue = now;
    if (text.value !== now.text) {
      const caret = text.selectionStart;
      text.value = now.text;
      text.setSelectionRange(caret, caret);
    }
    this.#refresh();
  }

  /** Show how readable the cue is. */
  #refresh() {
    if (!this.isOpen) return;
    const { speed, seconds } = speedOf(this.#cue);
    const figures = `${t("duration", { seconds: seconds.toFixed(2) })} · ${t("speed", { speed: speed.toFixed(1) })}`;
    const marks = this.findings.of(this.#cue).map(({ text, isFault }) => make("span", { className: isFault ? "mark bad" : "mark warn" }, text));
    this.#form.querySelector(".readability").replaceChildren(figures, ...marks);
    this.#checkTimes();
  }
}
