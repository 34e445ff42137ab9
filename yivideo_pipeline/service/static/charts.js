// Charts over time by uPlot: each with a legend, a label for screen readers, and a table of its values.

/* global uPlot */
import { language } from "./frame.js";

const HEIGHT = 168;
const AXIS_FONT = "12px system-ui, sans-serif";
const integers = new Intl.NumberFormat(language);
const decimals = new Intl.NumberFormat(language, { maximumSignificantDigits: 3 });
const hours = new Intl.DateTimeFormat(language, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const days = new Intl.DateTimeFormat(language, { month: "short", day: "numeric" });
const timestamps = new Intl.DateTimeFormat(language, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const DAY_S = 86_400;

/** Format a number: integers in full, others to three significant digits. */
export function formatNumber(value, unknown = "–") {
  if (value == null) return unknown;
  if (Math.abs(value) >= 1000) return integers.format(Math.round(value));
  return (Number.isInteger(value) ? integers : decimals).format(value);
}

export class Chart {
  /**
   * @param {HTMLElement} figure A figure of dashboard.html.
   * @param {function} t Returns the texts by name.
   */
  constructor(figure, t) {
    this.t = t;
    this.figure = figure;
    this.name = figure.dataset.chart;
    this.lines = figure.dataset.lines.split(" ");
    this.kind = figure.dataset.kind;
    this.maximum = this.lines[0].endsWith("_pct") ? 100 : undefined;
    this.legend = figure.querySelector(".legend");
    this.area = figure.querySelector(".plot");
    this.noData = figure.querySelector(".no-data");
    this.details = figure.querySelector("details");
    this.values = this.lines.map((line, index) => this.#addToLegend(line, index));
    this.data = [[]];
    this.details.addEventListener("toggle", () => this.#fillTable());
    new ResizeObserver(() => this.#resize()).observe(this.area);
  }

  /** Draw a series; if it has no values, say so, or hide the chart where it is `optional`. */
  draw(series, optional = false) {
    this.step_s = series.step_s;
    this.data = [series.at, ...this.lines.map((line) => series[line])];
    const hasValues = this.data.slice(1).some((line) => line.some((value) => value != null));
    this.area.hidden = this.legend.hidden = this.details.hidden = !hasValues;
    this.noData.hidden = hasValues;
    this.noData.textContent = hasValues ? "" : this.t("no_data");
    this.figure.hidden = optional && !hasValues;
    if (!hasValues) return;
    if (this.plot) this.plot.setData(this.data);
    else this.#plot();
    this.#showValues(null);
    this.#fillTable();
  }

  /** Draw again in the colours of the current theme. */
  recolor() {
    this.plot?.destroy();
    this.plot = null;
    if (!this.area.hidden && this.data[0].length) this.#plot();
  }

  #addToLegend(line, index) {
    const entry = document.createElement("li");
    entry.className = line === "failed" ? "line-failed" : `line-${index}`;
    const value = document.createElement("b");
    entry.append(this.t(`${this.name}.${line}`), value);
    this.legend.append(entry);
    return value;
  }

  #plot() {
    const style = getComputedStyle(this.area);
    const color = (name) => resolveColor(this.area, name);
    const axis = { stroke: color("--muted"), font: AXIS_FONT, ticks: { show: false } };
    const grid = { stroke: color("--line"), width: 1 };
    this.plot = new uPlot(
      {
        width: Math.max(120, Math.floor(parseFloat(style.width))),
        height: HEIGHT,
        padding: [8, 22, 0, 0], // the last time is not cut
        legend: { show: false },
        cursor: { y: false, points: { size: 7 }, drag: { setScale: false } },
        // A bar stands from its time to the next one.
        scales: { x: { range: (_, low, high) => [low, high + this.step_s] }, y: { range: (_, low, high) => [0, this.maximum ?? niceTop(high)] } },
        axes: [
          { ...axis, size: 26, space: 70, grid: { show: false }, values: (_, ticks) => ticks.map((at) => this.#formatTick(at, ticks)) },
          { ...axis, size: 44, space: 36, grid, values: (_, ticks) => ticks.map((tick) => formatNumber(tick)) },
        ],
        series: [{}, ...this.lines.map((line, index) => this.#stroke(line, index))],
        hooks: { setCursor: [(plot) => this.#showValues(plot.cursor.idx)] },
      },
      this.data,
      this.area,
    );
  }

  #stroke(line, index) {
    const ink = resolveColor(this.legend.children[index], "--ink");
    if (this.kind === "bars") {
      const paths = uPlot.paths.bars({ size: [0.8, 24], align: 1 });
      return { stroke: ink, fill: ink, width: 0, paths, points: { show: false } };
    }
    if (this.kind === "points") return { stroke: ink, width: 1.5, points: { show: true, size: 5, fill: ink }, spanGaps: true };
    // A value between two gaps belongs to no line, and is drawn as a point.
    const points = { show: true, size: 5, fill: ink, filter: (plot, series) => isolated(plot.data[series]) };
    return { stroke: ink, width: 2, fill: index === 0 ? withAlpha(ink) : undefined, points };
  }

  /** Show the values under the cursor, or the latest ones. */
  #showValues(index) {
    const described = this.values.map((element, line) => {
      const value = index == null ? latest(this.data[line + 1]) : this.data[line + 1][index];
      element.textContent = formatNumber(value);
      return this.t("latest", { name: this.t(`${this.name}.${this.lines[line]}`), value: formatNumber(value) });
    });
    if (index != null) return;
    const unit = this.t(`${this.name}.unit`);
    this.area.ariaLabel = this.t("chart_label", { title: this.t(this.name), unit, latest: described.join(", ") });
  }

  #formatTick(at, ticks) {
    const time = new Date(at * 1000);
    const isLong = ticks.length > 1 && ticks[1] - ticks[0] >= DAY_S / 2;
    return isLong || (time.getHours() === 0 && time.getMinutes() === 0) ? days.format(time) : hours.format(time);
  }

  #resize() {
    const width = Math.floor(this.area.clientWidth);
    if (this.plot && width > 0 && width !== this.plot.width) this.plot.setSize({ width, height: HEIGHT });
  }

  #fillTable() {
    if (!this.details.open) return;
    const heads = [this.t("time"), ...this.lines.map((line) => this.t(`${this.name}.${line}`))];
    const rows = this.data[0]
      .map((at, index) => [at, ...this.data.slice(1).map((line) => line[index])])
      .filter((row) => row.slice(1).some((value) => value != null))
      .reverse()
      .map(([at, ...values]) => [timestamps.format(new Date(at * 1000)), ...values.map((value) => formatNumber(value))]);
    this.details.querySelector(".scroll").replaceChildren(makeTable(heads, rows));
  }
}

/** Make a table of texts or elements; the first column names the row. */
export function makeTable(heads, rows) {
  const table = document.createElement("table");
  const head = table.createTHead().insertRow();
  heads.forEach((text, index) => head.append(makeCell("th", text, index, "col")));
  const body = table.createTBody();
  for (const row of rows) {
    const line = body.insertRow();
    row.forEach((text, index) => line.append(index ? makeCell("td", text, index) : makeCell("th", text, 0, "row")));
  }
  return table;
}

function makeCell(tag, content, index, scope) {
  const cell = document.createElement(tag);
  cell.append(content);
  if (scope) cell.scope = scope;
  if (index) cell.className = "number";
  return cell;
}

const latest = (values) => values.findLast((value) => value != null);

/** Return the indexes of values that stand between two gaps. */
function isolated(values) {
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

/** Return the current colour of a custom property: a canvas does not understand `light-dark()`. */
function resolveColor(element, name) {
  const probe = document.createElement("i");
  probe.style.color = `var(${name})`;
  element.append(probe);
  const color = getComputedStyle(probe).color;
  probe.remove();
  return color;
}

const withAlpha = (color) => color.replace(/^rgb\((.*)\)$/, "rgba($1, 0.1)");
