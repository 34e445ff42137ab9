"""A folder of videos as users have them: good ones, odd ones, broken ones."""

import os
from pathlib import Path
from shutil import copyfile

import numpy as np

from tests.cli.command import SAMPLES
from tests.media.media_files import Sound, cut, tone, write_media

HARBOUR, LIGHTHOUSE = SAMPLES / "harbour-15s.mp4", SAMPLES / "lighthouse-60s.mkv"
ODD_NAMES = (
    "plain.mp4",
    "-leading dash.mp4",
    "two\nlines \"quoted\" 'q'.mp4",
    "[bold]会议 100%...[.mp4",
    os.fsdecode(b"latin \xe9.mp4"),
    f"{'长' * 83}xx.mp4",
)
"""All of the same content: the model works once for all of them. The last has 255 bytes, all there may be."""
BROKEN = {
    "empty.mp4": "media_unreadable",
    "text.mp4": "media_unreadable",
    "playlist.mp4": "media_refused",
    "no index.mp4": "media_truncated",
    "no audio.mp4": "media_no_audio",
}
EMPTY = ("silence.mp4", "no sound at all.wav")


def fill_video_folder(folder: Path) -> Path:
    """Put all of them into a folder."""
    folder.mkdir()
    (folder / "deep" / "er").mkdir(parents=True)
    for name in ODD_NAMES:
        copyfile(HARBOUR, folder / name)
    copyfile(HARBOUR, folder / "deep" / "er" / "talk.mp4")
    (folder / "plain.en.srt").write_text("by hand")
    (folder / "notes.txt").write_text("no video")

    (folder / "empty.mp4").touch()
    (folder / "text.mp4").write_text("this is no video\n" * 100)
    (folder / "playlist.mp4").write_text("#EXTM3U\nplain.mp4\n")
    copyfile(HARBOUR, folder / "no index.mp4")
    cut(folder / "no index.mp4", 0.4)
    write_media(folder / "no audio.mp4", [], video_s=2)

    copyfile(LIGHTHOUSE, folder / "breaks off.mkv")
    cut(folder / "breaks off.mkv", 0.3)
    write_media(folder / "silence.mp4", [Sound(np.zeros((1, 48_000), np.float32), codec="aac")])
    write_media(folder / "no sound at all.wav", [Sound(tone(0))], video_s=None)
    return folder
