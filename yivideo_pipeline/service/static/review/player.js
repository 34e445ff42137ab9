// The player: the video with its subtitles. Of a video that the browser can't play, the audio alone is played until
// the service has made a light copy.

import { fetchJson, joinSentences } from "/static/frame.js";
import { byId, t } from "./dom.js";
import { successor } from "./document.js";

/** Audio codecs that browsers play; with any other, a video would stay silent without an error. */
const PLAYABLE_AUDIO = /^(aac|mp3|opus|vorbis|flac|pcm_.*)$/;

const ASK_MS = 1500;

const escape = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

/** All times are milliseconds of the video, even if only its audio is played. Fires "move" while it plays, and on jumps. */
export class Player extends EventTarget {
  #video = byId("video");
  #offsetMs = 0;
  #track = null;
  #trackCues = new Map();
  /** The cue that is played again and again; null for none. */
  #loop = null;
  #isCopyAsked = false;
  frameMs = 40;

  constructor(url, doc) {
    super();
    this.url = url;
    this.#video.addEventListener("error", () => this.#fail());
    this.#video.addEventListener("loadedmetadata", () => this.#checkPicture());
    for (const name of ["timeupdate", "seeking", "seeked"]) {
      this.#video.addEventListener(name, () => this.#notify());
    }
    this.#video.addEventListener("play", () => this.#tick());
    byId("speed").addEventListener("change", () => (this.#video.playbackRate = Number(byId("speed").value)));
    this.#video.addEventListener("ratechange", () => (byId("speed").value = String(this.#video.playbackRate)));
    doc.addEventListener("change", (event) => this.#change(event.detail));
  }

  /** Open the file, or else its audio; to be called before there are cues. */
  open({ media, sound, language, name, frame_rate: frameRate }) {
    if (frameRate) this.frameMs = 1000 / frameRate;
    this.media = media;
    this.sound = sound;
    this.#track = this.#video.addTextTrack("subtitles", name, language);
    this.#track.mode = "showing";
    if (!media?.is_there) this.#playAudio(t("gone"));
    else if (media.picture && media.sound && !PLAYABLE_AUDIO.test(media.sound)) this.#playCopy();
    else this.#video.src = `${this.url}/media`;
  }

  get isOpen() {
    return this.#track !== null;
  }

  get now() {
    return Math.round(this.#video.currentTime * 1000) + this.#offsetMs;
  }

  get paused() {
    return this.#video.paused;
  }

  /** Go to a time; 1 ms later than asked, so that the cue that starts there is shown. */
  seek(ms) {
    this.#video.currentTime = Math.max(0, ms - this.#offsetMs + 1) / 1000;
  }

  toggle() {
    // The browser rejects a play that a pause or a new source interrupts; that is no error.
    if (this.#video.paused) this.#video.play().catch((error) => console.debug(error.message));
    else this.#video.pause();
  }

  /** Pause, and go so many frames on; a frame is shown from its start to that of the next one. */
  stepFrames(count) {
    this.#video.pause();
    const frame = Math.floor((this.now + 1) / this.frameMs + 1e-3);
    this.#video.currentTime = Math.max(0, ((frame + count) * this.frameMs + this.frameMs / 2 - this.#offsetMs) / 1000);
  }

  /** Take the next speed of those that there are. */
  changeSpeed(by) {
    const speeds = [...byId("speed").options].map(({ value }) => Number(value));
    const at = speeds.indexOf(this.#video.playbackRate);
    this.#video.playbackRate = speeds[Math.min(Math.max(at + by, 0), speeds.length - 1)];
  }

  /** Play a cue again and again, or stop doing so. */
  toggleLoop(cue) {
    this.#loop = this.#loop || !cue ? null : cue;
    byId("loop").setAttribute("aria-pressed", String(this.#loop !== null));
    if (!this.#loop) return;
    this.seek(cue.start_ms);
    if (this.paused) this.toggle();
  }

  #fail() {
    if (!this.#video.currentSrc.endsWith("/media")) this.#showNote(t("nothing_to_play"));
    else if (this.media.picture) this.#playCopy();
    else this.#playAudio(t("unplayable", { what: this.#codecs() }));
  }

  #checkPicture() {
    const hasNoPicture = this.media?.picture && this.#video.videoWidth === 0;
    if (hasNoPicture && this.#video.currentSrc.endsWith("/media")) this.#playCopy();
    byId("sound-only").hidden = this.#video.videoWidth > 0;
  }

  /** Play the light copy once the service has it, and the audio until then. */
  async #playCopy() {
    if (this.#isCopyAsked) return;
    this.#isCopyAsked = true;
    const what = this.#codecs();
    try {
      let copy = await this.#askForCopy();
      if (!copy.is_ready) this.#playAudio(t("unplayable", { what }));
      while (!copy.is_ready && !copy.error) {
        this.#showNote(t("copy_is_made", { what, percent: Math.round(100 * copy.fraction) }));
        await new Promise((resolve) => setTimeout(resolve, ASK_MS));
        copy = await this.#askForCopy();
      }
      if (copy.error) this.#showNote(joinSentences(t("unplayable", { what }), copy.error));
      else this.#changeSource(`${this.url}/light-copy`, 0, t("copy_is_played", { what }));
    } catch (error) {
      this.#playAudio(joinSentences(t("unplayable", { what }), error.message));
    }
  }

  #askForCopy() {
    return fetchJson(`${this.url}/light-copy`, { method: "POST" });
  }

  /** Go on at the same time with another source, which begins at `offsetMs` of the video. */
  #changeSource(source, offsetMs, note) {
    const { now, paused } = this;
    const { playbackRate } = this.#video;
    this.#showNote(note);
    this.#offsetMs = offsetMs;
    for (const [cue, trackCue] of this.#trackCues) this.#setTimes(trackCue, cue);
    this.#video.src = source;
    this.#video.playbackRate = playbackRate;
    if (now > offsetMs) this.seek(now);
    if (!paused) this.toggle();
  }

  #playAudio(reason) {
    if (!this.sound) {
      this.#showNote(t("nothing_to_play"));
      return;
    }
    this.#changeSource(`${this.url}/sound`, this.sound.offset_ms, reason);
  }

  #codecs() {
    return [this.media.container.split(",")[0], this.media.picture, this.media.sound].filter(Boolean).join(", ");
  }

  #showNote(text) {
    byId("player-note").textContent = text;
    byId("player-note").hidden = false;
  }

  #notify() {
    if (this.#loop && !this.paused && (this.now >= this.#loop.end_ms || this.now < this.#loop.start_ms - 1000)) this.seek(this.#loop.start_ms);
    this.dispatchEvent(new Event("move"));
  }

  /** Notify on every frame: browsers send only a few events per second, and words are short. */
  #tick() {
    if (this.#video.paused) return;
    this.#notify();
    requestAnimationFrame(() => this.#tick());
  }

  #change(change) {
    const { removed, added } = change;
    this.#loop = this.#loop && successor(this.#loop, change);
    for (const cue of removed) {
      this.#track.removeCue(this.#trackCues.get(cue));
      this.#trackCues.delete(cue);
    }
    for (const cue of added) {
      const trackCue = new VTTCue(0, 0, escape(cue.text));
      this.#setTimes(trackCue, cue);
      this.#trackCues.set(cue, trackCue);
      this.#track.addCue(trackCue);
    }
  }

  #setTimes(trackCue, cue) {
    trackCue.startTime = Math.max(0, cue.start_ms - this.#offsetMs) / 1000;
    trackCue.endTime = Math.max(0, cue.end_ms - this.#offsetMs) / 1000;
  }
}
