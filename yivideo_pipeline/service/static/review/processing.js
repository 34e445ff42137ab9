// Processes the video again, with choices of the user, and follows that until the new subtitles are there.

import { fetchJson, joinSentences, showMessage } from "/static/frame.js";
import { askForChoices, describeChoices, endWorkflow, hasEnded, startWorkflow, workflows } from "/static/workflows.js";
import { byId, t } from "./dom.js";

const ASK_MS = 1500;

export class Processing {
  /** `reload` loads the review anew; what is not saved yet keeps it from being loaded by itself. */
  constructor(key, name, doc, reload) {
    this.key = key;
    this.name = name;
    this.doc = doc;
    this.reload = reload;
    byId("process-again").addEventListener("click", () => this.ask());
    byId("run-cancel").addEventListener("click", () => this.#cancel());
    byId("make-again").addEventListener("click", () => this.start({ subtitles: { profile: byId("profile").value } }, ["yivideo.subtitles"]));
    if (workflows.has(key)) this.#follow();
  }

  /** Ask what is to be different, and start; `spoken` is the language that was found. */
  async ask(spoken = null) {
    const choices = await askForChoices({ title: t(spoken ? "wrong_language" : "process_again"), button: t("process_again"), spoken });
    if (choices) await this.start(choices);
  }

  /** Start a workflow; an error is shown as a message. */
  async start(choices, chain = undefined) {
    try {
      await startWorkflow(this.key, this.name, choices, chain);
      showMessage(joinSentences(t("run_started"), describeChoices(choices)));
      await this.#follow(Boolean(choices.whisperx_config?.language));
    } catch (problem) {
      showMessage(problem.message, true);
    }
  }

  async #follow(isOtherLanguage = false) {
    this.#show({ state: "queued", progress: 0 });
    let status;
    do {
      await new Promise((resolve) => setTimeout(resolve, ASK_MS));
      const { id } = workflows.get(this.key) ?? {};
      status = await fetchJson(`/v1/workflows/status/${id}`).catch((problem) => (problem.status === 404 ? { state: "cancelled" } : null));
      if (status) this.#show(status);
    } while (!hasEnded(status?.state));
    endWorkflow(this.key);
    byId("run").hidden = true;
    await this.#end(status, isOtherLanguage);
  }

  async #end({ state, error }, isOtherLanguage) {
    if (state === "failed") showMessage(joinSentences(error?.message, error?.hint), true);
    else if (state === "cancelled") showMessage(t("run_cancelled"));
    else if (this.doc.unsaved) showMessage(t("run_done_unsaved"));
    else {
      await this.reload();
      const isEdited = !byId("version").hidden;
      showMessage(t(isEdited ? "run_done_edited" : isOtherLanguage ? "run_done_language" : "run_done"));
    }
  }

  async #cancel() {
    const { id } = workflows.get(this.key) ?? {};
    await fetchJson(`/v1/workflows/${id}/cancel`, { method: "POST" }).catch((problem) => showMessage(problem.message, true));
  }

  #show({ state, stage = null, progress }) {
    byId("run").hidden = false;
    byId("run-text").textContent = stage ? t(`stage.${stage}`) : t(`run.${state}`);
    byId("run-progress").value = progress ?? 0;
  }
}
