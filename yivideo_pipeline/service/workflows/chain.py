"""The names that a workflow chain is made of, and the stages that they stand for."""

from collections.abc import Iterator, Sequence

from yivideo_pipeline.settings.messages import did_you_mean

STAGES = ("video", "audio", "transcript", "alignment", "subtitles")
"""The pipeline's stages in their order; a test holds them against the pipeline itself."""

CHAIN = {
    "ffmpeg.extract_audio": ("video", "audio"),
    "whisperx.generate_subtitles": ("transcript", "alignment", "subtitles"),
    **{f"yivideo.{stage}": (stage,) for stage in STAGES},
}
"""What each name stands for: first those of the old service, then one for each stage."""


def stages_of(chain: Sequence[str]) -> tuple[str, ...]:
    """Return the stages that a chain of known names needs.

    What lies before a stage is always among them: where it was made before, it is found and costs nothing,
    and where it was not, the stage could not be made without it.
    """
    last = max(STAGES.index(stage) for name in chain for stage in CHAIN[name])
    return STAGES[: last + 1]


def problems_of(chain: Sequence[str]) -> Iterator[str]:
    """Say which names of a chain are not known."""
    for name in chain:
        if name not in CHAIN:
            yield f"{name!r} is no known step{did_you_mean(name, CHAIN)}: choose of {', '.join(CHAIN)}"
