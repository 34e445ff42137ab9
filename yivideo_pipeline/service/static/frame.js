// What every page does: remembers the theme, writes times in the reader's time zone, shows messages, and
// sends requests to the service.

const YEAR_S = 365 * 86_400;
const toast = document.getElementById("toast");
export const language = document.documentElement.lang;

document.getElementById("theme").addEventListener("click", () => {
  const root = document.documentElement;
  const dark = root.dataset.theme
    ? root.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  document.cookie = `yivideo_theme=${root.dataset.theme}; path=/; max-age=${YEAR_S}; samesite=strict`;
  document.dispatchEvent(new Event("themechange"));
});

/** @type {Intl.DateTimeFormatOptions} */
const CLOCK = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
const thisYear = new Intl.DateTimeFormat(language, { month: "short", day: "numeric", ...CLOCK });
const otherYears = new Intl.DateTimeFormat(language, { year: "numeric", month: "short", day: "numeric" });
const inFull = new Intl.DateTimeFormat(language, { dateStyle: "full", timeStyle: "long" });

/** Format a time in short: without the year in this year, without the hour in others. */
export function formatTime(text) {
  const time = new Date(text);
  return (time.getFullYear() === new Date().getFullYear() ? thisYear : otherYears).format(time);
}

/** Write each <time> inside an element in the reader's time zone. */
export function localizeTimes(inside = /** @type {Document | Element} */ (document)) {
  for (const time of inside.querySelectorAll("time[datetime]")) {
    time.textContent = formatTime(time.dateTime);
    time.title = inFull.format(new Date(time.dateTime));
  }
}

/** Make an element with a class, or none, of what is not null. */
export function make(tag, className = "", ...content) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...content.filter((one) => one != null));
  return element;
}

toast.addEventListener("click", () => (toast.textContent = ""));

/** Show a message, which screen readers read aloud too; a click takes it away. */
export function showMessage(text, isError = false) {
  toast.classList.toggle("bad", isError);
  toast.textContent = text;
}

/** An error as the service describes it: `message` is one line, with what to do about it. */
class ServiceError extends Error {
  constructor(status, body) {
    const error = body?.error ?? {};
    super(joinSentences(error.message ?? toast.dataset.failed, error.hint));
    this.status = status;
    this.kind = error.kind;
  }
}

/** Join the sentences that are not empty. */
export const joinSentences = (...sentences) => sentences.filter(Boolean).join(language === "zh" ? "。" : ". ");

/**
 * Send a request to the service, and return its JSON; throws a ServiceError. The body is sent as JSON, a file as it is.
 *
 * @param {string} url
 * @param {{method?: string, body?: any, signal?: AbortSignal, headers?: Record<string, string>, keepalive?: boolean}} options
 * @returns {Promise<any>}
 */
export async function fetchJson(url, { method = "GET", body, signal, headers = {}, keepalive = false } = {}) {
  /** @type {RequestInit & {headers: Record<string, string>}} */
  const options = { method, signal, keepalive, headers: { Accept: "application/json", ...headers } };
  if (body instanceof Blob) {
    options.body = body;
    options.headers["Content-Type"] = "application/octet-stream";
  } else if (body !== undefined) {
    options.body = JSON.stringify(body);
    options.headers["Content-Type"] = "application/json";
  }
  let response;
  try {
    response = await fetch(url, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServiceError(0, { error: { message: toast.dataset.offline } });
  }
  if (response.status === 401) location.assign("/login");
  const content = await response.json().catch(() => null);
  if (!response.ok) throw new ServiceError(response.status, content);
  return content;
}

/**
 * Return the function that gives the page's texts by name; a name without a text is returned itself.
 * Of a text in two forms (`{count} cue|{count} cues`) the first is for one.
 */
export function loadTexts() {
  const table = JSON.parse(document.getElementById("texts").textContent);
  return (name, values = {}) => {
    const [one, many = one] = (table[name] ?? name).split("|");
    const form = Object.values(values).includes(1) ? one : many;
    return form.replace(/\{(\w+)\}/g, (whole, key) => values[key] ?? whole);
  };
}

localizeTimes();
