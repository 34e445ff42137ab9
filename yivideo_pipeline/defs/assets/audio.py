"""The audio: one stream of the video, decoded for the recognizer."""

from pathlib import Path

from yivideo_pipeline.defs.checks import Subject
from yivideo_pipeline.defs.metadata import audio_facts
from yivideo_pipeline.defs.results import Made, Result
from yivideo_pipeline.defs.sound import decode_and_look
from yivideo_pipeline.defs.stage import Stage
from yivideo_pipeline.media.probe import MediaInfo
from yivideo_pipeline.media.select import choose_audio_stream


def make_audio(stage: Stage) -> Result:
    """The sound that is transcribed: 16 kHz mono, in time with the picture."""
    video = stage.input("video")
    info = MediaInfo.model_validate(video.document)
    stream = choose_audio_stream(info, stage.speech_options.language)
    path = stage.path

    def decode(folder: Path) -> Made:
        document = decode_and_look(path, folder / "audio.wav", stream, stage.progress)
        return Made(document, {"audio.wav": folder / "audio.wav"})

    # The stream, not the language that chose it: another language may choose the same one.
    kept = stage.make_once(video.video_hash, {"video": video.video_hash}, {"stream": stream.index}, decode)
    return Result(
        kept,
        audio_facts(kept.document, stream),
        Subject(kept.document, video=info),
        audio_s=kept.document["duration_s"],
    )
