// What every page does: remembers light or dark, writes times as they are here, says what happened.

const YEAR_S = 365 * 86_400;
const said = document.getElementById("said");
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

const CLOCK = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
const nearby = new Intl.DateTimeFormat(language, { month: "short", day: "numeric", ...CLOCK });
const earlier = new Intl.DateTimeFormat(language, { year: "numeric", month: "short", day: "numeric" });
const whole = new Intl.DateTimeFormat(language, { dateStyle: "full", timeStyle: "long" });

/** A time as it is read here: of this year without the year, of others without the hour. */
export function moment(text) {
  const time = new Date(text);
  return (time.getFullYear() === new Date().getFullYear() ? nearby : earlier).format(time);
}

/** Write each <time> below an element in the reader's time zone. */
export function localize(below = document) {
  for (const time of below.querySelectorAll("time[datetime]")) {
    time.textContent = moment(time.dateTime);
    time.title = whole.format(new Date(time.dateTime));
  }
}

/** Say something to everybody, also to those who hear the page. */
export function say(text, bad = false) {
  said.classList.toggle("bad", bad);
  said.textContent = text;
}

/** A problem as the service tells it: `message` is one line with what to do. */
export class Problem extends Error {
  constructor(status, told) {
    const problem = told?.error ?? {};
    super([problem.message ?? said.dataset.failed, problem.hint].filter(Boolean).join(". "));
    this.status = status;
    this.kind = problem.kind;
  }
}

/** Ask the service and return its JSON; throws a Problem. A body is sent as JSON. */
export async function ask(address, { method = "GET", body, signal, headers = {} } = {}) {
  const options = { method, signal, headers: { Accept: "application/json", ...headers } };
  if (body !== undefined) {
    options.body = JSON.stringify(body);
    options.headers["Content-Type"] = "application/json";
  }
  let answer;
  try {
    answer = await fetch(address, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, { error: { message: said.dataset.offline } });
  }
  if (answer.status === 401) location.assign("/login");
  const told = await answer.json().catch(() => null);
  if (!answer.ok) throw new Problem(answer.status, told);
  return told;
}

/** Texts for scripts, which the page carries as JSON. */
export function texts() {
  const table = JSON.parse(document.getElementById("texts").textContent);
  return (name, values = {}) =>
    (table[name] ?? name).replace(/\{(\w+)\}/g, (whole, key) => values[key] ?? whole);
}

localize();
