// The sound as a waveform, drawn by wavesurfer.js, with the cues on it: they are dragged, and so are their ends.

import WaveSurfer from "/static/vendor/wavesurfer.esm.js";
import RegionsPlugin from "/static/vendor/wavesurfer-regions.esm.js";
import { fetchJson } from "/static/frame.js";
import { byId } from "./dom.js";
import { moveCue } from "./operations.js";
import { indexAt } from "./times.js";

/** How many pairs of lowest and highest sample a second has, as the service sends them. */
const PEAKS_PER_S = 50;
const ZOOM = { least: 12, first: 80, most: 800 };
const SNAP_PX = 8;
const MARGIN_MS = 2000;
/** Speech that is this far from every cue, for so long, is shown as uncovered. */
const UNCOVERED_MS = 800;

export class Waveform {
  #surfer = null;
  #regions = null;
  #shown = new Map();
  #shade = document.createElement("div");
  #zoom = ZOOM.first;
  /** When each new shot of the picture begins. */
  #shots = [];
  #keys = {};
  #waits = false;

  /** `state` returns {cue, speech, lowPct}: the current cue, the speech spans, and what counts as uncertain. */
  constructor(url, doc, player, state) {
    this.url = url;
    this.doc = doc;
    this.player = player;
    this.state = state;
    this.element = byId("waveform");
    /** @type {(edge: string, ms: number) => void} */
    this.onEdge = () => {};
    /** @type {(cue: import("./document.js").Cue) => void} */
    this.onEdit = () => {};
    doc.addEventListener("change", () => this.update());
    player.addEventListener("move", () => this.#surfer?.setTime(player.now / 1000));
    addEventListener("pointerdown", ({ shiftKey, altKey }) => (this.#keys = { shiftKey, altKey }), true);
    addEventListener("pointerup", ({ shiftKey, altKey }) => (this.#keys = { shiftKey, altKey }), true);
    this.element.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    document.addEventListener("themechange", () => this.#surfer?.setOptions(this.#colors()));
  }

  /** Load the peaks, which begin at `offset_ms` of the video, and draw them. */
  async open(offset_ms, gap_ms) {
    this.gapMs = gap_ms;
    const response = await fetch(`${this.url}/peaks`);
    if (!response.ok) return;
    const peaks = onVideosClock(new Int8Array(await response.arrayBuffer()), offset_ms, this.doc.endMs);
    byId("waves").hidden = false;
    this.#regions = RegionsPlugin.create();
    this.#surfer = WaveSurfer.create({
      container: this.element, height: 84, minPxPerSec: this.#zoom, normalize: true, cursorWidth: 2, autoCenter: false,
      peaks, duration: this.doc.endMs / 1000, plugins: [this.#regions], ...this.#colors(),
    });
    this.#shade.setAttribute("part", "shade");
    this.#surfer.getWrapper().prepend(this.#shade);
    this.#surfer.getWrapper().parentElement.tabIndex = 0; // it scrolls, so the keyboard has to reach it
    this.#surfer.on("interaction", (time) => this.#press(time * 1000));
    for (const name of ["scroll", "zoom", "redraw", "ready", "resize"]) this.#surfer.on(name, () => this.update());
    this.#regions.on("region-updated", (region, side) => this.#drop(region, side));
    this.#regions.on("region-double-clicked", (region) => this.onEdit(region.cue));
    this.#surfer.on("ready", () => this.#surfer.setTime(this.player.now / 1000));
    const shots = await fetchJson(`${this.url}/shots`).catch(() => null); // without a picture there are none
    this.#shots = shots?.shots_ms ?? [];
    this.update();
  }

  /** Show more or less of the sound at once. */
  zoom(factor) {
    if (!this.#surfer) return;
    this.#zoom = Math.min(Math.max(this.#zoom * factor, ZOOM.least), ZOOM.most);
    this.#surfer.zoom(this.#zoom);
  }

  /** Draw what is visible, once for all changes before the next frame. */
  update() {
    if (this.#waits || !this.#surfer) return;
    this.#waits = true;
    requestAnimationFrame(() => {
      this.#waits = false;
      this.#draw();
    });
  }

  #colors() {
    // The style sheet gives them as a text and a caret colour: a canvas can't take a variable for two themes.
    const { color, caretColor } = getComputedStyle(this.element);
    return { waveColor: color, progressColor: color, cursorColor: caretColor };
  }

  get #perSecond() {
    return this.#surfer.getWrapper().clientWidth / this.#surfer.getDuration();
  }

  /** The times between which cues and shades are drawn. */
  #window() {
    const left = (1000 * this.#surfer.getScroll()) / this.#perSecond;
    return [left - MARGIN_MS, left + (1000 * this.#surfer.getWidth()) / this.#perSecond + MARGIN_MS];
  }

  #draw() {
    const [from, until] = this.#window();
    const { list } = this.doc;
    const first = Math.max(0, indexAt(list, from, (cue) => cue.start_ms));
    const visible = list.slice(first, indexAt(list, until, (cue) => cue.start_ms) + 1);
    const wanted = new Set(visible);
    for (const [cue, region] of this.#shown) {
      if (wanted.has(cue)) continue;
      region.remove();
      this.#shown.delete(cue);
    }
    const { cue: current } = this.state();
    for (const cue of visible) {
      const region = this.#shown.get(cue) ?? this.#add(cue);
      region.element?.setAttribute("part", cue === current ? "region cue current" : "region cue");
    }
    this.#drawShades(visible, from, until);
  }

  #add(cue) {
    const region = this.#regions.addRegion({
      id: "cue", start: cue.start_ms / 1000, end: cue.end_ms / 1000, color: "transparent", minLength: 0.1, content: cue.text.replaceAll("\n", " ") || " ",
    });
    region.cue = cue;
    this.#shown.set(cue, region);
    return region;
  }

  /** Shade speech, speech that no cue covers, and uncertain words; mark the shots. */
  #drawShades(cues, from, until) {
    const { speech, lowPct } = this.state();
    const seen = speech.filter(([start, end]) => end > from && start < until);
    const low = cues.flatMap((cue) => cue.words?.filter((word) => word[3] < lowPct && word[4] !== "interpolated") ?? []);
    const duration = this.#surfer.getDuration() * 1000;
    const make = (part) => ([start, end]) => {
      const shade = document.createElement("div");
      shade.setAttribute("part", `shade-${part}`);
      shade.style.left = `${(100 * start) / duration}%`;
      shade.style.width = `${(100 * (end - start)) / duration}%`;
      return shade;
    };
    this.#shade.replaceChildren(
      ...seen.map(make("speech")),
      ...uncovered(seen, cues).map(make("uncovered")),
      ...low.map((word) => [word[1], word[2]]).map(make("low")),
      ...this.#shots.filter((shot) => shot > from && shot < until).map((shot) => [shot, shot]).map(make("shot")),
    );
  }

  #press(ms) {
    if (this.#keys.shiftKey) this.onEdge("start", ms);
    else if (this.#keys.altKey) this.onEdge("end", ms);
    else {
      this.player.seek(ms);
      return;
    }
    this.#surfer.setTime(this.player.now / 1000);
  }

  /** Take over where a cue, or one of its ends, was dragged to. With Alt it does not snap. */
  #drop(region, side) {
    const { cue } = region;
    const index = this.doc.list.indexOf(cue);
    if (index < 0) return;
    const part = side ?? "whole";
    const edge = part === "end" ? "end" : "start";
    const ms = this.#snap(index, part, 1000 * region[edge]);
    const moved = moveCue(this.doc.list, index, part, ms - cue[`${edge}_ms`], this.doc.endMs);
    const isSame = moved.start_ms === cue.start_ms && moved.end_ms === cue.end_ms;
    if (isSame) region.setOptions({ start: cue.start_ms / 1000, end: cue.end_ms / 1000 });
    else this.doc.replace(index, 1, [moved]);
  }

  /** Return the boundary near a time: of a word, of a neighbour with the gap, of a shot, or where it plays. */
  #snap(index, part, ms) {
    if (this.#keys.altKey) return ms;
    const around = this.doc.list.slice(Math.max(0, index - 1), index + 2);
    const words = around.flatMap((cue) => cue.words ?? []);
    const [before, after] = [this.doc.list[index - 1], this.doc.list[index + 1]];
    // As style guides ask, a cue ends a gap before the next shot, and begins with one.
    const places = part === "end"
      ? [...words.map((word) => word[2]), after && after.start_ms - this.gapMs, ...this.#shots.map((shot) => shot - this.gapMs)]
      : [...words.map((word) => word[1]), before && before.end_ms + this.gapMs, ...this.#shots];
    const near = [...places, this.player.now].filter((place) => place !== undefined && Math.abs(place - ms) * this.#perSecond < 1000 * SNAP_PX);
    return near.sort((a, b) => Math.abs(a - ms) - Math.abs(b - ms))[0] ?? ms;
  }

  #wheel(event) {
    if (!event.ctrlKey) return;
    event.preventDefault();
    this.zoom(event.deltaY < 0 ? 1.25 : 0.8);
  }
}

/** Return the highest and lowest samples as wavesurfer takes them, for the whole video. */
function onVideosClock(pairs, offset_ms, end_ms) {
  const count = Math.max(1, Math.round((end_ms * PEAKS_PER_S) / 1000));
  const shift = Math.round((offset_ms * PEAKS_PER_S) / 1000);
  const [lowest, highest] = [new Float32Array(count), new Float32Array(count)];
  for (let index = 0; index < pairs.length / 2; index += 1) {
    const at = index + shift;
    if (at < 0 || at >= count) continue;
    lowest[at] = pairs[2 * index] / 128;
    highest[at] = pairs[2 * index + 1] / 128;
  }
  return [highest, lowest];
}

/** Return the parts of speech that no cue covers, and that are too long to be a breath. */
function uncovered(speech, cues) {
  return speech.flatMap(([from, until]) => {
    const parts = [];
    let start = from;
    for (const cue of cues) {
      if (cue.end_ms <= start || cue.start_ms >= until) continue;
      parts.push([start, cue.start_ms]);
      start = cue.end_ms;
    }
    return [...parts, [start, until]].filter(([a, b]) => b - a > UNCOVERED_MS);
  });
}
