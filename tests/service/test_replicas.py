"""Requests that outlive their replica: a real HTTP server that breaks off, goes silent or is not there."""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.tcp_proxy import run_proxy
from tests.waiting import wait_for
from yivideo_pipeline.errors.tree import MediaError, ServiceUnreachable, WorkerKilled
from yivideo_pipeline.media.audio import SAMPLE_RATE_HZ, Audio, wav_header
from yivideo_pipeline.remote import client, replica_engine
from yivideo_pipeline.remote.protocol import (
    FailedEvent,
    KeptEvent,
    LanguageEvent,
    ProgressEvent,
    ResultEvent,
    WordsEvent,
)
from yivideo_pipeline.remote.replicas import ReplicaModels
from yivideo_pipeline.settings.cluster import ClusterSettings
from yivideo_pipeline.settings.options import SpeechOptions
from yivideo_pipeline.speech.batching import in_background
from yivideo_pipeline.speech.engine import EngineInfo
from yivideo_pipeline.speech.types import Transcript, Word
from yivideo_pipeline.telemetry.measure import StageMetrics

OPTIONS = SpeechOptions(model_name="base")
ENGINE = EngineInfo("base", "1", "cuda", "float16", 8, 1, "test")
Script = Callable[["Answer"], None]


@dataclass
class Answer:
    """One answer to a request: events go out at once; the connection ends with it."""

    handler: BaseHTTPRequestHandler
    call: dict
    number: int

    def send(self, *events) -> None:
        for event in events:
            self.handler.wfile.write(event.model_dump_json().encode() + b"\n")
            self.handler.wfile.flush()

    def finish(self) -> None:
        transcript = Transcript(
            language="en", language_probability=1.0, duration_s=60.0, segments=(), speech_spans=(),
            model="base", revision="1", aligner="attention", empty_reason="for the test",
        )  # fmt: skip
        self.send(ResultEvent(transcript=transcript, engine=ENGINE, cost=COST))


COST = StageMetrics(wall_s=7.0, cpu_s=1.0, rss_peak_mb=1.0, rss_mean_mb=1.0, cpu_mean_pct=1.0, samples=1)


@dataclass
class Replica:
    """A server whose answers follow a script; it keeps the requests' headers and calls."""

    url: str
    headers: list[dict[str, str]] = field(default_factory=list)
    calls: list[dict] = field(default_factory=list)


