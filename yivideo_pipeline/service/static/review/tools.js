// Tools that change many cues at once: their times, their lines, and what breaks a rule.

import { byId, make, setDisabled, t } from "./dom.js";
import { wrap } from "./lines.js";
import { DISORDER, FIXES, MIN_MS, putInOrder, retime, twoPoints } from "./operations.js";
import { formatMs, parseMs } from "./times.js";
import { showMessage } from "/static/frame.js";

const SIGNED = /^\s*([+−-]?)(.*)$/;

export class Tools {
  /**
   * @param {import("./document.js").SubtitleDocument} doc
   * @param {import("./findings.js").Findings} findings
   * @param {import("./form.js").CueForm} form
   * @param {import("./commands.js").Commands} commands
   */
  constructor(doc, findings, form, commands) {
    this.doc = doc;
    this.findings = findings;
    this.form = form;
    this.commands = commands;
    this.waits = false;
    this.from = 0;
    byId("show-timing").addEventListener("click", () => this.#showTiming());
    byId("shift").addEventListener("submit", (event) => this.#submit(event, () => this.#shift()));
    byId("sync").addEventListener("submit", (event) => this.#submit(event, () => this.#sync()));
    byId("close-timing").addEventListener("click", () => byId("timing").close());
    byId("show-problems").addEventListener("click", () => this.#showProblems());
    byId("wrap-all").addEventListener("click", () => this.#wrapAll());
    byId("next-problem").addEventListener("click", () => commands.run("problem"));
    findings.addEventListener("change", () => this.#count());
  }

  /** Show how many cues have problems, once a change is complete. */
  #count() {
    if (this.waits) return;
    this.waits = true;
    queueMicrotask(() => {
      this.waits = false;
      const count = this.doc.list.filter((cue) => this.findings.of(cue).length).length;
      const button = byId("show-problems");
      button.textContent = count ? t("problems", { count }) : t("no_problems");
      button.classList.toggle("warn", count > 0);
      button.classList.toggle("good", !count);
      setDisabled(byId("next-problem"), !count);
    });
  }

  #showProblems() {
    this.form.close();
    const rows = [...this.findings.counts].sort((a, b) => b[1] - a[1]).map(([rule, count]) => this.#makeRule(rule, count));
    byId("rules").replaceChildren(...(rows.length ? rows : [make("p", { className: "muted" }, t("no_problems"))]));
    if (!byId("problems").open) byId("problems").showModal();
  }

  #makeRule(rule, count) {
    const go = () => {
      byId("problems").close();
      this.commands.run("problem", { rule });
    };
    const fixAll = () => {
      const rules = { limits: this.findings.limits, endMs: this.doc.endMs };
      const { list } = this.doc;
      const isBroken = (cue) => this.findings.of(cue).some((finding) => finding.rule === rule);
      const fix = (cue, index) => (isBroken(cue) ? FIXES[rule](cue, list[index + 1], rules) : cue);
      const cues = DISORDER.has(rule) ? putInOrder(list, rules) : list.flatMap(fix);
      const kept = new Set(cues);
      this.doc.replace(0, list.length, cues);
      this.#showProblems();
      showMessage(t("fixed", { count: list.filter((cue) => !kept.has(cue)).length }));
    };
    const buttons = [make("button", { type: "button", onclick: go }, t("next"))];
    if (FIXES[rule] || DISORDER.has(rule)) buttons.push(make("button", { type: "button", onclick: fixAll }, t("fix_all")));
    return make("div", { className: "row" }, make("span", { className: "grow" }, `${t(`rule.${rule}`)}: ${count}`), ...buttons);
  }

  #wrapAll() {
    const count = this.doc.map((cue) => {
      const text = wrap(cue.text, this.findings.limits);
      return text === cue.text ? cue : { ...cue, text };
    });
    this.#showProblems();
    showMessage(t("wrapped", { count }));
  }

  #showTiming() {
    this.form.close();
    const { list } = this.doc;
    const at = Math.max(0, this.commands.index);
    if (!list.length) return;
    const { elements } = byId("sync");
    elements.first.value = 1;
    elements.last.value = list.length;
    for (const name of ["first", "last"]) {
      const fill = () => (elements[`${name}_time`].value = formatMs(list[elements[name].value - 1]?.start_ms ?? 0));
      elements[name].max = list.length;
      elements[name].onchange = fill;
      fill();
    }
    byId("from-here-label").textContent = t("from_here", { number: at + 1 });
    this.from = at;
    byId("timing").showModal();
  }

  #submit(event, change) {
    event.preventDefault();
    const problem = change();
    byId("timing-problem").textContent = problem ? t(problem) : "";
    if (!problem) byId("timing").close();
  }

  #shift() {
    const { by, scope } = byId("shift").elements;
    const [, sign, time] = SIGNED.exec(by.value);
    const ms = parseMs(time);
    if (ms === null) return "bad_time";
    const from = scope.value === "here" ? this.from : 0;
    const by_ms = sign === "-" || sign === "−" ? -ms : ms;
    return this.#retime(from, (time_ms) => time_ms + by_ms);
  }

  #sync() {
    const { list } = this.doc;
    const { elements } = byId("sync");
    const points = ["first", "last"].map((name) => [list[elements[name].value - 1]?.start_ms, parseMs(elements[`${name}_time`].value)]);
    if (points.some(([, time]) => time === null)) return "bad_time";
    const change = twoPoints(points[0], points[1]);
    return change ? this.#retime(0, change) : "bad_points";
  }

  /** Change the times of all cues from one on; return why it can't be, as the name of a text. */
  #retime(from, change) {
    const { list, endMs } = this.doc;
    const least = list[from - 1]?.end_ms ?? 0;
    const moved = list.slice(from).map((cue) => retime(cue, change));
    // What begins a little too early, or ends a little too late, is cut.
    const cues = moved.map((cue) => ({ ...cue, start_ms: Math.max(cue.start_ms, least), end_ms: Math.min(cue.end_ms, endMs) }));
    if (cues.some((cue) => cue.end_ms - cue.start_ms < MIN_MS)) return "bad_shift";
    this.doc.replace(from, cues.length, cues);
    showMessage(t("retimed", { count: cues.length }));
    return null;
  }
}
