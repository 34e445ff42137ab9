"""Calls as Bazarr's Whisper provider makes them, against the real service."""

import re

import httpx
import pysubs2
import pytest

from tests.service.server import SAMPLES, Server, wait_until
from yivideo_pipeline.media.audio import WAV_HEADER_BYTES
from yivideo_pipeline.media.decode import decode_audio
from yivideo_pipeline.media.probe import probe

pytestmark = pytest.mark.model

VIDEO = SAMPLES / "harbour-15s.mp4"


@pytest.fixture(scope="module")
def samples(tmp_path_factory) -> bytes:
    """The sound as raw samples."""
    path = tmp_path_factory.mktemp("pcm") / "a.wav"
    decode_audio(VIDEO, path, probe(VIDEO).audio_streams[0])
    return path.read_bytes()[WAV_HEADER_BYTES:]


def ask(server: Server, path: str, content: bytes, **query: str) -> httpx.Response:
    with server.client() as client:
        return client.post(path, params=query, files={"audio_file": content})


def words(text: str) -> list[str]:
    return re.sub(r"[^\w' ]", " ", text.lower()).split()


def test_raw_samples_become_subtitles(server, samples):
    answer = ask(
        server, "/asr", samples, task="transcribe", language="en", output="srt", encode="false",
        video_file="/films/harbour.mp4",
    )  # fmt: skip
    assert answer.status_code == 200
    cues = pysubs2.SSAFile.from_string(answer.text, "srt")
    assert words(" ".join(cue.plaintext for cue in cues))[:4] == ["good", "morning", "and", "welcome"]
    assert 0 <= cues[0].start < cues[-1].end <= 17_000


def test_raw_samples_and_the_file_itself_say_the_same(server, samples):
    raw = ask(server, "/asr", samples, encode="false", output="json", word_timestamps="true").json()
    read = ask(server, "/asr", VIDEO.read_bytes(), output="json", word_timestamps="true").json()
    assert raw == read
    assert raw["language"] == "en"
    said = [word for segment in raw["segments"] for word in segment["words"]]
    assert [words(word["word"]) for word in said] == [[word] for word in words(raw["text"])]
    assert all(word["start"] < word["end"] and 0 < word["probability"] <= 1 for word in said)


def test_every_output_is_told_and_no_other(server):
    text = ask(server, "/asr", VIDEO.read_bytes(), output="txt").text
    vtt = ask(server, "/asr", VIDEO.read_bytes(), output="vtt").text
    table = ask(server, "/asr", VIDEO.read_bytes(), output="tsv").text.splitlines()
    assert text.startswith("Good morning")
    assert vtt.startswith("WEBVTT")
    assert table[0] == "start\tend\ttext"
    assert all(re.fullmatch(r"\d+\t\d+\t\S.*", line) for line in table[1:])
    assert ask(server, "/asr", VIDEO.read_bytes(), output="docx").status_code == 422


def test_a_language_that_is_left_empty_is_not_asked_for(server, samples):
    assert ask(server, "/asr", samples, encode="false", language="").status_code == 200
    refused = ask(server, "/asr", samples, encode="false", language="fr")
    assert refused.status_code == 422
    assert "English only" in refused.json()["error"]["message"]


def test_the_language_is_detected(server, samples):
    answer = ask(server, "/detect-language", samples, encode="false")
    assert answer.json() == {"detected_language": "english", "language_code": "en", "confidence": 1.0}


def test_nobody_speaks_no_language(server):
    answer = ask(server, "/detect-language", bytes(64_000), encode="false").json()
    assert (answer["language_code"], answer["confidence"]) == ("und", 0.0)
    assert ask(server, "/asr", bytes(64_000), encode="false", output="srt").text == ""


def test_what_is_no_media_is_said_so_without_our_folders(server):
    answer = ask(server, "/asr", b"Dear all, " * 1000)
    assert answer.status_code == 415
    assert str(server.home) not in answer.text


def test_a_client_that_goes_away_frees_its_slot(server, samples):
    minute = {"audio_file": samples * 4}
    impatient = httpx.Timeout(60, read=0.1)
    with server.client() as client:
        with pytest.raises(httpx.ReadTimeout):
            client.post("/asr", params={"encode": "false"}, files=minute, timeout=impatient)
        wait_until(lambda: client.get("/health/ready").json()["places_taken"] == 0)
    assert not list((server.home / "tmp").glob("work-*"))
