// Starts workflows, remembers those that this tab has started, and asks for the choices of one in a dialog.

import { fetchJson, language, loadTexts } from "./frame.js";

const WORKFLOW_CHAIN = ["ffmpeg.extract_audio", "whisperx.generate_subtitles"];
const STORAGE_KEY = "yivideo.workflows";
const SPEECH = ["language", "model_name", "task", "audio_track", "vocabulary"];
/** The languages that are offered by a button of their own, after those of the browser. */
const COMMON = ["en", "zh", "es", "ja"];
const MOST_LIKELY = 4;

/** @typedef {{whisperx_config?: Record<string, string>, subtitles?: Record<string, string>}} Choices */

const t = loadTexts();
const names = new Intl.DisplayNames(language, { type: "language", fallback: "code" });

/**
 * The workflows that this tab has started, by the video's key; they survive a reload of the page.
 * @type {Map<string, {id: string, name: string}>}
 */
export const workflows = new Map(JSON.parse(sessionStorage.getItem(STORAGE_KEY) ?? "[]"));

/** Return the name of a language, or of several with commas between their codes, in the language of the page. */
export function nameLanguage(codes) {
  const name = (code) => (code === "und" ? "?" : /^[a-z]{2,3}\b/i.test(code) ? names.of(code) : code);
  return codes.split(",").map(name).join(", ");
}

/** Start a workflow on a video, and remember it; `choices` replace the settings, `chain` names the steps. */
export async function startWorkflow(key, name, choices = {}, chain = WORKFLOW_CHAIN) {
  const body = { video_path: key, workflow_config: { workflow_chain: chain }, output_params: choices };
  const { workflow_id: id } = await fetchJson("/v1/workflows", { method: "POST", body });
  workflows.set(key, { id, name });
  store();
}

/** Forget a workflow that has ended. */
export function endWorkflow(key) {
  workflows.delete(key);
  store();
}

/** Return whether a workflow in this state has ended. */
export const hasEnded = (state) => ["succeeded", "failed", "cancelled"].includes(state);

function store() {
  sessionStorage.setItem(STORAGE_KEY, JSON.stringify([...workflows]));
}

/**
 * Ask for the choices of a workflow; return null if the user goes back.
 *
 * @param {{title: string, button: string, spoken?: string | null, present?: Choices}} about
 *   `spoken` is the language that was found: others can then be chosen by one click. `present` is what was chosen
 *   before.
 * @returns {Promise<Choices | null>}
 */
export function askForChoices({ title, button, spoken, present = {} }) {
  const dialog = /** @type {HTMLDialogElement} */ (document.getElementById("choices"));
  const form = dialog.querySelector("form");
  document.getElementById("choices-title").textContent = title;
  document.getElementById("choices-start").textContent = button;
  nameLanguages(form.elements["language"]);
  fill(form, present);
  document.getElementById("likely").hidden = !spoken;
  document.getElementById("likely-languages").replaceChildren(...likelyLanguages(spoken, form.elements["language"]).map(makeButton));
  dialog.returnValue = "";
  dialog.showModal();
  (spoken ? dialog.querySelector("#likely-languages button") : form.elements["language"]).focus();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(readChoices(dialog.returnValue, form)), { once: true });
  });
}

/** Describe choices in one line, for people. */
export function describeChoices({ whisperx_config: speech = {}, subtitles = {} }) {
  return Object.entries({ ...speech, ...subtitles })
    .map(([name, value]) => `${t(`choice.${name}`)}: ${name === "language" && value !== "auto" ? nameLanguage(value) : value}`)
    .join(" · ");
}

function readChoices(answer, form) {
  if (!answer) return null;
  if (answer !== "start") return { whisperx_config: { language: answer } };
  const given = Object.fromEntries([...new FormData(form)].map(([name, value]) => [name, String(value).trim()]).filter(([, value]) => value));
  given.language = readLanguages(form);
  const speech = Object.fromEntries(Object.entries(given).filter(([name, value]) => SPEECH.includes(name) && value));
  return { whisperx_config: speech, subtitles: given.profile ? { profile: given.profile } : {} };
}

/** Return the codes of the languages that are chosen, with commas between them; "" for those of the settings. */
function readLanguages(form) {
  const first = form.elements["language"];
  const others = [...form.querySelectorAll("[name=also]")].map(({ value }) => value).filter(Boolean);
  if (!others.length) return first.value;
  const codes = [...(first.value || first.options[0].dataset.value).split(","), ...others];
  return [...new Set(codes)].filter((code) => code !== "auto").join(",");
}

/** Offer one language more, since the sound may change between several. */
function addLanguage(code = "") {
  const first = /** @type {HTMLSelectElement} */ (document.getElementById("choice-language"));
  const select = /** @type {HTMLSelectElement} */ (first.cloneNode(true));
  select.removeAttribute("id");
  select.name = "also";
  select.ariaLabel = t("choice.also");
  select.replaceChildren(new Option("–", ""), ...[...select.options].slice(2));
  select.value = code;
  document.getElementById("add-language").before(select);
  return select;
}

document.getElementById("add-language").addEventListener("click", () => addLanguage().focus());

/** Show choices in the form, and those of the settings for all others. */
function fill(form, { whisperx_config: speech = {}, subtitles = {} }) {
  form.reset();
  form.querySelectorAll("[name=also]").forEach((select) => select.remove());
  const { language: languages = "", ...others } = { ...speech, ...subtitles };
  const [first, ...also] = languages.split(",");
  form.elements["language"].value = first;
  for (const code of also) addLanguage(code);
  for (const [name, value] of Object.entries(others)) form.elements[name].value = value;
}

/** Write the languages' names, and sort them; once. */
function nameLanguages(select) {
  if (select.dataset.named) return;
  select.dataset.named = "yes";
  const [asSet, auto, ...others] = select.options;
  if (asSet.dataset.value !== "auto") asSet.textContent = t("choice.as_set", { value: nameLanguage(asSet.dataset.value) });
  for (const option of others) option.textContent = nameLanguage(option.value);
  others.sort((a, b) => a.textContent.localeCompare(b.textContent, language));
  select.replaceChildren(asSet, auto, ...others);
  select.value = "";
}

function likelyLanguages(spoken, select) {
  const known = new Set([...select.options].map(({ value }) => value));
  const own = navigator.languages.map((tag) => tag.split("-")[0]);
  const others = [...new Set([...own, ...COMMON])].filter((code) => known.has(code) && code !== spoken?.split("-")[0]);
  return others.slice(0, MOST_LIKELY);
}

function makeButton(code) {
  const button = document.createElement("button");
  button.value = code;
  button.textContent = nameLanguage(code);
  return button;
}
