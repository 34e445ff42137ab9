// The dashboard: loads the figures every ten seconds while the page is visible, and shows them.

import { fetchJson, formatTime, joinSentences, language, loadTexts, make } from "./frame.js";
import { Chart, formatNumber, makeTable } from "./charts.js";

const REFRESH_MS = 10_000;
const HEALTH_MARKS = { good: "good", fair: "warn", poor: "bad" };

const t = loadTexts();
const byId = (id) => document.getElementById(id);
const since = byId("figures").dataset.since;
const charts = [...document.querySelectorAll("[data-chart]")].map((figure) => new Chart(figure, t));
const percents = new Intl.NumberFormat(language, { style: "percent", maximumFractionDigits: 1 });

const formatShare = (share) => (share == null ? t("unknown") : percents.format(share));
const formatGb = (mb) => (mb == null ? t("unknown") : formatNumber(mb / 1024));
const formatSize = (mb) => (mb == null ? t("unknown") : mb < 1024 ? `${formatNumber(Math.round(mb))} MB` : `${formatGb(mb)} GB`);

function formatSeconds(seconds) {
  if (seconds == null) return t("unknown");
  if (seconds < 120) return `${formatNumber(seconds)} s`;
  if (seconds < 7200) return `${formatNumber(seconds / 60)} min`;
  return seconds < 172_800 ? `${formatNumber(seconds / 3600)} h` : `${formatNumber(seconds / 86_400)} d`;
}

/* Elements that stay the same are not touched: nothing flickers, and selections are kept. */
function replaceContent(parent, ...children) {
  const fresh = parent.cloneNode(false);
  fresh.append(...children);
  if (!parent.isEqualNode(fresh)) parent.replaceChildren(...fresh.childNodes);
}

/* Key figures. */

function makeTile(name, value, unit, note) {
  const number = make("div", "value", value, unit ? make("small", "", ` ${unit}`) : null);
  return make("div", "", make("dt", "", t(name)), make("dd", "", number, make("div", "note-line", note)));
}

function makeTiles({ insights, system }) {
  const { summary } = insights;
  const times = summary.duration_s;
  const failed = summary.failed ? t("figure.failed", { failed: summary.failed }) : t("figure.none_failed");
  const unusable = summary.unusable ? ` · ${t("figure.unusable", { unusable: summary.unusable })}` : "";
  const { queue } = summary;
  const tiles = [
    makeTile("figure.done", formatNumber(summary.succeeded), "", failed + unusable),
    makeTile("figure.success", formatShare(summary.success_rate), "", t("figure.of", { count: summary.count - summary.unusable })),
    makeTile("figure.speed", formatNumber(summary.times_real_time), t("figure.real_time"), t("figure.audio", { minutes: formatNumber(summary.audio_minutes) })),
    makeTile("figure.median", formatSeconds(times.p50), "", t("figure.tail", { p95: formatSeconds(times.p95), p99: formatSeconds(times.p99) })),
    makeTile("figure.queue", formatNumber(queue.queued), "", t("figure.active", { running: formatNumber(queue.running), requests: queue.requests })),
    makeTile("figure.memory", formatNumber(system.memory.used_pct), "%", describeMemory(system.memory)),
  ];
  if (system.gpu) {
    const share = system.gpu.utilization_pct == null ? t("unknown") : `${formatNumber(system.gpu.utilization_pct)}%`;
    tiles.push(makeTile("figure.gpu", formatNumber(system.gpu.memory_used_pct), "%", t("figure.gpu_utilization", { share })));
  }
  return tiles;
}

const describeMemory = (memory) =>
  t("figure.memory_of", { used: formatGb(memory.total_mb - memory.available_mb), total: formatGb(memory.total_mb) });

/* What needs attention. */

/** Where the cause of each alert is shown: a part of this page. */
const CAUSES = { p99: "stages", success: "failures", errors: "failures", gpu: "machine", memory: "machine" };

function makeItem(kind, mark, text, details, link) {
  const more = details || link ? make("span", "more", details, details && link ? " · " : null, link) : null;
  return make("li", "", make("span", `mark ${mark}`, t(kind)), make("span", "", text, more));
}

function makeLink(text, href) {
  const link = make("a", "", text);
  link.href = href;
  return link;
}

