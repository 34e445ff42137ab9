// Saving, and which version stands: the machine's or the one edited by hand.

import { ask, language, say } from "/static/frame.js";
import { byId, make, t } from "./dom.js";
import { formatClock } from "./times.js";

const moments = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" });

/** `reload` asks the service anew and shows what it tells. */
export class Versions {
  #saving = false;

  constructor(address, cues, editor, reload) {
    this.address = address;
    this.cues = cues;
    this.editor = editor;
    this.reload = reload;
    this.version = 0;
    byId("save").addEventListener("click", () => this.save());
    byId("undo").addEventListener("click", () => this.undo());
    byId("show-difference").addEventListener("click", () => this.#compare());
    byId("go-back").addEventListener("click", () => this.#goBack());
    byId("which").addEventListener("change", () => this.#link());
    cues.addEventListener("change", () => this.#count());
    addEventListener("beforeunload", (event) => {
      if (cues.steps.length || editor.isOpen) event.preventDefault();
    });
  }

  /** Show what stands. */
  show({ version, edited }) {
    this.version = version;
    byId("version").hidden = !edited;
    byId("which").hidden = !edited;
    byId("downloads").hidden = false;
    if (edited) {
      const when = moments.format(new Date(edited.saved_at));
      byId("version-when").textContent = t("edited_at", { version, when });
      byId("machine-changed").hidden = !edited.machine_changed;
    }
    this.#link();
    this.#count();
  }

  undo() {
    this.editor.close();
    this.cues.undo();
  }

  /** Save all; what somebody typed is kept here whatever comes of it. */
  async save() {
    if (this.#saving || !this.editor.apply() || !this.cues.steps.length) return;
    this.#saving = true;
    byId("save").disabled = true;
    say(t("saving"));
    try {
      const body = { version: this.version, cues: this.cues.plain() };
      const saved = await ask(`${this.address}/cues`, { method: "PUT", body });
      await this.reload();
      this.#tellSaved(saved);
    } catch (problem) {
      say(problem.message, true);
      if (problem.kind === "edit_conflict") await this.#settle();
    } finally {
      this.#saving = false;
      byId("save").disabled = false;
    }
  }

  #tellSaved({ version, files, warnings }) {
    const names = files.join(", ");
    const done = names ? t("saved", { version, files: names }) : t("saved_only", { version });
    say([done, ...warnings].join(" "), warnings.length > 0);
  }

  async #settle() {
    const choice = await answerOf(byId("conflict"));
    if (choice === "theirs") await this.reload();
    if (choice !== "over") return;
    this.version = (await ask(this.address)).version;
    this.#saving = false;
    await this.save();
  }

  async #goBack() {
    if ((await answerOf(byId("back"))) !== "yes") return;
    this.editor.close();
    try {
      await ask(`${this.address}/edits?version=${this.version}`, { method: "DELETE" });
      await this.reload();
      say(t("back_done"));
    } catch (problem) {
      say(problem.message, true);
    }
  }

  async #compare() {
    const list = byId("differences");
    list.replaceChildren(make("p", { className: "muted" }, "…"));
    byId("difference").showModal();
    try {
      const { differences } = await ask(`${this.address}/differences`);
      const rows = differences.map(({ machine, edited }) => [side(machine, "del", "was_added"), side(edited, "ins", "was_deleted")]);
      const heads = [t("machine"), t("edited_by_hand")].map((text) => make("h3", {}, text));
      list.replaceChildren(...(rows.length ? [heads, ...rows].flat() : [make("p", {}, t("no_difference"))]));
    } catch (problem) {
      list.replaceChildren(make("p", { className: "note bad" }, problem.message));
    }
  }

  #count() {
    const count = this.cues.steps.length;
    byId("unsaved").hidden = count === 0;
    byId("unsaved-count").textContent = count === 1 ? t("unsaved_one") : t("unsaved", { count });
  }

  #link() {
    const version = byId("version").hidden ? "standing" : byId("which").value;
    for (const link of document.querySelectorAll("[data-kind]")) {
      link.href = `${this.address}/subtitles.${link.dataset.kind}?version=${version}`;
    }
  }
}

/** Open a dialog and wait for the button that closes it: its value, empty without one. */
function answerOf(dialog) {
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue), { once: true });
  });
}

function side(cues, tag, missing) {
  if (!cues.length) return make("div", { className: "muted" }, t(missing));
  const times = ({ start_ms, end_ms }) => `${formatClock(start_ms)} – ${formatClock(end_ms)}`;
  const lines = cues.flatMap((cue) => [make("span", { className: "small muted number" }, times(cue)), make(tag, {}, cue.text)]);
  return make("div", {}, ...lines);
}
