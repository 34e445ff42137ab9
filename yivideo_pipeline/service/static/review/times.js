// Times as people write them: h:mm:ss.mmm, exact to the millisecond.

const TIME = /^(?:(?:(\d{1,3}):)?(\d{1,3}):)?(\d{1,6})(?:[.,](\d{1,3}))?$/;

/** Write milliseconds as 1:02:03.456; without hours where there are none. */
export function formatMs(ms) {
  const rest = String(ms % 1000).padStart(3, "0");
  return `${formatClock(ms)}.${rest}`;
}

/** Write milliseconds as 1:02:03, to be read at a glance. */
export function formatClock(ms) {
  const seconds = Math.floor(ms / 1000);
  const two = (number) => String(number).padStart(2, "0");
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes}:${two(seconds % 60)}`;
  return `${Math.floor(minutes / 60)}:${two(minutes % 60)}:${two(seconds % 60)}`;
}

/** Read what formatMs writes, or seconds alone; null where it is no time. */
export function parseMs(text) {
  const found = TIME.exec(text.trim());
  if (!found) return null;
  const [, hours = 0, minutes = 0, seconds, part = "0"] = found;
  return ((Number(hours) * 60 + Number(minutes)) * 60 + Number(seconds)) * 1000 + Number(part.padEnd(3, "0"));
}

/** Return the last place whose `start` is not after a time; -1 where all are. */
export function placeAt(list, ms, start) {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (start(list[middle]) <= ms) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