/** Link to a video in the library; the search takes its path, not the key, in which some signs are encoded. */
function linkVideo(key) {
  let path = key;
  try {
    path = decodeURIComponent(key);
  } catch {
    // a name that is not UTF-8
  }
  return makeLink(path, `/library?q=${encodeURIComponent(path)}`);
}

function makeAttention({ insights, system }) {
  const figures = ({ value, threshold }) => ({ value: formatNumber(value), threshold: formatNumber(threshold) });
  // What helps against an alert stands in its line: one line a cause.
  const helps = (one) => one.name === "mend_most_frequent" && insights.alerts.some(({ name }) => CAUSES[name] === "failures");
  const help = insights.recommendations.find(helps);
  const describeAlert = (alert) => [
    t("since", { time: formatTime(alert.since) }),
    CAUSES[alert.name] === "failures" ? help && describeAdvice(help) : messageOf(`alert_advice.${alert.name}`, alert.advice),
  ].filter(Boolean).join(" · ");
  const alerts = insights.alerts.map((alert) =>
    makeItem("alert", "bad", messageOf(`alert.${alert.name}`, alert.message, figures(alert)), describeAlert(alert),
      makeLink(t(`cause.${CAUSES[alert.name]}`), `#${CAUSES[alert.name]}-title`)));
  const problems = system.problems.map((problem) => makeItem("problem", "warn", problem));
  if (system.queue?.is_paused) problems.push(makeItem("problem", "warn", t("queue_paused"), null, makeLink(t("to_library"), "/library")));
  const isSaid = (one) => one === help || (one.name === "start_daemon" && system.daemons?.some(({ healthy }) => !healthy));
  const advice = insights.recommendations.filter((one) => !isSaid(one)).map((one) =>
    makeItem("advice", "busy", describeAdvice(one), describeEvidence(one)));
  const items = [...alerts, ...problems, ...advice];
  if (!items.length) items.push(make("li", "plain", t("no_attention")));
  const trend = describeTrend(insights.trend);
  return trend ? [...items, make("li", "plain", trend)] : items;
}

const describeAdvice = ({ name, advice }) => messageOf(`advice.${name}`, advice);

/** Say the figures that an advice is based on; a figure's name ends with its unit. */
function describeEvidence({ name, figures }) {
  const format = (figure, value) => {
    if (figure === "disk") return t(`disk.${value}`);
    if (typeof value === "string") return value;
    if (figure.endsWith("_s")) return formatSeconds(value);
    return figure.endsWith("_mb") ? formatSize(value) : formatNumber(value);
  };
  const said = Object.entries(figures).map(([figure, value]) => [figure, format(figure, value)]);
  return t(`evidence.${name}`, Object.fromEntries(said));
}

/** The translation of a message of the service, else the message itself. */
function messageOf(name, message, values = {}) {
  const text = t(name, values);
  return text === name ? message : text;
}

/** Why a figure is unknown. */
const reasonOf = (system, name) => messageOf(`unknown.${name}`, system.reasons[name]);

function describeTrend(trend) {
  if (!trend || trend.verdict === "unknown") return null;
  return t(`trend.${trend.verdict}`, { share: formatShare(trend.share_slower), p: formatNumber(trend.p_value) });
}

/* Tables. */

function makeStages(stages) {
  const names = ["stage", "column.count", "column.failed", "column.unusable", "column.p50", "column.p95", "column.p99", "column.speed", "column.retries", "column.memory"];
  const rows = Object.entries(stages).map(([stage, summary]) => [
    t(`stage.${stage}`), formatNumber(summary.count), formatNumber(summary.failed), formatNumber(summary.unusable), formatSeconds(summary.duration_s.p50), formatSeconds(summary.duration_s.p95),
    formatSeconds(summary.duration_s.p99), formatNumber(summary.times_real_time), formatNumber(summary.retries.total), formatSize(summary.memory_mb.peak),
  ]);
  return makeTable(names.map((name) => t(name)), rows);
}

function makeWorkers(workers) {
  if (!workers.length) return make("p", "muted", t("no_workers"));
  const names = ["column.video", "stage", "column.progress", "column.since", "column.host", "column.sign"];
  const rows = workers.map((one) => [
    linkVideo(one.key), t(`stage.${one.stage}`), formatShare(one.fraction), formatTime(one.since), `${one.host} · ${one.pid}`,
    one.silent_s == null ? t("unknown") : t("ago", { time: formatSeconds(Math.round(one.silent_s)) }),
  ]);
  return makeTable(names.map((name) => t(name)), rows);
}

