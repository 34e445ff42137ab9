"""`yivideo retime`: a subtitle file of others gets the times of the words that are spoken in a video.

Times alone are replaced in the file: styles, positions, notes and the way it is laid out stay.
"""

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yivideo_pipeline.cli.console import Exit, open_console, print_json
from yivideo_pipeline.cli.progress import single_bar
from yivideo_pipeline.errors.classify import classify
from yivideo_pipeline.errors.tree import ConfigValidationError, DiskError, MediaError
from yivideo_pipeline.machine.heap import share_one_heap
from yivideo_pipeline.machine.openmp import let_waiting_threads_sleep
from yivideo_pipeline.media.probe import content_hash
from yivideo_pipeline.plurals import plural
from yivideo_pipeline.settings.load import load_settings
from yivideo_pipeline.settings.settings import Settings
from yivideo_pipeline.speech.types import Transcript
from yivideo_pipeline.storage.artifacts import Storage
from yivideo_pipeline.storage.edits import EditedCue
from yivideo_pipeline.storage.partition_keys import key_of
from yivideo_pipeline.subtitles.retiming import Retiming, retime

SHOWN_UNPLACED = 20
_CLOCK = r"(?:\d+:)?\d{1,2}:\d{2}[,.]\d{1,3}"
_ARROW_LINE = re.compile(
    rf"^(?P<lead>[ \t]*)(?P<start>{_CLOCK})(?P<between>[ \t]*-->[ \t]*)(?P<end>{_CLOCK})", re.MULTILINE
)
_DIALOGUE = re.compile(
    rf"^(?P<lead>Dialogue:[^,\n]*,[ \t]*)(?P<start>{_CLOCK})(?P<between>,[ \t]*)(?P<end>{_CLOCK})(?=,)",
    re.MULTILINE,
)
_ASS_FIELDS_BEFORE_TEXT = 7
"""Counted from the comma after the end."""
_MARKUP = re.compile(r"<[^>\n]*>|\{[^}\n]*\}")
_WORD_TIME = re.compile(r"<[\d:]+\.\d{3}>")


@dataclass(frozen=True)
class ForeignFile:
    """A subtitle file: its text, and where in it each cue's times stand.

    Attributes:
        text: The whole file.
        is_ass: Whether it is ASS, whose clock has hundredths of a second.
        times: The match of each cue's times.
        cues: The cues, in the file's order, without markup.
    """

    text: str
    is_ass: bool
    times: tuple[re.Match[str], ...]
    cues: tuple[EditedCue, ...]

    def with_times(self, cues: tuple[EditedCue, ...]) -> str:
        """Return the file with other times of its cues."""
        parts, at = [], 0
        for match, was, cue in zip(self.times, self.cues, cues, strict=True):
            parts.append(self.text[at : match.start()])
            parts.append(match.group() if cue == was else self._times_of(match, cue))
            at = match.end()
        text = "".join((*parts, self.text[at:]))
        return _WORD_TIME.sub("", text)  # the times of single words would be the old ones

    def _times_of(self, match: re.Match[str], cue: EditedCue) -> str:
        mark = "," if "," in match["start"] else "."
        start, end = (self._clock(ms, mark) for ms in (cue.start_ms, cue.end_ms))
        return f"{match['lead']}{start}{match['between']}{end}"

    def _clock(self, ms: int, mark: str) -> str:
        seconds, rest = divmod(ms + (5 if self.is_ass else 0), 1000)
        hours, minutes, seconds = seconds // 3600, seconds // 60 % 60, seconds % 60
        if self.is_ass:
            return f"{hours}:{minutes:02d}:{seconds:02d}.{rest // 10:02d}"
        return f"{hours:02d}:{minutes:02d}:{seconds:02d}{mark}{rest:03d}"


