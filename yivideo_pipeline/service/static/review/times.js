// Formats and parses times as h:mm:ss.mmm, exact to the millisecond.

const TIME = /^(?:(?:(\d{1,3}):)?(\d{1,3}):)?(\d{1,6})(?:[.,](\d{1,3}))?$/;

/** Format milliseconds as 1:02:03.456, without hours if there are none. */
export function formatMs(ms) {
  const rest = String(ms % 1000).padStart(3, "0");
  return `${formatClock(ms)}.${rest}`;
}

/** Format milliseconds as 1:02:03. */
export function formatClock(ms) {
  const seconds = Math.floor(ms / 1000);
  const two = (number) => String(number).padStart(2, "0");
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes}:${two(seconds % 60)}`;
  return `${Math.floor(minutes / 60)}:${two(minutes % 60)}:${two(seconds % 60)}`;
}

/** Parse what formatMs returns, or seconds alone; return null for anything else. */
export function parseMs(text) {
  const found = TIME.exec(text.trim());
  if (!found) return null;
  const [, hours = 0, minutes = 0, seconds, part = "0"] = found;
  return ((Number(hours) * 60 + Number(minutes)) * 60 + Number(seconds)) * 1000 + Number(part.padEnd(3, "0"));
}

/** Return the index of the last item whose `start` is not after a time; -1 if all are. */
export function indexAt(list, ms, start) {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (start(list[middle]) <= ms) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