function makeFailures(failures) {
  const ours = failures.filter((one) => !one.is_unusable);
  const unusable = failures.filter((one) => one.is_unusable);
  const shown = [ours.length ? makeCauses(ours) : make("p", "muted", t("no_failures"))];
  if (unusable.length) shown.push(make("h3", "", t("unusable_files")), makeCauses(unusable));
  return shown;
}

function makeCauses(failures) {
  const rows = failures.map((one) => {
    // Of a video there is a link; its operation is always the same.
    const of = one.video ? "" : `${one.operation || "–"}: `;
    const name = messageOf(`kind.${one.kind}`, "");
    const kind = make("span", "failure", of + (name || one.message || one.kind));
    const cause = make("span", "", kind, make("div", "small muted", joinSentences(name && one.message, one.hint)),
      one.video ? make("div", "small", linkVideo(one.video)) : null);
    return [cause, formatNumber(one.count), formatTime(one.last_at)];
  });
  return makeTable([t("column.failure"), t("column.count"), t("column.last")], rows);
}

function makeMachine(system) {
  const { cpu, service } = system;
  const facts = [
    [t("machine.cpu"), t("machine.cores", { used: `${formatNumber(cpu.used_pct)}%`, cores: formatNumber(cpu.cores) })],
    [t("machine.memory"), describeMemory(system.memory)],
    [t("machine.service"), `${formatSize(system.memory.service_mb)} · ${t("machine.slots", { taken: service.places_taken, slots: service.places, uptime: formatSeconds(service.uptime_s) })}`],
    [t("machine.model"), service.model_loaded && service.model ? service.model : t("machine.unloaded")],
    ...(system.gpu ? [[t("machine.gpu"), `${formatGb(system.gpu.memory_used_mb)} / ${formatGb(system.gpu.memory_total_mb)} GB`]] : []),
    ...Object.entries(system.disks).map(([name, disk]) => [
      t("machine.disk", { name: t(`disk.${name}`) }),
      disk ? t("machine.free", { free: formatGb(disk.free_mb) }) : reasonOf(system, `disks.${name}`),
    ]),
    [t("machine.daemons"), describeDaemons(system)],
  ];
  return facts.flatMap(([name, value]) => [make("dt", "", name), make("dd", "", value)]);
}

function describeDaemons(system) {
  const { daemons } = system;
  if (!daemons) return reasonOf(system, "daemons");
  const silent = daemons.filter((daemon) => !daemon.healthy).map((daemon) => daemon.name);
  return silent.length ? t("machine.silent", { names: silent.join(", ") }) : t("machine.healthy", { count: daemons.length });
}

/* The whole page. */

function show(figures) {
  const { insights, system } = figures;
  replaceContent(byId("tiles"), ...makeTiles(figures));
  replaceContent(byId("attention"), ...makeAttention(figures));
  replaceContent(byId("workers"), makeWorkers(system.workers));
  replaceContent(byId("stages"), makeStages(figures.stages));
  replaceContent(byId("failures"), ...makeFailures(insights.failures));
  replaceContent(byId("machine"), ...makeMachine(system));
  const health = byId("health");
  health.className = `mark ${HEALTH_MARKS[insights.overall_health]}`;
  health.textContent = t(`health.${insights.overall_health}`);
  health.hidden = !insights.summary.count;
  byId("loading").hidden = true;
  byId("empty").hidden = insights.summary.count > 0;
  byId("figures").hidden = false; // before the charts are drawn, which measure their elements
  for (const chart of charts) chart.draw(figures.series, chart.name === "gpu" && !system.gpu);
}

async function refresh() {
  const error = byId("error");
  try {
    show(await fetchJson(`/api/v1/performance/dashboard?since=${since}`));
    error.hidden = true;
  } catch (problem) {
    error.textContent = problem.message;
    error.hidden = false;
    byId("loading").hidden = true;
  }
}

let timer;
async function loop() {
  clearTimeout(timer);
  if (document.hidden) return; // continues when the page becomes visible again
  await refresh();
  clearTimeout(timer);
  timer = setTimeout(loop, REFRESH_MS);
}

document.addEventListener("visibilitychange", loop);
document.addEventListener("themechange", () => charts.forEach((chart) => chart.recolor()));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => charts.forEach((chart) => chart.recolor()));
loop();
