"""The partitions of the stages, one a video; apart, since assets, sensors and backfills share them."""

import dagster as dg

from yivideo_pipeline.stages import VIDEOS

videos = dg.DynamicPartitionsDefinition(name=VIDEOS)
"""The keys are those of `storage.partition_keys`."""
