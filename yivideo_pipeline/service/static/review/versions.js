// Saves edits, shows which version is current, compares the two, and restores the machine version.

import { fetchJson, language, showMessage } from "/static/frame.js";
import { byId, make, t } from "./dom.js";
import { formatClock } from "./times.js";

const timestamps = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" });

/** `reload` loads the review from the service and shows it. */
export class Versions {
  #saving = false;

  constructor(url, cues, editor, reload) {
    this.url = url;
    this.cues = cues;
    this.editor = editor;
    this.reload = reload;
    this.version = 0;
    byId("save").addEventListener("click", () => this.save());
    byId("undo").addEventListener("click", () => this.undo());
    byId("show-difference").addEventListener("click", () => this.#showDifferences());
    byId("go-back").addEventListener("click", () => this.#restoreMachine());
    byId("which").addEventListener("change", () => this.#updateLinks());
    cues.addEventListener("change", () => this.#showUnsaved());
    addEventListener("beforeunload", (event) => {
      if (cues.steps.length || editor.isOpen) event.preventDefault();
    });
  }

  /** Show which version is current. */
  show({ version, edited }) {
    this.version = version;
    byId("version").hidden = !edited;
    byId("which").hidden = !edited;
    byId("downloads").hidden = false;
    if (edited) {
      const when = timestamps.format(new Date(edited.saved_at));
      byId("version-when").textContent = t("edited_at", { version, when });
      byId("machine-changed").hidden = !edited.machine_changed;
    }
    this.#updateLinks();
    this.#showUnsaved();
  }

  undo() {
    this.editor.close();
    this.cues.undo();
  }

  /** Save all cues; if that fails, the changes stay here. */
  async save() {
    if (this.#saving || !this.editor.apply() || !this.cues.steps.length) return;
    this.#saving = true;
    byId("save").disabled = true;
    showMessage(t("saving"));
    try {
      const body = { version: this.version, cues: this.cues.plain() };
      const saved = await fetchJson(`${this.url}/cues`, { method: "PUT", body });
      await this.reload();
      this.#showSaved(saved);
    } catch (problem) {
      showMessage(problem.message, true);
      if (problem.kind === "edit_conflict") await this.#resolveConflict();
    } finally {
      this.#saving = false;
      byId("save").disabled = false;
    }
  }

  #showSaved({ version, files, warnings }) {
    const names = files.join(", ");
    const done = names ? t("saved", { version, files: names }) : t("saved_only", { version });
    showMessage([done, ...warnings].join(" "), warnings.length > 0);
  }

  async #resolveConflict() {
    const choice = await askUser(byId("conflict"));
    if (choice === "theirs") await this.reload();
    if (choice !== "over") return;
    this.version = (await fetchJson(this.url)).version;
    this.#saving = false;
    await this.save();
  }

  async #restoreMachine() {
    if ((await askUser(byId("back"))) !== "yes") return;
    this.editor.close();
    try {
      await fetchJson(`${this.url}/edits?version=${this.version}`, { method: "DELETE" });
      await this.reload();
      showMessage(t("back_done"));
    } catch (problem) {
      showMessage(problem.message, true);
    }
  }

  async #showDifferences() {
    const list = byId("differences");
    list.replaceChildren(make("p", { className: "muted" }, "…"));
    byId("difference").showModal();
    try {
      const { differences } = await fetchJson(`${this.url}/differences`);
      const rows = differences.map(({ machine, edited }) => [makeSide(machine, "del", "was_added"), makeSide(edited, "ins", "was_deleted")]);
      const heads = [t("machine"), t("edited_by_hand")].map((text) => make("h3", {}, text));
      list.replaceChildren(...(rows.length ? [heads, ...rows].flat() : [make("p", {}, t("no_difference"))]));
    } catch (problem) {
      list.replaceChildren(make("p", { className: "note bad" }, problem.message));
    }
  }

  #showUnsaved() {
    const count = this.cues.steps.length;
    byId("unsaved").hidden = count === 0;
    byId("unsaved-count").textContent = t("unsaved", { count });
  }

  #updateLinks() {
    const version = byId("version").hidden ? "standing" : byId("which").value;
    for (const link of document.querySelectorAll("[data-kind]")) {
      link.href = `${this.url}/subtitles.${link.dataset.kind}?version=${version}`;
    }
  }
}

/** Open a dialog, and return the value of the button that closes it; empty if there was none. */
function askUser(dialog) {
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue), { once: true });
  });
}

function makeSide(cues, tag, missing) {
  if (!cues.length) return make("div", { className: "muted" }, t(missing));
  const times = ({ start_ms, end_ms }) => `${formatClock(start_ms)} – ${formatClock(end_ms)}`;
  const lines = cues.flatMap((cue) => [make("span", { className: "small muted number" }, times(cue)), make(tag, {}, cue.text)]);
  return make("div", {}, ...lines);
}
