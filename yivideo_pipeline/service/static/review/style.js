// The style guide of the machine's subtitles: which rules are broken, by which cues and why; another guide.

import { fetchJson, showMessage } from "/static/frame.js";
import { byId, make, t } from "./dom.js";

const SHOWN_CUES = 12;

/** Show a report; `goTo` is called with the number of a cue, counted from 0. A click on the button starts a run. */
export function showStyle(key, report, goTo) {
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
  byId("make-again").onclick = () => makeAgain(key, byId("profile").value);
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

async function makeAgain(key, profile) {
  try {
    await fetchJson("/v1/workflows", {
      method: "POST",
      body: {
        video_path: key,
        workflow_config: { workflow_chain: ["yivideo.subtitles"] },
        output_params: { subtitles: { profile } },
      },
    });
    showMessage(t("style_started"));
  } catch (problem) {
    showMessage(problem.message, true);
  }
}
