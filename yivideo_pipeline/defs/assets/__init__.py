"""The five assets, one a stage; each loads, calls the domain, stores and describes."""

from yivideo_pipeline.defs.assets.alignment import alignment
from yivideo_pipeline.defs.assets.audio import audio
from yivideo_pipeline.defs.assets.subtitles import subtitles
from yivideo_pipeline.defs.assets.transcript import transcript
from yivideo_pipeline.defs.assets.video import video

ASSETS = [video, audio, transcript, alignment, subtitles]
