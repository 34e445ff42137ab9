// Speech that no word of the machine covers: where it is and why.

import { byId, make, t } from "./dom.js";
import { formatClock } from "./times.js";

const REASONS = ["unsure", "unknown", "no_speech", "brief"];
const SHOWN = 24;

/** Show the spans, each [start, end, reason]; `goTo` is called with the time of one that is clicked. */
export function showWordless(spans, goTo) {
  byId("wordless").hidden = !spans.length;
  byId("wordless-title").textContent = t("wordless", { count: spans.length, seconds: secondsOf(spans) });
  const groups = REASONS.map((reason) => [reason, spans.filter((span) => span[2] === reason)]);
  byId("wordless-reasons").replaceChildren(...groups.filter(([, group]) => group.length).map((group) => showReason(...group, goTo)));
}

function showReason(reason, spans, goTo) {
  const places = spans.slice(0, SHOWN).map(([start, end]) =>
    make("button", { type: "button", className: "quiet small number", title: `${(end - start) / 1000} s`, onclick: () => goTo(start) }, formatClock(start)),
  );
  return make(
    "li",
    {},
    make("strong", {}, `${t(`wordless.${reason}`)}: ${secondsOf(spans)} s`),
    make("p", { className: "small muted" }, t(`wordless_why.${reason}`)),
    make("div", { className: "row" }, ...places, spans.length > SHOWN ? "…" : ""),
  );
}

const secondsOf = (spans) => (spans.reduce((sum, [start, end]) => sum + end - start, 0) / 1000).toFixed(1);
