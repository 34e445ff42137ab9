"""The jobs: one makes the subtitles of a video, one the reports.

All steps of a run share one process: the transcript's model is still loaded when the alignment needs it.
"""

import dagster as dg

from yivideo_pipeline.stages import JOB, STAGES

process_video = dg.define_asset_job(
    JOB,
    selection=dg.AssetSelection.assets(*STAGES),
    description="From a video file to word-aligned subtitles, for one video (partition)",
    executor_def=dg.in_process_executor,
)

daily_report = dg.define_asset_job(
    "daily_report",
    selection=dg.AssetSelection.assets("library_report", "performance_report"),
    description="What was done since yesterday, and the state of the library",
    executor_def=dg.in_process_executor,
)
