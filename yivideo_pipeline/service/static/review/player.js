// The video with its subtitles; or its sound alone, where the browser can't play it.

import { byId, t } from "./dom.js";

const HEARD = /^(aac|mp3|opus|vorbis|flac|pcm_.*)$/;
/** Sound that browsers play; of any other a video would stay silent without an error. */

const escape = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

/** Times are milliseconds of the video, whatever is being played. Fires "move" while it plays, and on jumps. */
export class Player extends EventTarget {
  #video = byId("video");
  #offsetMs = 0;
  #track = null;
  #shown = new Map();

  constructor(address, cues) {
    super();
    this.address = address;
    this.cues = cues;
    this.#video.addEventListener("error", () => this.#fail());
    this.#video.addEventListener("loadedmetadata", () => this.#look());
    for (const name of ["timeupdate", "seeking", "seeked"]) {
      this.#video.addEventListener(name, () => this.#tell());
    }
    this.#video.addEventListener("play", () => this.#run());
    cues.addEventListener("change", (event) => this.#change(event.detail));
  }

  /** Begin with what is there, the file, else its sound; before there are cues. */
  open({ media, sound, language, name }) {
    this.media = media;
    this.sound = sound;
    this.#track = this.#video.addTextTrack("subtitles", name, language);
    this.#track.mode = "showing";
    if (!media?.is_there) this.#playSound(t("gone"));
    else if (media.sound && !HEARD.test(media.sound)) this.#playSound(t("unplayable", { what: media.sound }));
    else this.#video.src = `${this.address}/media`;
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

  /** Go to a time; half a frame later than asked, so that what starts there is what is shown. */
  seek(ms) {
    this.#video.currentTime = Math.max(0, ms - this.#offsetMs + 1) / 1000;
  }

  toggle() {
    // A play that a pause or a new source cuts off is refused by the browser; that is no fault.
    if (this.#video.paused) this.#video.play().catch((error) => console.debug(error.message));
    else this.#video.pause();
  }

  #fail() {
    if (this.#video.currentSrc.endsWith("/media")) this.#playSound(t("unplayable", { what: this.#codecs() }));
    else this.#say(t("nothing_to_play"));
  }

  #look() {
    const blind = this.media?.picture && this.#video.videoWidth === 0;
    if (blind && !this.#isSound()) this.#say(t("no_picture", { what: this.media.picture }));
    byId("sound-only").hidden = this.#video.videoWidth > 0;
  }

  #playSound(why) {
    if (!this.sound) {
      this.#say(t("nothing_to_play"));
      return;
    }
    this.#say(why);
    this.#offsetMs = this.sound.offset_ms;
    for (const [cue, shown] of this.#shown) this.#place(shown, cue);
    this.#video.src = `${this.address}/sound`;
  }

  #isSound() {
    return this.#video.currentSrc.endsWith("/sound");
  }

  #codecs() {
    return [this.media.container.split(",")[0], this.media.picture, this.media.sound].filter(Boolean).join(", ");
  }

  #say(text) {
    byId("player-note").textContent = text;
    byId("player-note").hidden = false;
  }

  #tell() {
    this.dispatchEvent(new Event("move"));
  }

  /** At each picture, not at the few events a second that browsers send: words are short. */
  #run() {
    if (this.#video.paused) return;
    this.#tell();
    requestAnimationFrame(() => this.#run());
  }

  #change({ removed, added }) {
    for (const cue of removed) {
      this.#track.removeCue(this.#shown.get(cue));
      this.#shown.delete(cue);
    }
    for (const cue of added) {
      const shown = new VTTCue(0, 0, escape(cue.text));
      this.#place(shown, cue);
      this.#shown.set(cue, shown);
      this.#track.addCue(shown);
    }
  }

  #place(shown, cue) {
    shown.startTime = Math.max(0, cue.start_ms - this.#offsetMs) / 1000;
    shown.endTime = Math.max(0, cue.end_ms - this.#offsetMs) / 1000;
  }
}