def retime_file(
    subtitles: Path,
    video: Path,
    output: Path | None,
    speech: dict[str, Any],
    config: Path | None,
    as_json: bool,
) -> Exit:
    """Write a copy of a subtitle file with new times, and list the cues that kept theirs.

    Args:
        subtitles: An SRT, WebVTT or ASS file; it stays as it is.
        video: The video.
        output: The copy; by default `NAME.retimed.srt` beside the file. An existing file is left alone.
        speech: Speech options in place of the settings'.
        config: The settings file.
        as_json: Whether the result is printed as JSON.

    Raises:
        YivideoError: A file can't be read or written, or the speech not recognized.
    """
    settings = load_settings(config)
    target = output or subtitles.with_name(f"{subtitles.stem}.retimed{subtitles.suffix}")
    if target.exists():
        raise DiskError(f"{target} exists already", "Name another file with --output")
    foreign = read_foreign(subtitles)
    console = open_console(stderr=as_json)
    transcript = _known_transcript(video, settings) if not any(speech.values()) else None
    if transcript is None:
        from yivideo_pipeline.api import transcribe

        share_one_heap()
        let_waiting_threads_sleep()
        console.print(f"Recognizing the speech of {video.name}")
        given = {name: value for name, value in speech.items() if value is not None}
        # The text is there already: the few words more that a beam gets right place no cue better (ADR 30).
        bar, advance = single_bar(console, video.name, live=console.is_terminal)
        with bar:
            transcript = transcribe(video, settings.speech.options, on_progress=advance, beam_size=1, **given)
    order = sorted(range(len(foreign.cues)), key=lambda at: foreign.cues[at][:2])
    result = retime([foreign.cues[at] for at in order], transcript)
    placed = dict(zip(order, result.cues, strict=True))
    _write(target, foreign.with_times(tuple(placed[at] for at in range(len(order)))))
    unplaced = sorted(order[at] + 1 for at in result.unplaced)
    if as_json:
        print_json(
            {
                "file": str(target),
                "cues": len(order),
                "unplaced": unplaced,
                "rate": round(result.rate, 6),
                "cuts": result.cuts,
            }
        )
    else:
        console.print(_describe(target, result, unplaced))
    return Exit.DONE if len(unplaced) < len(order) else Exit.FAILED


def read_foreign(path: Path) -> ForeignFile:
    """Read an SRT, WebVTT or ASS file.

    Raises:
        ConfigValidationError: It is none, or has no cues.
        DiskError: It can't be read.
    """
    try:
        data = path.read_bytes()
        text = data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8")
    except OSError as error:
        raise DiskError(f"{path} can't be read ({error.strerror})", "Check the path") from error
    except UnicodeDecodeError as error:
        raise ConfigValidationError(f"{path} is not UTF-8", "Save it as UTF-8 first") from error
    is_ass = "[Script Info]" in text[:1000]
    times = tuple((_DIALOGUE if is_ass else _ARROW_LINE).finditer(text))
    if not times:
        raise ConfigValidationError(f"{path} has no cues", "Name an SRT, WebVTT or ASS file")
    return ForeignFile(text, is_ass, times, tuple(_cues_of(text, times, is_ass)))


def _cues_of(text: str, times: tuple[re.Match[str], ...], is_ass: bool) -> Iterator[EditedCue]:
    ends = [*(match.start() for match in times[1:]), len(text)]
    for match, end in zip(times, ends, strict=True):
        body = text[match.end() : end]
        if is_ass:
            body = body.partition("\n")[0].split(",", _ASS_FIELDS_BEFORE_TEXT)[-1].replace("\\N", "\n")
        else:
            body = re.split(r"\r?\n[ \t]*\r?\n", body.partition("\n")[2], maxsplit=1)[0]
        plain = html.unescape(_MARKUP.sub("", body)).strip()
        yield EditedCue(_ms_of(match["start"]), _ms_of(match["end"]), plain)


def _ms_of(clock: str) -> int:
    *hours, minutes, seconds = clock.replace(",", ".").split(":")
    whole, _, rest = seconds.partition(".")
    return ((int(*hours or [0]) * 60 + int(minutes)) * 60 + int(whole)) * 1000 + int(rest.ljust(3, "0"))


def _known_transcript(video: Path, settings: Settings) -> Transcript | None:
    """Return the words that the pipeline has of this very video; None where it has none."""
    if not video.is_file():
        raise MediaError(f"There is no such file: {video}", "Check the path")
    storage = Storage(settings.storage.root, settings.home / "tmp")
    known = storage.find_latest(key_of(video.absolute(), settings.library.roots), "alignment")
    if known is None or known.video_hash != content_hash(video):
        return None
    return Transcript.model_validate(known.document)


def _write(target: Path, text: str) -> None:
    part = target.with_name(f".{target.name}.part")
    try:
        part.write_text(text, encoding="utf-8", newline="")
        part.replace(target)
    except OSError as error:
        raise classify(error) from error
    finally:
        part.unlink(missing_ok=True)


def _describe(target: Path, result: Retiming, unplaced: list[int]) -> str:
    lines = [f"{target}: {plural(len(result.cues) - len(unplaced), 'cue')} in time with the words"]
    if abs(result.rate - 1) > 0.0005:
        lines.append(f"The file ran {abs(1 / result.rate - 1):.2%} {'slow' if result.rate < 1 else 'fast'}")
    if result.cuts:
        lines.append(f"The video is cut otherwise in {plural(result.cuts, 'place')}")
    if unplaced:
        shown = ", ".join(map(str, unplaced[:SHOWN_UNPLACED]))
        more = f" and {len(unplaced) - SHOWN_UNPLACED} more" if len(unplaced) > SHOWN_UNPLACED else ""
        lines.append(f"Not found, and left as they were: cues {shown}{more}")
    return "\n".join(lines)
