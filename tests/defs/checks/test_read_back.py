"""Written subtitles are read back by other means; what was changed in a file is found."""

import json
from dataclasses import replace

import pytest

from tests.defs.checks.subjects import OPTIONS, make_subtitles, say
from tests.subtitles.transcripts import make_word, speak
from yivideo_pipeline.defs.checks.catalogue import evaluate
from yivideo_pipeline.defs.checks.read_back import read_cues
from yivideo_pipeline.settings.sections import CheckSettings
from yivideo_pipeline.settings.subtitle_options import SubtitleFormat

CUES = (SubtitleFormat.SRT, SubtitleFormat.VTT, SubtitleFormat.ASS, SubtitleFormat.TTML)


def judge(subject):
    results = evaluate("subtitles", "a.mp4", subject, CheckSettings())
    return next(result for result in results if result.check_name == "files_read_back")


def written(kind: str) -> bytes:
    return make_subtitles().read(f"subtitles.{kind}")


def damage(kind: str, old: str, new: str) -> bytes:
    text = written(kind).decode()
    assert old in text
    return text.replace(old, new, 1).encode()


TRANSCRIPTS = {
    "plain": say(),
    "chinese": say(speak("今天天气很好，我们去公园散步。你想一起来吗？", 5, spaced=False), language="zh"),
    "silent": say([]),
    "a day long": say(speak("It was said late.", start_s=100 * 3600.0)),
    "odd marks": say([make_word(" {\u2060}｛x｝ <b>&amp;</b>", 0, 1), make_word(" --> \\n", 1, 2)]),
}


@pytest.mark.parametrize("transcript", TRANSCRIPTS.values(), ids=TRANSCRIPTS)
def test_every_format_reads_back_as_it_was_written(home, transcript):
    result = judge(make_subtitles(transcript))
    assert result.passed, result.description
    assert result.metadata["files"].value == len(OPTIONS.formats)


def test_cues_that_an_older_version_did_not_note_are_built_again(home):
    subject = make_subtitles()
    noted = [cue.text for cue in subject.cues]
    older = replace(subject, document={"quality": subject.document["quality"]})
    assert judge(older).passed
    assert [cue.text for cue in older.cues] == noted


@pytest.mark.parametrize("kind", CUES)
def test_a_reader_sees_times_in_milliseconds_and_lines(kind):
    subject = make_subtitles()
    first = subject.cues[0]
    read = read_cues(written(kind), kind)[0]
    assert read.start_ms == pytest.approx(first.start_ms, abs=5)
    assert read.end_ms == pytest.approx(first.end_ms, abs=5)
    assert read.text.count("\n") == len(first.lines) - 1


@pytest.mark.parametrize(
    ("kind", "data", "message"),
    [
        ("srt", b"", "it has 0 cues"),
        ("srt", damage("srt", ",000", ",002"), "cue 1 is at 2 to"),
        ("vtt", damage("vtt", "wrong", "right"), "cue 1 reads"),
        ("vtt", b"no WebVTT at all", "it does not begin with WEBVTT"),
        ("ass", damage("ass", "0:00:00.00", "0:00:00.02"), "cue 1 is at 20 to"),
        ("ttml", damage("ttml", "</p>", ""), "it can't be read as TTML"),
        ("ttml", damage("ttml", "00:00:00.000", "never"), "'never' is not a time"),
        ("json", b"{}", "it has no list of words"),
        ("json", b"{", "Expecting"),
        ("txt", damage("txt", "wrong", "right"), "its text differs from the transcript"),
        ("txt", b"\xff\xfe", "can't decode"),
    ],
)
def test_a_damaged_file_is_found_and_named(home, kind, data, message):
    result = judge(make_subtitles(**{kind: data}))
    assert not result.passed
    assert f"subtitles.{kind}: " in str(result.description)
    assert message in str(result.description)
    assert result.metadata["files_at_fault"].value == 1


@pytest.mark.parametrize(
    ("change", "message"), [({"end": 0.01}, "word 1 is at"), ({"word": "Something"}, "word 1 is 'Something'")]
)
def test_a_changed_word_is_found_in_json(home, change, message):
    data = json.loads(written("json"))
    data["word_segments"][0] |= change
    assert message in judge(make_subtitles(json=json.dumps(data).encode())).description


def test_a_missing_word_is_found_in_json(home):
    data = json.loads(written("json"))
    words = len(data["word_segments"])
    data["word_segments"].pop()
    message = judge(make_subtitles(json=json.dumps(data).encode())).description
    assert f"it has {words - 1} words, not {words}" in message
