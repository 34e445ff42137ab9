// The settings page: sends what was changed, and says what came of it.

import { fetchJson, loadTexts, showMessage } from "./frame.js";

const t = loadTexts();
const form = /** @type {HTMLFormElement} */ (document.getElementById("settings"));
const save = /** @type {HTMLButtonElement | null} */ (document.getElementById("save"));
const outcome = document.getElementById("outcome");
const fields = [...form.querySelectorAll(".setting")];

/** Return a field's value as the service takes it; undefined for a secret that stays as it is. */
function read(field) {
  const { kind } = field.dataset;
  if (kind === "folders") {
    const rows = [...field.querySelectorAll("li")].map((row) => [...row.querySelectorAll("input")].map(({ value }) => value.trim()));
    return Object.fromEntries(rows.filter(([name, path]) => name || path));
  }
  const { value } = field.querySelector("input, select");
  if (kind === "secret") return field.querySelector("[data-remove]")?.checked ? null : value || undefined;
  if (kind === "number") return Number(value);
  if (kind === "list") return value.split(",").map((one) => one.trim()).filter(Boolean);
  return value.trim() || null;
}

const before = new Map(fields.map((field) => [field, JSON.stringify(read(field))]));

function changes() {
  const changed = fields.filter((field) => JSON.stringify(read(field)) !== before.get(field));
  return Object.fromEntries(changed.map((field) => [field.dataset.name, read(field)]));
}

const isChanged = () => Object.keys(changes()).length > 0;
const update = () => { if (save) save.disabled = !isChanged(); };

form.addEventListener("input", update);
form.addEventListener("click", (event) => {
  const target = /** @type {HTMLElement} */ (event.target);
  if ("add" in target.dataset) {
    const row = /** @type {HTMLTemplateElement} */ (document.getElementById("root-row")).content.cloneNode(true);
    form.querySelector(".roots").append(row);
    /** @type {HTMLElement} */ (form.querySelector(".roots li:last-child input")).focus();
  } else if ("drop" in target.dataset) {
    target.closest("li").remove();
    /** @type {HTMLElement} */ (form.querySelector("[data-add]")).focus();
    update();
  }
});

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  outcome.className = "lines";
  outcome.textContent = t("saving");
  try {
    const body = { version: form.dataset.version, values: changes() };
    const answer = await fetchJson("/settings", { method: "PUT", body });
    form.dataset.version = answer.version;
    outcome.textContent = describe(answer);
    forgetSecrets();
    fields.forEach((field) => before.set(field, JSON.stringify(read(field))));
    update();
  } catch (problem) {
    outcome.classList.add("bad");
    outcome.textContent = problem.message;
  }
});

/** Empty the secrets that were sent: the page never shows one. */
function forgetSecrets() {
  for (const field of form.querySelectorAll("[data-kind=secret]")) {
    const input = field.querySelector("input");
    const remove = /** @type {HTMLInputElement | null} */ (field.querySelector("[data-remove]"));
    if (remove?.checked) input.placeholder = t("secret_unset");
    else if (input.value) input.placeholder = t("secret_set");
    input.value = "";
    if (remove) remove.checked = false;
  }
}

/** Say which of the changes are in force, and which wait. */
function describe({ needs_load, needs_restart, missing_folders, warnings }) {
  return [
    t("saved"),
    needs_load && t("needs_load"),
    needs_restart.length && t("needs_restart", { names: needs_restart.join(", ") }),
    missing_folders.length && t("missing_folders", { names: missing_folders.join(", ") }),
    ...warnings,
  ].filter(Boolean).join("\n");
}

document.getElementById("test-notice").addEventListener("click", async () => {
  if (isChanged()) return showMessage(t("save_first"), true);
  try {
    const { channels } = await fetchJson("/settings/test-notice", { method: "POST" });
    const lines = Object.entries(channels).map(([name, problem]) => `${name}: ${problem || t("sent")}`);
    showMessage(lines.join("\n"), Object.values(channels).some(Boolean));
  } catch (problem) {
    showMessage(problem.message, true);
  }
});

addEventListener("beforeunload", (event) => { if (save && isChanged()) event.preventDefault(); });
