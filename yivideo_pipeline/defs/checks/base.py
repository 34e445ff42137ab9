"""What a check is, what it looks at, and what it says."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import dagster as dg

from yivideo_pipeline.errors.tree import ConfigValidationError
from yivideo_pipeline.media.probe import MediaInfo
from yivideo_pipeline.settings.messages import did_you_mean
from yivideo_pipeline.settings.options import SubtitleOptions
from yivideo_pipeline.settings.tree import Settings
from yivideo_pipeline.speech.types import Transcript
from yivideo_pipeline.subtitles.cues import Cue, build_cues


@dataclass(frozen=True)
class Speed:
    """How fast a stage was, and usually is with the same model on the same device (× real time).

    `rtfx` is None where nothing was made now: the speed of finding what is there says nothing.
    """

    rtfx: float | None
    usual: tuple[float, ...] = ()


def _no_file(name: str) -> bytes:
    raise ValueError(f"This check looks at files: give the subject a way to read {name}")


@dataclass(frozen=True)
class Subject:
    """What a stage made of one video, and what of the stages before is needed to judge it.

    Args:
        document: The stage's own document.
        video: What the video's container says.
        audio: The audio stage's document.
        transcript: What was said: the stage's own transcript; of the subtitles, the aligned one.
        options: The subtitle options of this launch.
        files: The names of the artifact's files.
        read: Returns the bytes of one of them.
        speed: Of the transcript.
    """

    document: Mapping[str, Any]
    video: MediaInfo | None = None
    audio: Mapping[str, Any] | None = None
    transcript: Transcript | None = None
    options: SubtitleOptions = field(default_factory=SubtitleOptions)
    files: tuple[str, ...] = ()
    read: Callable[[str], bytes] = _no_file
    speed: Speed | None = None

    @property
    def end_s(self) -> float | None:
        """When picture and sound have both ended, on the video's own clock; None where nothing says."""
        ends = [] if self.video is None or self.video.duration_s is None else [self.video.duration_s]
        if self.audio is not None:
            ends.append(self.audio["offset_s"] + self.audio["duration_s"])
        return max(ends, default=None)

    @property
    def said(self) -> Transcript:
        """The transcript, for the checks that can't do without.

        Raises:
            ValueError: the stage gave none.
        """
        if self.transcript is None:
            raise ValueError("This check looks at words: give the subject a transcript")
        return self.transcript

    @cached_property
    def cues(self) -> tuple[Cue, ...]:
        """The cues that the files must hold, made of the words once more."""
        return build_cues(self.said, self.options)


@dataclass(frozen=True)
class Verdict:
    """Whether a claim holds, in one plain line with what to do where it does not, and by what numbers."""

    passed: bool
    says: str
    numbers: Mapping[str, str | float | int | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Check:
    """A claim about what a stage makes.

    `severity` holds unless the settings say otherwise. `blocks`: as an error, it keeps the stages after
    it from working on what is broken.
    """

    name: str
    claim: str
    judge: Callable[[Subject, Settings], Verdict]
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.WARN
    blocks: bool = False


# PART defs/checks/severity.py: How much each check matters: its own severity, unless the settings say otherwise.

LISTS = ("errors", "warnings", "skip")


def validate_names(settings: Settings, known: Iterable[str]) -> None:
    """See that the lists in the settings name checks that there are, none in two lists.

    Raises:
        ConfigValidationError: they don't; one line a name.
    """
    known = tuple(known)
    lists = {name: getattr(settings.checks, name) for name in LISTS}
    lines = [
        f"checks.{where}: there is no check {name!r}{did_you_mean(name, known)}"
        for where, names in lists.items()
        for name in names
        if name not in known
    ]
    for name in known:
        places = [f"checks.{where}" for where, names in lists.items() if name in names]
        if len(places) > 1:
            lines.append(f"{' and '.join(places)}: {name} stands in more than one of them")
    if lines:
        raise ConfigValidationError("\n".join(lines), f"Choose of {', '.join(known)}; each in one list")


def severity_of(check: Check, settings: Settings) -> dg.AssetCheckSeverity:
    """Return what a failure of the check is."""
    if check.name in settings.checks.errors:
        return dg.AssetCheckSeverity.ERROR
    if check.name in settings.checks.warnings:
        return dg.AssetCheckSeverity.WARN
    return check.severity


def blocks(check: Check, settings: Settings) -> bool:
    """Whether a failure of the check stops the stages after it: only an error does."""
    return check.blocks and severity_of(check, settings) is dg.AssetCheckSeverity.ERROR
