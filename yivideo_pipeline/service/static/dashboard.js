// The dashboard: asks for the figures every ten seconds while somebody looks, and puts them in their places.

import { ask, language, moment, texts } from "./frame.js";
import { Chart, shown, table } from "./charts.js";

const REFRESH_MS = 10_000;
const HEALTH = { good: "good", fair: "warn", poor: "bad" };

const t = texts();
const place = (id) => document.getElementById(id);
const since = place("figures").dataset.since;
const charts = [...document.querySelectorAll("[data-chart]")].map((figure) => new Chart(figure, t));
const percents = new Intl.NumberFormat(language, { style: "percent", maximumFractionDigits: 1 });

const percent = (share) => (share == null ? t("unknown") : percents.format(share));
const gb = (mb) => (mb == null ? t("unknown") : shown(mb / 1024));
const size = (mb) => (mb == null ? t("unknown") : mb < 1024 ? `${shown(Math.round(mb))} MB` : `${gb(mb)} GB`);

function span(seconds) {
  if (seconds == null) return t("unknown");
  if (seconds < 120) return `${shown(seconds)} s`;
  if (seconds < 7200) return `${shown(seconds / 60)} min`;
  return seconds < 172_800 ? `${shown(seconds / 3600)} h` : `${shown(seconds / 86_400)} d`;
}

/* Nothing is touched that stays as it is: no flicker, and nobody loses what they have marked. */
function put(parent, ...children) {
  const fresh = parent.cloneNode(false);
  fresh.append(...children);
  if (!parent.isEqualNode(fresh)) parent.replaceChildren(...fresh.childNodes);
}

function element(tag, name, ...content) {
  const made = document.createElement(tag);
  if (name) made.className = name;
  made.append(...content.filter((one) => one != null));
  return made;
}

/* Key figures. */

function tile(name, value, unit, beside) {
  const number = element("div", "value", value, unit ? element("small", "", ` ${unit}`) : null);
  return element("div", "", element("dt", "", t(name)), element("dd", "", number, element("div", "beside", beside)));
}

function tilesOf({ insights, system }) {
  const { summary } = insights;
  const times = summary.duration_s;
  const failed = summary.failed ? t("figure.failed", { failed: summary.failed }) : t("figure.none_failed");
  const { queue } = summary;
  const tiles = [
    tile("figure.done", shown(summary.succeeded), "", failed),
    tile("figure.success", percent(summary.success_rate), "", t("figure.of", { count: summary.count })),
    tile("figure.speed", shown(summary.times_real_time), t("figure.real_time"), t("figure.audio", { minutes: shown(summary.audio_minutes) })),
    tile("figure.median", span(times.p50), "", t("figure.tail", { p95: span(times.p95), p99: span(times.p99) })),
    tile("figure.queue", shown(queue.queued), "", t("figure.under_way", { running: shown(queue.running), requests: queue.requests })),
    tile("figure.memory", shown(system.memory.used_pct), "%", memoryOf(system.memory)),
  ];
  if (system.gpu) {
    const use = system.gpu.utilization_pct == null ? t("unknown") : `${shown(system.gpu.utilization_pct)}%`;
    tiles.push(tile("figure.gpu", shown(system.gpu.memory_used_pct), "%", t("figure.gpu_of", { use })));
  }
  return tiles;
}

const memoryOf = (memory) =>
  t("figure.memory_of", { used: gb(memory.total_mb - memory.available_mb), total: gb(memory.total_mb) });

/* What needs attention. */

function item(kind, look, text, more) {
  const told = element("span", "", text, more ? element("span", "more", more) : null);
  return element("li", "", element("span", `mark ${look}`, t(kind)), told);
}

function attentionOf({ insights, system }) {
  const figures = ({ value, threshold }) => ({ value: shown(value), threshold: shown(threshold) });
  const alerts = insights.alerts.map((alert) =>
    item("alert", "bad", own(`alert.${alert.name}`, alert.message, figures(alert)),
      `${t("since", { time: moment(alert.since) })} · ${alert.advice}`));
  const problems = system.problems.map((problem) => item("problem", "warn", problem));
  const advice = insights.recommendations.map((one) =>
    item("advice", "busy", own(`advice.${one.name}`, one.advice),
      Object.entries(one.figures).map(([name, value]) => `${name} ${typeof value === "number" ? shown(value) : value}`).join(" · ")));
  const all = [...alerts, ...problems, ...advice];
  if (!all.length) all.push(element("li", "well", t("all_well")));
  const trend = trendOf(insights.trend);
  return trend ? [...all, element("li", "well", trend)] : all;
}

