// Saves edits, also by itself; lists, compares and brings back the versions, and imports files as one.

import { fetchJson, joinSentences, language, showMessage } from "/static/frame.js";
import { byId, make, setDisabled, t } from "./dom.js";
import { formatClock } from "./times.js";

const QUIET_MS = 30_000;
const MOST_KEPT_ALIVE = 20_000;
const timestamps = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" });

/** `reload` loads the review from the service and shows it. */
export class Versions {
  #saving = false;
  #inConflict = false;
  #timer = 0;

  constructor(url, doc, findings, form, reload) {
    this.url = url;
    this.doc = doc;
    this.findings = findings;
    this.form = form;
    this.reload = reload;
    this.version = 0;
    byId("show-versions").addEventListener("click", () => this.#showVersions());
    byId("show-difference").addEventListener("click", () => this.#showDifferences());
    byId("go-back").addEventListener("click", () => this.#restoreMachine());
    byId("import").addEventListener("click", () => byId("file").click());
    byId("file").addEventListener("change", () => this.#import(byId("file").files[0]));
    for (const name of ["which", "export-profile"]) byId(name).addEventListener("change", () => this.#updateLinks());
    for (const name of ["change", "saved"]) doc.addEventListener(name, () => this.#showState());
    document.addEventListener("visibilitychange", () => document.hidden && this.#saveByItself());
  }

  /** Show which version is current. */
  show({ version, edited }) {
    this.version = version;
    byId("version").hidden = !edited;
    byId("which").hidden = !edited;
    byId("downloads").hidden = false;
    byId("show-versions").hidden = version === 0;
    if (edited) {
      const when = timestamps.format(new Date(edited.saved_at));
      byId("version-when").textContent = t("edited_at", { version, when });
      byId("machine-changed").hidden = !edited.machine_changed;
    }
    this.#updateLinks();
    this.#showState();
  }

  /** Save all cues; if that fails, the changes stay here. */
  async save() {
    this.form.commit();
    if (this.#saving || !this.doc.unsaved) return;
    if (this.findings.hasFaults) {
      showMessage(t("has_faults"), true);
      return;
    }
    showMessage(t("saving"));
    try {
      this.#showSaved(await this.#send());
    } catch (problem) {
      showMessage(problem.message, true);
      if (problem.kind === "edit_conflict") await this.#resolveConflict();
    }
  }

  async #send() {
    this.#saving = true;
    setDisabled(byId("save"), true);
    clearTimeout(this.#timer);
    const { list } = this.doc;
    const lastStep = this.doc.seal();
    try {
      const body = { version: this.version, cues: this.doc.plain() };
      // A request that is kept alive is sent even if the page closes; browsers limit its size.
      const keepalive = JSON.stringify(body).length < MOST_KEPT_ALIVE;
      const saved = await fetchJson(`${this.url}/cues`, { method: "PUT", body, keepalive });
      this.#inConflict = false;
      this.doc.markSaved(list, lastStep);
      this.show(saved);
      this.doc.fillWords((await fetchJson(this.url)).cues);
      return saved;
    } finally {
      this.#saving = false;
      this.#showState();
    }
  }

  /** Save after a while without changes; what can't be saved yet stays in the browser's draft. */
  async #saveByItself() {
    if (this.#saving || this.#inConflict || !this.doc.unsaved || this.findings.hasFaults) return;
    try {
      const { version } = await this.#send();
      showMessage(t("saved_by_itself", { version }));
    } catch (problem) {
      this.#inConflict = problem.kind === "edit_conflict";
      showMessage(problem.message, true);
    }
  }

  #showSaved({ version, files, warnings }) {
    const names = files.join(", ");
    const done = names ? t("saved", { version, files: names }) : t("saved_only", { version });
    showMessage([done, ...warnings].join(" "), warnings.length > 0);
  }

  async #resolveConflict() {
    this.#inConflict = true;
    const choice = await askUser(byId("conflict"));
    if (choice === "theirs") {
      this.form.release();
      await this.reload();
      this.#inConflict = false;
    }
    if (choice !== "over") return;
    this.version = (await fetchJson(this.url)).version;
    await this.save();
  }

  async #restoreMachine() {
    if ((await askUser(byId("back"))) !== "yes") return;
    this.form.release();
    try {
      await fetchJson(`${this.url}/edits?version=${this.version}`, { method: "DELETE" });
      await this.reload();
      showMessage(t("back_done"));
    } catch (problem) {
      showMessage(problem.message, true);
    }
  }

  async #showVersions() {
    const list = byId("version-list");
    list.replaceChildren(make("li", { className: "muted" }, "…"));
    byId("versions").showModal();
    try {
      const { versions } = await fetchJson(`${this.url}/versions`);
      list.replaceChildren(...versions.map((one) => this.#makeVersion(one)));
    } catch (problem) {
      list.replaceChildren(make("li", { className: "note bad" }, problem.message));
    }
  }

  #makeVersion({ version, saved_at, cues }) {
    const when = timestamps.format(new Date(saved_at));
    const what = cues === null ? t("machine") : t("cues", { count: cues });
    const text = make("span", { className: "grow" }, `${t("version", { version })} · ${when} · ${what}`);
    const button = make("button", { type: "button", onclick: () => this.#bringBack(version) }, t("bring_back"));
    return make("li", { className: "row" }, text, button);
  }

  /** Replace the cues by those of an older version: a step that can be undone, and that is still to be saved. */
  async #bringBack(version) {
    try {
      const { cues } = await fetchJson(`${this.url}/versions/${version}`);
      byId("versions").close();
      this.form.close();
      this.doc.replace(0, this.doc.list.length, cues);
      showMessage(t("brought_back", { version }));
    } catch (problem) {
      showMessage(problem.message, true);
    }
  }

  /** Save the cues of a file as a version edited by hand; that can be undone. */
  async #import(file) {
    if (!file) return;
    byId("file").value = "";
    try {
      const { cues, notes } = await fetchJson(`${this.url}/import`, { method: "POST", body: file });
      this.form.close();
      this.doc.replace(0, this.doc.list.length, cues);
      await this.save();
      showMessage(joinSentences(t("imported", { count: cues.length }), ...notes), notes.length > 0);
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

  #showState() {
    const { unsaved, canUndo, canRedo } = this.doc;
    byId("footer").classList.toggle("dirty", unsaved > 0);
    byId("unsaved-count").textContent = unsaved ? t("unsaved", { count: unsaved }) : t("all_saved");
    setDisabled(byId("undo"), !canUndo);
    setDisabled(byId("redo"), !canRedo);
    setDisabled(byId("save"), !unsaved || this.#saving);
    clearTimeout(this.#timer);
    if (unsaved) this.#timer = setTimeout(() => this.#saveByItself(), QUIET_MS);
  }

  #updateLinks() {
    const version = byId("version").hidden ? "machine" : byId("which").value;
    // A style guide cuts the machine's cues anew; those that were edited are their editor's.
    const profile = byId("export-profile");
    profile.disabled = version !== "machine";
    const query = new URLSearchParams({ version, ...(profile.value && !profile.disabled && { profile: profile.value }) });
    for (const link of document.querySelectorAll("[data-kind]")) link.href = `${this.url}/subtitles.${link.dataset.kind}?${query}`;
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
