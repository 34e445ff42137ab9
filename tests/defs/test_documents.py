import shutil

import numpy as np
import pytest

from tests.media.media_files import Sound, tone, write_media
from tests.speech.make_sound import decode_speech
from tests.subtitles.transcripts import make_transcript, speak
from yivideo_pipeline.defs.documents import decode_sound, render_subtitles
from yivideo_pipeline.defs.metadata import audio_metadata
from yivideo_pipeline.media.audio import Audio
from yivideo_pipeline.media.probe import choose_audio_stream, describe_tracks, probe
from yivideo_pipeline.settings.languages import ZhScript
from yivideo_pipeline.settings.subtitle_options import SubtitleOptions
from yivideo_pipeline.speech.vad import speech_spans
from yivideo_pipeline.storage.artifacts import Artifact


@pytest.mark.parametrize(
    ("script", "tag"),
    [
        (ZhScript.SIMPLIFIED, "zh"),
        (ZhScript.TRADITIONAL, "zh-Hant"),
        (ZhScript.TRADITIONAL_TW, "zh-TW"),
        (ZhScript.TRADITIONAL_HK, "zh-HK"),
        (None, "zh"),  # a transcript of an older version
    ],
)
def test_the_language_that_names_the_files_has_the_script_of_chinese(script, tag, tmp_path):
    words = make_transcript(speak("大家好", 4, spaced=False), "zh").model_copy(update={"zh_script": script})
    document = render_subtitles(words, SubtitleOptions(formats=("ttml",)), "talk", tmp_path)
    assert document["language"] == tag
    assert f'xml:lang="{tag}"' in (tmp_path / "subtitles.ttml").read_text(encoding="utf-8")


@pytest.mark.parametrize("gaps", [(), ((4.0, 5.0),)], ids=["whole", "with-a-gap"])
def test_speech_is_found_where_it_lies_in_the_sound(gaps, tmp_path):
    voice = decode_speech("harbour-15s.mp4", tmp_path).samples.astype(np.float32) / 32768
    path = write_media(tmp_path / "a.mkv", [Sound(voice[np.newaxis], gaps=gaps)], video_s=25.0)
    sound = tmp_path / "audio.wav"
    document = decode_sound(path, sound, choose_audio_stream(probe(path), "auto"), lambda fraction: None)
    listened_to_afterwards = speech_spans(Audio(shutil.copy(sound, tmp_path / "copy.wav")))
    offset_s = document["offset_s"]
    spans = [(start_s - offset_s, end_s - offset_s) for start_s, end_s in document["speech_spans"]]
    assert spans == [pytest.approx((span.start_s, span.end_s)) for span in listened_to_afterwards]
    assert len(spans) > 1


def test_the_metadata_of_the_sound_says_what_was_done_with_clock_and_channels(tmp_path):
    voice = tone(3, 300)
    sound = Sound(np.concatenate([voice, -voice]), layout="stereo", gaps=((2.0, 5.0),))
    path = write_media(tmp_path / "a.mkv", [sound, Sound(tone(1), title="Comments")], video_s=8.0)
    info = probe(path)
    stream = choose_audio_stream(info, "auto")
    document = decode_sound(path, tmp_path / "audio.wav", stream, lambda fraction: None)
    artifact = Artifact("hash", "audio", "key", "content", document)
    values = {
        name: getattr(value, "value", value)
        for name, value in audio_metadata(artifact, stream, describe_tracks(info, stream)).items()
    }
    assert values["tracks"] == "Audio track 1 is taken; there is also 2 ('Comments')"
    assert values["silence_inserted_s"] == pytest.approx(5, abs=0.1)
    assert [repair["action"] for repair in values["clock_repairs"]] == ["silence"]
    assert values["channels"]["cancelled_s"] == pytest.approx(3, abs=0.1)
    assert any("cancel each other out" in warning for warning in values["warnings"])
