"""A gateway reads what a newer one beside it has made: names that it does not know are left out."""

from typing import Any

from yivideo_pipeline.media.probe import MediaInfo
from yivideo_pipeline.service.review.versions import review_of
from yivideo_pipeline.service.review.video import find_video
from yivideo_pipeline.settings.load import load_settings
from yivideo_pipeline.settings.subtitle_options import SubtitleOptions
from yivideo_pipeline.speech.types import Transcript
from yivideo_pipeline.storage.artifacts import Storage


def test_it_shows_them_with_what_it_knows(home):
    settings = load_settings(None, {"YIVIDEO_HOME": str(home)})
    storage = Storage(settings.storage.root)
    transcript = Transcript(
        language="en", language_probability=1.0, duration_s=2.0, segments=(), speech_spans=(), model="base",
        revision="1", aligner="attention",
    )  # fmt: skip
    options = SubtitleOptions(max_lines=1)
    documents: dict[str, dict[str, Any]] = {
        "video": MediaInfo(
            container="mp4", duration_s=2.0, size_bytes=5, bit_rate=None, streams=()
        ).model_dump(),
        "alignment": transcript.model_dump(mode="json"),
        "subtitles": {
            "language": "en",
            "cues": [[0, 1000, "Hello"]],
            "quality": {"cues": 1, "score": 100, "mean_confidence": 0.9},
            "empty_reason": None,
            "options": {**options.model_dump(mode="json"), "of_tomorrow": 1},
        },
    }
    for stage, document in documents.items():
        made = storage.save("hash", stage, "key", {**document, "of_tomorrow": [1]})
        storage.record_latest("talk.mp4", made)

    shown = review_of(find_video("talk.mp4", storage, settings))
    assert (shown.state, shown.end_ms) == ("ready", 2000)
    assert shown.limits is not None
    assert shown.limits.max_lines == 1
