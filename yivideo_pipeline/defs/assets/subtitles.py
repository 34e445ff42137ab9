"""The subtitles: cues in the wanted formats, delivered where the person looks for them."""

from pathlib import Path

import dagster as dg

from yivideo_pipeline.defs.facts import subtitle_facts
from yivideo_pipeline.defs.launch import Launch
from yivideo_pipeline.defs.rendering import deliver_all, render_all, title_of
from yivideo_pipeline.defs.resources import Library
from yivideo_pipeline.defs.stages import CODE_VERSIONS, GROUP, OWNERS, videos
from yivideo_pipeline.defs.work import Made, stage_of
from yivideo_pipeline.speech.types import Transcript
from yivideo_pipeline.storage.artifacts import Storage


@dg.asset(
    deps=["alignment"],
    partitions_def=videos,
    code_version=CODE_VERSIONS["subtitles"],
    group_name=GROUP,
    owners=OWNERS,
    kinds={"python"},
    tags={"domain": "subtitles"},
)
def subtitles(
    context: dg.AssetExecutionContext,
    storage: dg.ResourceParam[Storage],
    library: dg.ResourceParam[Library],
    launch: Launch,
) -> dg.MaterializeResult:
    """Subtitle files beside the video or in a folder of choice, and how good they are."""
    with stage_of(context, storage, launch) as stage:
        alignment = stage.input("alignment")
        options = launch.subtitle_options()
        timed = Transcript.model_validate(alignment.document)
        path = library.path_of(stage.partition_key)
        title = title_of(path)

        def render(folder: Path) -> Made:
            return Made(*render_all(timed, options, title, folder))

        # The title stands in some formats.
        deciding = {**options.model_dump(mode="json"), "title": title}
        kept = stage.make_once(alignment.video_hash, {"alignment": alignment.content}, deciding, render)
        delivered = deliver_all(storage, kept.artifact, stage.partition_key, path, launch.output_dir)
        return stage.describe(kept, subtitle_facts(kept.document, delivered), timed.duration_s)
