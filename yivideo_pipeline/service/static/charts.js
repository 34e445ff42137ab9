// Lines over time by uPlot: one chart with its legend, its name for those who don't see it, and its table.

/* global uPlot */
import { language } from "./frame.js";

const HEIGHT = 168;
const AXIS_FONT = "12px system-ui, sans-serif";
const counts = new Intl.NumberFormat(language);
const measures = new Intl.NumberFormat(language, { maximumSignificantDigits: 3 });
const hours = new Intl.DateTimeFormat(language, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const days = new Intl.DateTimeFormat(language, { month: "short", day: "numeric" });
const whole = new Intl.DateTimeFormat(language, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const DAY_S = 86_400;

/** A number as people read it: counts in full, measures to three digits. */
export function shown(value, unknown = "–") {
  if (value == null) return unknown;
  if (Math.abs(value) >= 1000) return counts.format(Math.round(value));
  return (Number.isInteger(value) ? counts : measures).format(value);
}

export class Chart {
  /**
   * @param {HTMLElement} figure As dashboard.html makes it.
   * @param {function} t Texts by name.
   */
  constructor(figure, t) {
    this.t = t;
    this.name = figure.dataset.chart;
    this.lines = figure.dataset.lines.split(" ");
    this.kind = figure.dataset.kind;
    this.top = this.lines[0].endsWith("_pct") ? 100 : undefined;
    this.legend = figure.querySelector(".legend");
    this.place = figure.querySelector(".plot");
    this.none = figure.querySelector(".none");
    this.details = figure.querySelector("details");
    this.values = this.lines.map((line, index) => this.#entry(line, index));
    this.data = [[]];
    this.details.addEventListener("toggle", () => this.#fillTable());
    new ResizeObserver(() => this.#resize()).observe(this.place);
  }

  /** Show a series; without a figure in it `why` is said instead. */
  draw(series, why) {
    this.data = [series.at, ...this.lines.map((line) => series[line])];
    this.step_s = series.step_s;
    const some = this.data.slice(1).some((line) => line.some((value) => value != null));
    this.place.hidden = this.legend.hidden = this.details.hidden = !some;
    this.none.hidden = some;
    this.none.textContent = some ? "" : (why ?? this.t("no_data"));
    if (!some) return;
    if (this.plot) this.plot.setData(this.data);
    else this.#make();
    this.#tell(null);
    this.#fillTable();
  }

  /** Draw again in the colours of now. */
  recolor() {
    this.plot?.destroy();
    this.plot = null;
    if (!this.place.hidden && this.data[0].length) this.#make();
  }

  #entry(line, index) {
    const entry = document.createElement("li");
    entry.className = line === "failed" ? "line-failed" : `line-${index}`;
    const value = document.createElement("b");
    entry.append(this.t(`${this.name}.${line}`), value);
    this.legend.append(entry);
    return value;
  }

  #make() {
    const look = getComputedStyle(this.place);
    const color = (name) => resolve(this.place, name);
    const axis = { stroke: color("--muted"), font: AXIS_FONT, ticks: { show: false } };
    const grid = { stroke: color("--line"), width: 1 };
    this.plot = new uPlot(
      {
        width: Math.max(120, Math.floor(parseFloat(look.width))),
        height: HEIGHT,
        padding: [8, 8, 0, 0],
        legend: { show: false },
        cursor: { y: false, points: { size: 7 }, drag: { setScale: false } },
        scales: { y: { range: (_, low, high) => [0, this.top ?? niceTop(high)] } },
        axes: [
          { ...axis, size: 26, space: 70, grid: { show: false }, values: (_, marks) => marks.map((at) => this.#mark(at, marks)) },
          { ...axis, size: 44, space: 36, grid, values: (_, marks) => marks.map((mark) => shown(mark)) },
        ],
        series: [{}, ...this.lines.map((line, index) => this.#stroke(line, index))],
        hooks: { setCursor: [(plot) => this.#tell(plot.cursor.idx)] },
      },
      this.data,
      this.place,
    );
  }

  #stroke(line, index) {
    const ink = resolve(this.legend.children[index], "--ink");
    if (this.kind === "bars") {
      const paths = uPlot.paths.bars({ size: [0.8, 24], align: 1 });
      return { stroke: ink, fill: ink, width: 0, paths, points: { show: false } };
    }
    if (this.kind === "points") return { stroke: ink, width: 1.5, points: { show: true, size: 5, fill: ink }, spanGaps: true };
    // A figure between two gaps has no line: it is a point.
    const points = { show: true, size: 5, fill: ink, filter: (plot, series) => alone(plot.data[series]) };
    return { stroke: ink, width: 2, fill: index === 0 ? faded(ink) : undefined, points };
  }

  /** Write the values under the cursor, or the latest there are. */
  #tell(index) {
    const said = this.values.map((place, line) => {
      const value = index == null ? latest(this.data[line + 1]) : this.data[line + 1][index];
      place.textContent = shown(value);
      return this.t("latest", { name: this.t(`${this.name}.${this.lines[line]}`), value: shown(value) });
    });
    if (index != null) return;
    const unit = this.t(`${this.name}.unit`);
    this.place.ariaLabel = this.t("chart_label", { title: this.t(this.name), unit, latest: said.join(", ") });
  }

  #mark(at, marks) {
    const time = new Date(at * 1000);
    const isLong = marks.length > 1 && marks[1] - marks[0] >= DAY_S / 2;
    return isLong || (time.getHours() === 0 && time.getMinutes() === 0) ? days.format(time) : hours.format(time);
  }

  #resize() {
    const width = Math.floor(this.place.clientWidth);
    if (this.plot && width > 0 && width !== this.plot.width) this.plot.setSize({ width, height: HEIGHT });
  }

  #fillTable() {
    if (!this.details.open) return;
    const heads = [this.t("time"), ...this.lines.map((line) => this.t(`${this.name}.${line}`))];
    const rows = this.data[0]
      .map((at, index) => [at, ...this.data.slice(1).map((line) => line[index])])
      .filter((row) => row.slice(1).some((value) => value != null))
      .reverse()
      .map(([at, ...values]) => [whole.format(new Date(at * 1000)), ...values.map((value) => shown(value))]);
    this.details.querySelector(".scroll").replaceChildren(table(heads, rows));
  }
}

/** A table of texts; the first column names the row. A cell may be an element. */
export function table(heads, rows) {
  const made = document.createElement("table");
  const head = made.createTHead().insertRow();
  heads.forEach((text, index) => head.append(cell("th", text, index, "col")));
  const body = made.createTBody();
  for (const row of rows) {
    const line = body.insertRow();
    row.forEach((text, index) => line.append(index ? cell("td", text, index) : cell("th", text, 0, "row")));
  }
  return made;
}

function cell(tag, content, index, scope) {
  const made = document.createElement(tag);
  made.append(content);
  if (scope) made.scope = scope;
  if (index) made.className = "number";
  return made;
}

const latest = (values) => values.findLast((value) => value != null);

/** Indexes of figures that stand between two gaps. */
function alone(values) {
  const found = [];
  values.forEach((value, index) => {
    if (value != null && values[index - 1] == null && values[index + 1] == null) found.push(index);
  });
  return found;
}

function niceTop(high) {
  if (!(high > 0)) return 1;
  const unit = 10 ** Math.floor(Math.log10(high * 1.05));
  return Math.ceil((high * 1.05) / unit * 2) / 2 * unit;
}

/** The colour that a custom property comes to here and now: canvases know no `light-dark()`. */
function resolve(element, name) {
  const probe = document.createElement("i");
  probe.style.color = `var(${name})`;
  element.append(probe);
  const color = getComputedStyle(probe).color;
  probe.remove();
  return color;
}

const faded = (color) => color.replace(/^rgb\((.*)\)$/, "rgba($1, 0.1)");