@contextmanager
def replica(script: Script) -> Generator[Replica]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            part = body.split(b"\r\n\r\n", 1)[1]
            call = json.JSONDecoder().raw_decode(part.decode("latin-1"))[0]
            found.headers.append({name.lower(): value for name, value in self.headers.items()})
            found.calls.append(call)
            self.send_response(200)
            self.send_header("x-yivideo-replica", f"replica-{len(found.calls)}")
            self.send_header("content-length", "1000000")  # so that an early end is no regular one
            self.end_headers()
            self.close_connection = True
            script(Answer(self, call, len(found.calls)))

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found = Replica(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def audio(tmp_path: Path) -> Audio:
    path = tmp_path / "audio.wav"
    path.write_bytes(wav_header(SAMPLE_RATE_HZ) + bytes(2 * SAMPLE_RATE_HZ))
    return Audio(path)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(replica_engine, "RETRY_S", 0.02)


def models_at(url: str) -> ReplicaModels:
    return ReplicaModels(ClusterSettings(replicas_url=url), None, lambda: OPTIONS)


def word(start_s: float) -> Word:
    return Word(text=f" w{start_s:g}", start_s=start_s, end_s=start_s + 1, confidence=0.9, source="attention")


def test_what_was_finished_is_not_asked_for_again_and_no_word_comes_twice(audio):
    def script(answer: Answer) -> None:
        answer.send(ProgressEvent(fraction=0.2 * answer.number))
        answer.send(WordsEvent(words=(word(1.0), word(2.0))), KeptEvent(entries={f"part-{answer.number}": 1}))
        if answer.number == 3:
            answer.send(WordsEvent(words=(word(3.0),)))
            answer.finish()

    heard: list[str] = []
    fractions: list[float] = []
    with replica(script) as server, models_at(server.url).lease() as engine:
        engine.transcribe(audio, OPTIONS, fractions.append, lambda words: heard.extend(w.text for w in words))
    assert [sorted(call["finished"]) for call in server.calls] == [[], ["part-1"], ["part-1", "part-2"]]
    assert heard == [" w1", " w2", " w3"]
    assert fractions == sorted(fractions)
    assert engine.cost == COST
    assert engine.describe().backend.startswith("test at ")


def test_a_sound_that_ends_each_replica_is_given_up_and_others_are_not(audio):
    """Others are in work when its replicas end; from then on suspects are tried one at a time."""
    attempts: Counter[str] = Counter()
    at_once: list[int] = []
    suspects: set[str] = set()

    def script(answer: Answer) -> None:
        name = answer.call["options"]["initial_prompt"]
        attempts[name] += 1
        answer.send(ProgressEvent(fraction=0.1))
        if attempts[name] < 3:
            return  # the replica has ended, with all that it worked on
        suspects.add(name)
        at_once.append(len(suspects))
        time.sleep(0.05)
        suspects.remove(name)
        if name != "poison":
            answer.finish()

    results: dict[str, object] = {}

    def ask(name: str) -> None:
        options = OPTIONS.model_copy(update={"initial_prompt": name})
        try:
            with models.lease(options) as engine:
                results[name] = engine.transcribe(audio, options)
        except WorkerKilled as error:
            results[name] = error

    with replica(script) as server:
        models = models_at(server.url)
        threads = [threading.Thread(target=ask, args=(name,)) for name in ("poison", "a", "b")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert isinstance(results["poison"], WorkerKilled)
    assert str(results["poison"]).startswith("3 replicas ended in the middle of this sound")
    assert isinstance(results["a"], Transcript)
    assert isinstance(results["b"], Transcript)
    assert at_once == [1, 1, 1]
    assert not models.work


def test_a_request_outlives_a_split_of_the_network_to_the_replicas(audio, monkeypatch):
    """Nothing arrives, not even an end; what is sent again waits until the network is back."""
    monkeypatch.setattr(client, "SILENCE_S", 3.0)

    def script(answer: Answer) -> None:
        answer.send(ProgressEvent(fraction=0.5))
        if answer.number == 1:
            wait_for(lambda: [one.fraction for one in models.work] == [0.5], poll_s=0.01)
            proxy.cut()
        answer.send(LanguageEvent(language="en", probability=0.9))

    def mend() -> None:
        wait_for(lambda: [one.attempts for one in models.work] == [2], poll_s=0.01)
        assert len(server.calls) == 1, "the network is cut"
        proxy.mend()

    with replica(script) as server, run_proxy(int(server.url.rpartition(":")[2])) as proxy:
        models = models_at(proxy.url)
        with ThreadPoolExecutor(1) as pool, models.lease() as engine:
            mended = pool.submit(mend)
            assert engine.detect_language(audio) == ("en", 0.9)
            mended.result()
    assert len(server.calls) == 2


def test_requests_wait_for_replicas_that_are_not_there_yet(audio, monkeypatch):
    with replica(Answer.finish) as server:
        url = server.url
    waited = threading.Event()
    with models_at(url).lease() as engine, pytest.raises(InterruptedError):  # the port is closed now

        def progress(_fraction: float) -> None:
            waited.set()
            raise InterruptedError  # as when the client has gone

        engine.transcribe(audio, OPTIONS, progress)
    assert waited.is_set()
    monkeypatch.setattr(replica_engine, "PATIENCE_S", 0.1)
    with models_at(url).lease() as engine, pytest.raises(ServiceUnreachable, match="does not answer"):
        engine.transcribe(audio, OPTIONS)


def test_an_error_of_the_sound_is_no_fault_of_the_replica(audio):
    failed = FailedEvent(id="1", kind="media", message="No sound")
    with (
        replica(lambda answer: answer.send(failed)) as server,
        models_at(server.url).lease() as engine,
        pytest.raises(MediaError, match="No sound"),
    ):
        engine.transcribe(audio, OPTIONS)
    assert len(server.calls) == 1


def test_a_request_names_its_model_and_whether_others_go_first(audio):
    with replica(Answer.finish) as server:
        models = models_at(server.url)
        with models.lease() as engine:
            engine.transcribe(audio, OPTIONS)
        with in_background(), models.lease(SpeechOptions(model_name="small")) as engine:
            engine.transcribe(audio, OPTIONS)
    first, second = (headers["serve_multiplexed_model_id"] for headers in server.headers)
    assert (first.partition("-")[0], second.partition("-")[0]) == ("base", "small")
    assert [call["background"] for call in server.calls] == [False, True]
    assert models.done == {"replica-1": 1, "replica-2": 1}
