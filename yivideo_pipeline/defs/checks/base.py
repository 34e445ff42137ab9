"""A check: its claim, what it looks at, its verdict, and how much it matters."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import dagster as dg

from yivideo_pipeline.defs.documents import end_of_media
from yivideo_pipeline.errors.tree import ConfigValidationError
from yivideo_pipeline.media.probe import MediaInfo
from yivideo_pipeline.settings.messages import did_you_mean
from yivideo_pipeline.settings.sections import CheckSettings
from yivideo_pipeline.settings.subtitle_options import SubtitleOptions
from yivideo_pipeline.speech.types import Transcript
from yivideo_pipeline.subtitles.cues import Cue, build_cues


@dataclass(frozen=True)
class Speed:
    """The speed of a stage, and its usual ones with the same model on the same device, as × real time.

    `rtfx` is None where the result was only found, which says nothing about the speed.
    """

    rtfx: float | None
    usual: tuple[float, ...] = ()


def _no_file(name: str) -> bytes:
    raise ValueError(f"This check looks at files: give the subject a way to read {name}")


@dataclass(frozen=True)
class Subject:
    """What a check looks at: a stage's result for one video, and results of the stages before.

    Attributes:
        document: The stage's own document.
        video: The description of the video's container.
        audio: The audio stage's document.
        transcript: The stage's own transcript; for the subtitles, the aligned one.
        options: The subtitle options of this launch.
        files: The names of the artifact's files.
        read: Returns the bytes of one of these files.
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
        """The time at which picture and sound have both ended, on the video's clock; None if unknown."""
        return end_of_media(self.video, self.audio)

    @property
    def required_transcript(self) -> Transcript:
        """The transcript, for the checks that need one.

        Raises:
            ValueError: the stage gave none.
        """
        if self.transcript is None:
            raise ValueError("This check looks at words: give the subject a transcript")
        return self.transcript

    @cached_property
    def cues(self) -> tuple[Cue, ...]:
        """The cues that the files must hold, as the document notes them: building them takes seconds."""
        noted = self.document.get("cues")
        if noted is None:  # an older version of the pipeline kept no cues
            return build_cues(self.required_transcript, self.options, self.document.get("end_s"))
        return tuple(Cue(start_ms, end_ms, tuple(text.split("\n")), ()) for start_ms, end_ms, text in noted)


@dataclass(frozen=True)
class Verdict:
    """Whether a claim holds: one line, with what to do where it does not, and the figures behind it."""

    passed: bool
    message: str
    figures: Mapping[str, str | float | int | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Check:
    """A claim about what a stage makes.

    `severity` holds unless the settings say otherwise. `blocks` means that its failure, where it is an
    error, keeps the later stages from working on a broken result.
    """

    name: str
    claim: str
    judge: Callable[[Subject, CheckSettings], Verdict]
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.WARN
    blocks: bool = False


def validate_names(settings: CheckSettings, known: Iterable[str]) -> None:
    """Require that the lists in the settings name known checks, each in one list at most.

    Raises:
        ConfigValidationError: they don't; one line for each name.
    """
    known = tuple(known)
    lists = {name: getattr(settings, name) for name in ("errors", "warnings", "skip")}
    lines = [
        f"checks.{where}: there is no check {name!r}{did_you_mean(name, known)}"
        for where, names in lists.items()
        for name in names
        if name not in known
    ]
    for name in known:
        places = [f"checks.{where}" for where, names in lists.items() if name in names]
        if len(places) > 1:
            lines.append(f"{' and '.join(places)}: {name} is in more than one of them")
    if lines:
        raise ConfigValidationError("\n".join(lines), f"Choose from {', '.join(known)}; each in one list")


def severity_of(check: Check, settings: CheckSettings) -> dg.AssetCheckSeverity:
    """Return how much a failure of the check matters."""
    if check.name in settings.errors:
        return dg.AssetCheckSeverity.ERROR
    if check.name in settings.warnings:
        return dg.AssetCheckSeverity.WARN
    return check.severity


def blocks(check: Check, settings: CheckSettings) -> bool:
    """Return whether a failure of the check stops the later stages: only an error does."""
    return check.blocks and severity_of(check, settings) is dg.AssetCheckSeverity.ERROR
