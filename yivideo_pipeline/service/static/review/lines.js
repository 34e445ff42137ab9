// How wide text is, and where it breaks into lines.

const WIDE = /[\u1100-\u115f\u2e80-\u303e\u3041-\u33ff\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{20000}-\u{3fffd}]/u;
const INVISIBLE = /[\p{Mn}\p{Me}\p{Cf}]/u;
/** The Chinese limits apply from this share of full-width letters on, as in the pipeline. */
const CJK_SHARE = 0.25;
const SPEAKER = /^\s*[-–—]/;
const ENDS_PHRASE = /[.!?…,;:。！？，、；：]["'”’」』)）]*$/u;
const segmenter = globalThis.Intl?.Segmenter ? new Intl.Segmenter(undefined, { granularity: "word" }) : null;

/** Return the columns of a text: two for a full-width character. */
export const columnsOf = (text) => [...text].reduce((sum, char) => sum + (INVISIBLE.test(char) ? 0 : WIDE.test(char) ? 2 : 1), 0);

/** Return whether the limits of Chinese, Japanese and Korean apply to a text. */
export function isCjk(text) {
  const letters = [...text].filter((char) => /[\p{L}\p{N}]/u.test(char));
  const wide = letters.filter((char) => WIDE.test(char)).length;
  return wide > 0 && wide >= CJK_SHARE * letters.length;
}

/** Join lines to one: with a space between them, unless both sides are written without spaces. */
export function joinLines(text) {
  return text.split("\n").map((line) => line.trim()).filter(Boolean).reduce((joined, line) => {
    const touches = joined && /[\u3040-\u30ff\u3400-\u9fff\uff00-\uffef\u3000-\u303f]$/u.test(joined) && WIDE.test([...line][0]);
    return joined ? `${joined}${touches ? "" : " "}${line}` : line;
  }, "");
}

/**
 * Break a text into as few lines as the limits allow, of about the same width, rather after punctuation.
 * Lines of two speakers stay as they are.
 */
export function wrap(text, limits) {
  const lines = text.split("\n").filter((line) => line.trim());
  if (lines.length > 1 && lines.every((line) => SPEAKER.test(line))) return lines.map((line) => line.trim()).join("\n");
  const joined = joinLines(text);
  const most = isCjk(joined) ? 2 * limits.max_chars_per_line_cjk : limits.max_chars_per_line;
  const count = Math.max(1, Math.ceil(columnsOf(joined) / most));
  if (count === 1) return joined;
  const pieces = piecesOf(joined);
  const best = bestLines(pieces, count, most) ?? bestLines(pieces, count + 1, most);
  return (best ?? [joined]).join("\n");
}

/** Return the parts of a text between which a line may break; joined they are the text. */
function piecesOf(text) {
  const words = segmenter ? [...segmenter.segment(text)].map(({ segment }) => segment) : text.split(/(?<=\s)/u);
  const pieces = [];
  for (const word of words) {
    const last = pieces.at(-1);
    const mayBreak = last && (/\s$/.test(last) || (WIDE.test(last.at(-1)) && WIDE.test([...word][0]))) && /[\p{L}\p{N}"'“‘「『(（]/u.test([...word][0]);
    if (last && !mayBreak) pieces[pieces.length - 1] += word;
    else pieces.push(word);
  }
  return pieces;
}

/** Return the best way to break pieces into so many lines; null if a line would be too long. */
function bestLines(pieces, count, most) {
  const ends = [0];
  for (const piece of pieces) ends.push(ends.at(-1) + columnsOf(piece));
  const ideal = ends.at(-1) / count;
  /** best[lines][end]: the lowest cost of so many lines up to a piece, and where the last one starts. */
  let row = [{ cost: 0, cuts: [] }];
  for (let line = 1; line <= count; line += 1) {
    const following = [];
    for (let end = line; end <= pieces.length; end += 1) {
      for (let start = line - 1; start < end; start += 1) {
        if (!row[start]) continue;
        const text = pieces.slice(start, end).join("").trim();
        const width = columnsOf(text);
        if (width > most) continue;
        const atPhrase = end === pieces.length || ENDS_PHRASE.test(text);
        const cost = row[start].cost + (width - ideal) ** 2 + (atPhrase ? 0 : (0.25 * ideal) ** 2);
        if (!following[end] || cost < following[end].cost) following[end] = { cost, cuts: [...row[start].cuts, text] };
      }
    }
    row = following;
  }
  return row[pieces.length]?.cuts ?? null;
}
