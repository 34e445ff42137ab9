"""OpenAI's own client against the real service."""

import re
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import jiwer
import openai
import pytest

from tests.service.server import KEY, SAMPLES, Server, wait_until
from tests.speech.make_sound import decode_speech, join_sounds

pytestmark = pytest.mark.model

VIDEO = SAMPLES / "harbour-15s.mp4"


def client_of(server: Server, key: str = "none", max_retries: int = 0) -> openai.OpenAI:
    http = openai.DefaultHttpxClient(trust_env=False)
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key=key, max_retries=max_retries, http_client=http)


@pytest.fixture(scope="module")
def client(server):
    with client_of(server) as client:
        yield client


@pytest.fixture(scope="module")
def text(client) -> str:
    return client.audio.transcriptions.create(model="whisper-1", file=VIDEO).text


def plain(text: str) -> list[str]:
    return re.sub(r"[^\w' ]", " ", text.lower()).split()


def test_the_text_is_what_was_said(text):
    said = (SAMPLES / "harbour-15s.txt").read_text()
    assert jiwer.wer(" ".join(plain(said)), " ".join(plain(text))) < 0.05


def test_words_and_segments_have_their_times(client, text):
    told = client.audio.transcriptions.create(
        model="tiny.en",
        file=VIDEO,
        language="en",
        response_format="verbose_json",
        timestamp_granularities=["word", "segment"],
    )
    assert (told.language, told.text) == ("english", text)
    assert told.duration == pytest.approx(16.8, abs=0.1)
    assert [plain(word.word) for word in told.words] == [[word] for word in plain(text)]
    assert all(0 <= word.start < word.end <= told.duration for word in told.words)
    assert all(before.end <= behind.start for before, behind in pairwise(told.words))
    assert [segment.id for segment in told.segments] == list(range(len(told.segments)))
    assert "".join(segment.text for segment in told.segments).strip() == text
    assert all(segment.avg_logprob < 0 and 0 <= segment.no_speech_prob < 1 for segment in told.segments)


@pytest.mark.parametrize("name", ["timestamp_granularities[]", "timestamp_granularities"])
def test_only_what_was_asked_for_is_told_with_brackets_or_without(client, name):
    told = client.audio.transcriptions.create(
        model="whisper-1", file=VIDEO, response_format="verbose_json", extra_body={name: "word"}
    )
    assert told.segments is None
    assert told.words


def test_a_prompt_decides_how_words_are_spelled_and_the_usage_is_the_length_of_the_sound(client, text):
    told = client.audio.transcriptions.create(
        model="gpt-4o-transcribe",
        file=VIDEO,
        prompt="Welcome to the Olde Towne, its fyshing boats.",
        temperature=0,
    )
    assert "Olde Towne" in told.text
    assert "Olde" not in text
    assert told.usage.type == "duration"
    assert told.usage.seconds == pytest.approx(16.832, abs=0.01)


@pytest.mark.parametrize(("format", "begin"), [("srt", "1\n00:00:0"), ("vtt", "WEBVTT\n"), ("text", "")])
def test_subtitles_and_plain_text_come_as_text(client, text, format, begin):
    told = client.audio.transcriptions.create(model="whisper-1", file=VIDEO, response_format=format)
    assert isinstance(told, str)
    assert told.startswith(begin or text)
    assert plain(text)[-1] in told


def test_a_stream_tells_the_text_chunk_by_chunk_and_whole_at_the_end(client):
    long = SAMPLES / "lighthouse-60s.mkv"  # more than one chunk of 30 s, fewer than three
    events = list(client.audio.transcriptions.create(model="whisper-1", file=long, stream=True))
    assert [event.type for event in events[:-1]] == ["transcript.text.delta"] * 2
    assert events[-1].type == "transcript.text.done"
    assert plain("".join(event.delta for event in events[:-1])) == plain(events[-1].text)


def test_who_stops_listening_to_a_stream_ends_the_work(server):
    film = {"file": (SAMPLES / "lighthouse-60s.mkv").read_bytes()}
    with server.client() as other:
        with other.stream(
            "POST", "/v1/audio/transcriptions", data={"stream": "true", "model": "whisper-1"}, files=film
        ) as answer:
            next(answer.iter_lines())
        wait_until(lambda: other.get("/health/ready").json()["places_taken"] == 0)
    assert not list((server.home / "tmp").glob("work-*"))


