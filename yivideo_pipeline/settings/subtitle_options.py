"""Options of the subtitles: how words become cues, and the formats in which they are written."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from yivideo_pipeline.settings.style_guides import DEFAULT, STYLE_GUIDES, StyleGuide, StyleProfile


class SubtitleFormat(StrEnum):
    """Formats of subtitle files that can be written.

    `imsc` and `ebu-tt-d` are TTML in the profiles of streaming and of European broadcasters; `words-vtt` and
    `karaoke-ass` light each word up when it is said.
    """

    SRT = "srt"
    VTT = "vtt"
    ASS = "ass"
    TTML = "ttml"
    JSON = "json"
    TXT = "txt"
    IMSC = "imsc"
    EBU_TT_D = "ebu-tt-d"
    WORDS_VTT = "words-vtt"
    KARAOKE_ASS = "karaoke-ass"

    @property
    def ending(self) -> str:
        """The end of a file's name, which players go by: `srt`, `words.vtt`."""
        return _ENDINGS.get(self, self.value)


_ENDINGS = {
    SubtitleFormat.IMSC: "imsc.ttml",
    SubtitleFormat.EBU_TT_D: "ebu.ttml",
    SubtitleFormat.WORDS_VTT: "words.vtt",
    SubtitleFormat.KARAOKE_ASS: "karaoke.ass",
}


class MuxContainer(StrEnum):
    """The container of a copy of the video that has the subtitles as a track."""

    NONE = "none"
    MKV = "mkv"
    MP4 = "mp4"


def split_list(value: Any) -> Any:
    """Return the items of a list, or of text such as `srt,vtt`, each once; anything else as it is."""
    parts = [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value
    return tuple(dict.fromkeys(parts)) if isinstance(parts, list | tuple) else parts


_LIMITS = DEFAULT.limits


class SubtitleOptions(BaseModel):
    """How words become cues, and the formats in which they are written."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    formats: Annotated[tuple[SubtitleFormat, ...], BeforeValidator(split_list)] = Field(
        (SubtitleFormat.SRT,), min_length=1, description="Formats of the subtitle files"
    )
    write_empty: bool = Field(
        False, description="true: a video without words gets files without cues; false: it gets none"
    )
    mux: MuxContainer = Field(
        MuxContainer.NONE,
        description="mkv, mp4: also a copy of the video with the subtitles as a track",
    )
    profile: StyleProfile = Field(
        StyleProfile.DEFAULT, description="Style guide; it gives every limit below that is not given"
    )
    max_chars_per_line: int = Field(
        _LIMITS.max_chars_per_line,
        ge=10,
        le=80,
        description="Most characters in a line, Latin and similar scripts",
    )
    max_chars_per_line_cjk: int = Field(
        _LIMITS.max_chars_per_line_cjk,
        ge=8,
        le=40,
        description="Most characters in a line of Chinese, Japanese or Korean",
    )
    max_lines: int = Field(_LIMITS.max_lines, ge=1, le=4, description="Most lines in a cue")
    min_duration_s: float = Field(
        _LIMITS.min_duration_s, ge=0.1, le=5, description="Shortest time that a cue is shown"
    )
    max_duration_s: float = Field(
        _LIMITS.max_duration_s, ge=1, le=30, description="Longest time that a cue is shown"
    )
    max_chars_per_second: float = Field(
        _LIMITS.max_chars_per_second, ge=5, le=60, description="Highest reading speed"
    )
    max_chars_per_second_cjk: float = Field(
        _LIMITS.max_chars_per_second_cjk,
        ge=2,
        le=30,
        description="Highest reading speed in Chinese, Japanese or Korean",
    )
    min_gap_ms: int = Field(
        _LIMITS.min_gap_ms,
        ge=0,
        le=1000,
        description="Shortest gap between cues; 83 ms are two frames at 24 a second",
    )
    max_pause_s: float = Field(
        _LIMITS.max_pause_s, ge=0.1, le=10, description="Longest pause in speech within one cue"
    )
    keep_line_end_marks: bool = Field(
        _LIMITS.keep_line_end_marks,
        description="false: no Chinese comma or full stop at the end of a line, as broadcasters have it",
    )

    @property
    def guide(self) -> StyleGuide:
        """The style guide, whose limits these options may change."""
        return STYLE_GUIDES[self.profile]

    def own_values(self) -> dict[str, Any]:
        """Return the values without the limits that are the guide's: another guide replaces those."""
        limits = self.guide.given_limits()
        return {
            name: value
            for name, value in self.model_dump().items()
            if name not in limits or value != limits[name]
        }

    @model_validator(mode="before")
    @classmethod
    def _take_limits_of_the_guide(cls, values: Any) -> Any:
        """Fill in the limits that are not given, or null, from the guide."""
        if not isinstance(values, Mapping):
            return values
        profile = values.get("profile", StyleProfile.DEFAULT)
        guide = STYLE_GUIDES.get(StyleProfile(profile)) if profile in list(StyleProfile) else None
        limits = (guide or DEFAULT).given_limits()
        given = {name: value for name, value in values.items() if name not in limits or value is not None}
        return {**limits, **given}

    @model_validator(mode="after")
    def _shortest_is_not_over_longest(self) -> Self:
        if self.min_duration_s > self.max_duration_s:
            raise ValueError(
                f"min_duration_s {self.min_duration_s:g} is over max_duration_s {self.max_duration_s:g}:"
                " lower the first or raise the second"
            )
        return self
