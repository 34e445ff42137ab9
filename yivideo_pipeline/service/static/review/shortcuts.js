// The keyboard shortcuts of the review page.

import { byId } from "./dom.js";

const JUMP_MS = 5000;

/** Install the shortcuts; keys that a field, a button or a dialog needs keep their meaning there. */
export function installShortcuts({ player, transcript, editor, search, versions, goTo }) {
  const step = (by) => {
    const { currentIndex } = transcript;
    const { list } = transcript.cues;
    const next = list[Math.min(Math.max(currentIndex + by, 0), list.length - 1)];
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
      const cue = transcript.cues.list[Math.max(0, transcript.currentIndex)];
      if (cue) editor.open(cue);
    },
    Escape: () => editor.close(),
  };
  // In the capture phase, before the video element, which would handle the keys a second time.
  document.addEventListener(
    "keydown",
    (event) => {
      if (document.querySelector("dialog[open]")) return;
      const target = event.target;
      const typing = target.matches("input, textarea, select");
      const withModifier = event.ctrlKey || event.metaKey;
      if (withModifier && event.key.toLowerCase() === "s") {
        event.preventDefault();
        versions.save();
      } else if (withModifier && event.key.toLowerCase() === "z" && !typing) {
        event.preventDefault();
        versions.undo();
      } else if (!typing && !withModifier && !event.altKey && actions[event.key]) {
        if ([" ", "Enter"].includes(event.key) && target.closest("button, a, summary")) return;
        event.preventDefault();
        event.stopPropagation();
        actions[event.key]();
      }
    },
    true,
  );
}
