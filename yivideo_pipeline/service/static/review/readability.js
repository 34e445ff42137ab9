// Checks how easily a cue can be read, by the limits of its run; the result is a warning, never an error.

import { t } from "./dom.js";

const WIDE = /[\u1100-\u115f\u2e80-\u303e\u3041-\u33ff\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{20000}-\u{3fffd}]/u;
const INVISIBLE = /[\p{Mn}\p{Me}\p{Cf}]/u;
/** The Chinese limits apply from this share of full-width letters on, as in the pipeline. */
const CJK_SHARE = 0.25;

const columnsOf = (text) =>
  [...text].reduce((sum, char) => sum + (INVISIBLE.test(char) ? 0 : WIDE.test(char) ? 2 : 1), 0);

function isCjk(text) {
  const letters = [...text].filter((char) => /[\p{L}\p{N}]/u.test(char));
  const wide = letters.filter((char) => WIDE.test(char)).length;
  return wide > 0 && wide >= CJK_SHARE * letters.length;
}

/** Return the characters per second, the seconds, and a warning for each limit that is exceeded. */
export function checkReadability(cue, after, limits) {
  const lines = cue.text.split("\n").filter((line) => line.trim());
  const cjk = isCjk(cue.text);
  const perChar = cjk ? 2 : 1;
  const lengths = lines.map((line) => columnsOf(line.trim()) / perChar);
  const seconds = Math.max(1, cue.end_ms - cue.start_ms) / 1000;
  const speed = lengths.reduce((sum, length) => sum + length, 0) / seconds;
  const fastest = cjk ? limits.max_chars_per_second_cjk : limits.max_chars_per_second;
  const longest = cjk ? limits.max_chars_per_line_cjk : limits.max_chars_per_line;
  const gap = after ? after.start_ms - cue.end_ms : Infinity;
  const warnings = [
    speed > fastest && t("warn_speed", { limit: fastest }),
    lengths.some((length) => length > longest) && t("warn_long_line", { limit: longest }),
    lines.length > limits.max_lines && t("warn_lines", { limit: limits.max_lines }),
    seconds < Math.floor(limits.min_duration_s * 1000) / 1000 &&
      t("warn_short", { limit: limits.min_duration_s.toFixed(2) }),
    seconds > limits.max_duration_s && t("warn_long", { limit: limits.max_duration_s }),
    gap < limits.min_gap_ms && t("warn_gap"),
  ];
  return { speed, seconds, warnings: warnings.filter(Boolean) };
}