/** A text of the page's own where it has one, else the service's words. */
function own(name, words, values = {}) {
  const text = t(name, values);
  return text && text !== name ? text : words;
}

/** Why something is not known. */
const reason = (system, name) => own(`reason.${name}`, system.reasons[name]);

function trendOf(trend) {
  if (!trend || trend.verdict === "unknown") return null;
  return t(`trend.${trend.verdict}`, { share: percent(trend.share_slower), p: shown(trend.p_value) });
}

/* Tables. */

function stagesOf(stages) {
  const names = ["stage", "column.count", "column.failed", "column.p50", "column.p95", "column.p99", "column.speed", "column.retries", "column.memory"];
  const rows = Object.entries(stages).map(([stage, told]) => [
    t(`stage.${stage}`), shown(told.count), shown(told.failed), span(told.duration_s.p50), span(told.duration_s.p95),
    span(told.duration_s.p99), shown(told.times_real_time), shown(told.retries.total), size(told.memory_mb.peak),
  ]);
  return table(names.map((name) => t(name)), rows);
}

function failuresOf(failures) {
  if (!failures.length) return element("p", "muted", t("no_failures"));
  const rows = failures.map((one) => {
    const kind = element("span", "failure", `${one.operation || "–"}: ${own(`kind.${one.kind}`, one.kind)}`);
    const told = element("span", "", kind, element("div", "small muted", [one.message, one.hint].filter(Boolean).join(". ")),
      one.video ? element("div", "small muted", one.video) : null);
    return [told, shown(one.count), moment(one.last_at)];
  });
  return table([t("column.kind"), t("column.count"), t("column.last")], rows);
}

function machineOf(system) {
  const { cpu, service } = system;
  const facts = [
    [t("machine.cpu"), t("machine.cores", { used: `${shown(cpu.used_pct)}%`, cores: shown(cpu.cores) })],
    [t("machine.memory"), memoryOf(system.memory)],
    [t("machine.service"), `${size(system.memory.service_mb)} · ${t("machine.places", { taken: service.places_taken, places: service.places, uptime: span(service.uptime_s) })}`],
    [t("machine.model"), service.model_loaded && service.model ? service.model : t("machine.unloaded")],
    ["GPU", system.gpu ? `${gb(system.gpu.memory_used_mb)} / ${gb(system.gpu.memory_total_mb)} GB` : reason(system, "gpu")],
    ...Object.entries(system.disks).map(([name, disk]) => [
      t("machine.disk", { name: t(`disk.${name}`) }),
      disk ? t("machine.free", { free: gb(disk.free_mb) }) : reason(system, `disks.${name}`),
    ]),
    [t("machine.daemons"), daemonsOf(system)],
  ];
  return facts.flatMap(([name, value]) => [element("dt", "", name), element("dd", "", value)]);
}

function daemonsOf(system) {
  const { daemons } = system;
  if (!daemons) return reason(system, "daemons");
  const silent = daemons.filter((daemon) => !daemon.healthy).map((daemon) => daemon.name);
  return silent.length ? t("machine.silent", { names: silent.join(", ") }) : t("machine.healthy", { count: daemons.length });
}

/* Together. */

function show(told) {
  const { insights, system } = told;
  put(place("tiles"), ...tilesOf(told));
  put(place("attention"), ...attentionOf(told));
  put(place("stages"), stagesOf(told.stages));
  put(place("failures"), failuresOf(insights.failures));
  put(place("machine"), ...machineOf(system));
  const health = place("health");
  health.className = `mark ${HEALTH[insights.overall_health]}`;
  health.textContent = t(`health.${insights.overall_health}`);
  health.hidden = !insights.summary.count;
  place("loading").hidden = true;
  place("empty").hidden = insights.summary.count > 0;
  place("figures").hidden = false; // before the charts: they measure their places
  for (const chart of charts) chart.draw(told.series, chart.name === "gpu" && !system.gpu ? reason(system, "gpu") : undefined);
}

async function refresh() {
  const trouble = place("trouble");
  try {
    show(await ask(`/api/v1/performance/dashboard?since=${since}`));
    trouble.hidden = true;
  } catch (problem) {
    trouble.textContent = problem.message;
    trouble.hidden = false;
    place("loading").hidden = true;
  }
}

let timer;
async function loop() {
  clearTimeout(timer);
  if (document.hidden) return; // goes on when somebody looks again
  await refresh();
  clearTimeout(timer);
  timer = setTimeout(loop, REFRESH_MS);
}

document.addEventListener("visibilitychange", loop);
document.addEventListener("themechange", () => charts.forEach((chart) => chart.recolor()));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => charts.forEach((chart) => chart.recolor()));
loop();
