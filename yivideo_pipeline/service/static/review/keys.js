// The keyboard: what a person who corrects for hours reaches for.

import { byId } from "./dom.js";

const JUMP_MS = 5000;

/** Let keys do what `actions` do; keys that a field, a button or a dialog needs stay its own. */
export function listen({ player, transcript, editor, search, versions, goTo }) {
  const step = (by) => {
    const { place } = transcript;
    const { list } = transcript.cues;
    const next = list[Math.min(Math.max(place + by, 0), list.length - 1)];
    if (next) goTo(next);
  };
  const actions = {
    " ": () => player.toggle(),
    ArrowLeft: () => player.seek(player.now - JUMP_MS),
    ArrowRight: () => player.seek(player.now + JUMP_MS),
    ArrowUp: () => step(-1),
    ArrowDown: () => step(1),
    "/": () => search.focus(),
    "?": () => byId("help").showModal(),
    Enter: () => {
      const cue = transcript.cues.list[Math.max(0, transcript.place)];
      if (cue) editor.open(cue);
    },
    Escape: () => editor.close(),
  };
  // Before the video's own keys, which would answer a second time.
  document.addEventListener(
    "keydown",
    (event) => {
      if (document.querySelector("dialog[open]")) return;
      const target = event.target;
      const typing = target.matches("input, textarea, select");
      const held = event.ctrlKey || event.metaKey;
      if (held && event.key.toLowerCase() === "s") {
        event.preventDefault();
        versions.save();
      } else if (held && event.key.toLowerCase() === "z" && !typing) {
        event.preventDefault();
        versions.undo();
      } else if (!typing && !held && !event.altKey && actions[event.key]) {
        if ([" ", "Enter"].includes(event.key) && target.closest("button, a, summary")) return;
        event.preventDefault();
        event.stopPropagation();
        actions[event.key]();
      }
    },
    true,
  );
}
