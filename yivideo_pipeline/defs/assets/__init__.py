"""The five assets, one a stage; each loads, calls the domain, stores and describes."""

import dagster as dg

from yivideo_pipeline.defs.assets.alignment import make_alignment
from yivideo_pipeline.defs.assets.audio import make_audio
from yivideo_pipeline.defs.assets.subtitles import make_subtitles
from yivideo_pipeline.defs.assets.transcript import make_transcript
from yivideo_pipeline.defs.assets.video import make_video
from yivideo_pipeline.defs.stage_asset import build_asset
from yivideo_pipeline.settings.model import Settings


def build_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """Build the stages' assets, in the order in which they follow each other."""
    return [
        build_asset("video", make_video, settings, kinds={"video", "python"}, domain="media"),
        build_asset("audio", make_audio, settings, kinds={"audio", "python"}, domain="media"),
        build_asset(
            "transcript",
            make_transcript,
            settings,
            kinds={"whisper", "python"},
            domain="speech",
            needs_model=True,
        ),
        build_asset(
            "alignment",
            make_alignment,
            settings,
            kinds={"whisper", "python"},
            domain="speech",
            needs_model=True,
        ),
        build_asset("subtitles", make_subtitles, settings, kinds={"python"}, domain="subtitles"),
    ]
