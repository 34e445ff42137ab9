// The page of the API: starts Swagger UI, whose dark look follows the page's.

import "./frame.js";

function showTheme() {
  const { theme } = document.documentElement.dataset;
  const isDark = theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.classList.toggle("dark-mode", isDark);
}

document.addEventListener("themechange", showTheme);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", showTheme);
showTheme();
// Without deep links: they would be links inside of buttons, which screen readers can't tell apart.
globalThis.SwaggerUIBundle({ url: "/openapi.json", dom_id: "#api", deepLinking: false, docExpansion: "list" });