def test_a_client_that_comes_back_gets_the_rest_done(server, client, tmp_path):
    film, letter = (
        decode_speech(name, tmp_path).samples for name in ("lighthouse-60s.mkv", "harbour-15s.mp4")
    )
    long = join_sounds(tmp_path / "long.wav", film, letter).path
    kept = server.home / "artifacts" / "checkpoints"
    of_others = set(kept.glob("*"))
    with client.audio.transcriptions.create(model="whisper-1", file=long, stream=True) as stream:
        next(event for event in stream if event.type == "transcript.text.delta")
    with server.client() as other:
        wait_until(lambda: other.get("/health/ready").json()["places_taken"] == 0)
    assert len(set(kept.glob("request-*")) - of_others) == 1
    assert len(plain(client.audio.transcriptions.create(model="whisper-1", file=long).text)) > 100
    assert re.search(r"going on: \d+ of 7\d s were recognized before", server.read_log())
    assert set(kept.glob("*")) == of_others


def test_what_english_alone_knows_is_translated_as_it_is(client, text):
    told = client.audio.translations.create(model="whisper-1", file=VIDEO, response_format="verbose_json")
    assert (told.language, told.text) == ("english", text)


def test_the_models_are_those_whose_weights_are_here_and_the_loaded_one_is_first(client, text):
    models = [model.id for model in client.models.list()]
    assert models[0] == "tiny.en"
    assert "large-v3" not in models
    assert client.models.retrieve("tiny.en").object == "model"
    for alias in ("whisper-1", "gpt-4o-transcribe"):
        assert alias in models
        assert client.models.retrieve(alias).id == alias


@pytest.mark.parametrize("name", ["large-v3", "gpt-4o", "/etc", "../tiny.en"])
def test_a_model_that_is_not_here_is_not_found(client, name):
    with pytest.raises(openai.NotFoundError) as caught:
        client.audio.transcriptions.create(model=name, file=VIDEO)
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")


def test_what_is_no_media_is_a_bad_request_with_an_id_and_nothing_of_our_folders(client, server, tmp_path):
    letter = tmp_path / "letter.mp4"
    letter.write_text("Dear all, " * 1000)
    for stream in (False, True):
        with pytest.raises(openai.BadRequestError) as caught:
            client.audio.transcriptions.create(model="whisper-1", file=letter, stream=stream)
        assert caught.value.type == "invalid_request_error"
        assert re.fullmatch(r"[0-9a-f]{8}", caught.value.body["id"])
        assert str(server.home) not in caught.value.response.text
        assert str(tmp_path) not in caught.value.response.text
    assert not list((server.home / "tmp").glob("work-*"))


def test_a_parameter_that_can_not_be_is_named(client):
    with pytest.raises(openai.BadRequestError) as caught:
        client.audio.transcriptions.create(model="whisper-1", file=VIDEO, response_format="docx")
    assert caught.value.param == "response_format"
    with pytest.raises(openai.BadRequestError) as caught:
        client.audio.transcriptions.create(model="whisper-1", file=VIDEO, language="xx")
    assert caught.value.param == "language"
    with pytest.raises(openai.BadRequestError, match="English only"):
        client.audio.transcriptions.create(model="whisper-1", file=VIDEO, language="fr")


def test_a_name_that_leads_elsewhere_is_no_path(client, server, text):
    told = client.audio.transcriptions.create(
        model="whisper-1", file=("../../../../escaped.mp4", VIDEO.read_bytes())
    )
    assert told.text == text
    assert not list(server.home.parent.rglob("escaped*"))


def test_a_key_is_asked_for(locked_server):
    with client_of(locked_server, KEY) as client:
        assert client.models.list().data
    with client_of(locked_server, "wrong") as stranger, pytest.raises(openai.AuthenticationError) as caught:
        stranger.audio.transcriptions.create(model="whisper-1", file=VIDEO)
    assert KEY not in caught.value.response.text


def test_a_full_service_asks_to_come_back_and_the_client_does(one_slot_server):
    def ask(retries: int) -> str:
        with client_of(one_slot_server, max_retries=retries) as client:
            return client.audio.transcriptions.create(model="whisper-1", file=VIDEO).text

    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(ask, 0) for _ in range(4)]
        refusals = [one.exception() for one in asked if one.exception()]
        assert 1 <= len(refusals) < 4
        for refusal in refusals:
            assert isinstance(refusal, openai.RateLimitError)
            assert int(refusal.response.headers["retry-after"]) >= 1
        assert len({one.result() for one in [pool.submit(ask, 20) for _ in range(2)]}) == 1
