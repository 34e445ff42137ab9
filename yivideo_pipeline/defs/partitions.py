"""The partitions of the stages."""

import dagster as dg

from yivideo_pipeline.stages import VIDEOS

videos = dg.DynamicPartitionsDefinition(name=VIDEOS)
"""One partition a video; the keys are `storage.partition_keys`'."""
