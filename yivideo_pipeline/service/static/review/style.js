// The style guide of the machine's subtitles: which rules are broken, by which cues and why.

import { byId, make, t } from "./dom.js";

const SHOWN_CUES = 12;

/** Show a report; `goTo` is called with the number of a cue, counted from 0. */
export function showStyle(report, goTo) {
  byId("style").hidden = !report;
  if (!report) return;
  const broken = report.rules.filter((rule) => rule.broken);
  const hard = broken.reduce((sum, rule) => sum + (rule.is_hard ? rule.broken : 0), 0);
  byId("style-title").textContent = t("style_of", { profile: report.profile });
  byId("style-count").textContent = hard ? t("style_breaks", { count: hard }) : t("style_kept");
  byId("style-count").className = hard ? "mark warn" : "mark good";
  byId("style-rules").replaceChildren(...broken.map((rule) => showRule(rule, goTo)));
  byId("style-proof").hidden = !(hard && report.is_strict);
  byId("profile").value = report.profile;
}

function showRule(rule, goTo) {
  const cues = rule.cues.slice(0, SHOWN_CUES).map(([number, reason]) =>
    make("button", { type: "button", className: "quiet small number", title: t(`why.${reason}`), onclick: () => goTo(number - 1) }, `${number}`),
  );
  const reasons = Object.keys(rule.reasons).map((reason) => t(`why.${reason}`));
  return make(
    "li",
    {},
    make("strong", {}, `${t(`rule.${rule.rule}`)}: ${rule.broken}`),
    make("p", { className: "small muted" }, reasons.join(" ")),
    make("div", { className: "row" }, ...cues),
  );
}
