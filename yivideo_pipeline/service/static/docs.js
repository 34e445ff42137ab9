// The page of the API: starts Swagger UI, whose dark look follows the page's, and mends what it lacks for some people.

import "./frame.js";

const api = document.getElementById("api");

function showTheme() {
  const { theme } = document.documentElement.dataset;
  const isDark = theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.classList.toggle("dark-mode", isDark);
}

/** Name fields and buttons for screen readers, and let the keyboard scroll the examples. */
function mend() {
  for (const field of api.querySelectorAll("select, input, textarea")) {
    if (!field.labels?.length && !field.ariaLabel) field.ariaLabel = nameOf(field);
  }
  for (const copy of api.querySelectorAll(".copy-to-clipboard button")) copy.ariaLabel = "Copy";
  for (const example of api.querySelectorAll("pre.microlight")) example.tabIndex = 0;
}

/** Return the name of a field's parameter; a field outside the table is the request's body. */
const nameOf = (field) => {
  const row = field.closest("[data-property-name], [data-param-name]");
  return row?.dataset.propertyName ?? row?.dataset.paramName ?? "body";
};

document.addEventListener("themechange", showTheme);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", showTheme);
showTheme();
new MutationObserver(mend).observe(api, { childList: true, subtree: true });
globalThis.SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#api",
  docExpansion: "list",
  deepLinking: false, // these would be links inside of buttons, which screen readers can't tell apart
  syntaxHighlight: false, // its colours are too faint to be read
});
