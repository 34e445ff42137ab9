"""Schemathesis against the real service beside a real Dagster: it answers as its document says.

Requests are made from the OpenAPI document alone, right and wrong ones. Where a route wants something
that exists, a second test names it.
"""

from contextlib import suppress

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import load_all_checks
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.service.workflow_stack import PATIENCE_S, Stack, run_stack
from tests.speech.make_sound import decode_speech, join_sounds

pytestmark = pytest.mark.model

PYDANTICS_WORDS = ("Input should", "Field required", "Value error", "valid dictionary", "unable to")


def refusal_is_in_plain_words(context, response, case):
    if 400 <= response.status_code < 500:
        assert not any(theirs in response.text for theirs in PYDANTICS_WORDS), response.text


CHECKS = [
    refusal_is_in_plain_words,
    schemathesis.checks.not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
FEW = settings(
    max_examples=5,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
LONGEST_ADDRESS = 60_000
"""Longer ones the HTTP server refuses by itself, with a line of text."""
SOUND = b"in place of a sound"
TINY = '{"options": {"model_name": "tiny.en"}}'
OPENAI = {"file": SOUND, "model": "whisper-1"}
UPLOADS = [
    *[("/asr", {"output": kind}, {"audio_file": SOUND}) for kind in ("txt", "vtt", "srt", "tsv", "json")],
    ("/detect-language", {}, {"audio_file": SOUND}),
    *[
        ("/v1/audio/transcriptions", {}, {**OPENAI, "response_format": kind})
        for kind in ("json", "text", "srt", "vtt", "verbose_json")
    ],
    ("/v1/audio/transcriptions", {}, {**OPENAI, "stream": True}),
    ("/v1/speech/transcribe/upload", {}, {"sound": SOUND, "call": TINY}),
]


@pytest.fixture(scope="module")
def stack(tmp_path_factory, model_dir, tiny_weights):
    with run_stack(tmp_path_factory.mktemp("schema"), model_dir) as running:
        yield running


@pytest.fixture(scope="module")
def document(stack: Stack):
    load_all_checks()
    return schemathesis.openapi.from_url(f"{stack.server.url}/openapi.json")


@pytest.fixture(scope="module")
def known(stack: Stack) -> dict[str, str | int]:
    """Parameters that name what exists: a video with its subtitles, and the workflow that made them."""
    asked = {
        "video_path": str(stack.video("talk.mp4")),
        "workflow_config": {"workflow_chain": ["ffmpeg.extract_audio", "whisperx.generate_subtitles"]},
        "output_params": {"whisperx_config": {"model_name": "tiny.en", "language": "en"}},
    }
    workflow = stack.create(asked)["workflow_id"]
    assert stack.wait(workflow)["state"] == "succeeded"
    return {
        "key": "asked/talk.mp4", "workflow_id": workflow, "name": "tiny.en", "kind": "srt", "version": 1,
    }  # fmt: skip


def ask(case):
    return case.call_and_validate(checks=CHECKS, timeout=PATIENCE_S)


def ask_a_few(operation, **known):
    """Ask what the document says can be asked, then what it says can't be."""

    def check(case):
        assume(len(case.formatted_path) < LONGEST_ADDRESS)
        ask(case)

    FEW(given(operation.as_strategy(**known))(check))()
    with suppress(Unsatisfiable):  # nothing that can be sent is wrong there
        FEW(given(operation.as_strategy(generation_mode=GenerationMode.NEGATIVE, **known))(check))()


def test_every_good_answer_has_a_described_body(document):
    undescribed = [
        f"{method.upper()} {path} {status}"
        for path, methods in document.raw_schema["paths"].items()
        for method, operation in methods.items()
        for status, answer in operation["responses"].items()
        if status.startswith("2") and not answer.get("content")
    ]
    assert undescribed == []


def test_whatever_is_asked_the_answer_is_as_described(document, subtests):
    for operation in (result.ok() for result in document.get_all_operations()):
        with subtests.test(operation.label):
            ask_a_few(operation)


def test_what_is_asked_of_a_known_video_is_answered_as_described(document, known, subtests):
    for operation in (result.ok() for result in document.include(path_regex=r"\{").get_all_operations()):
        names = [parameter.name for parameter in operation.path_parameters]
        with subtests.test(operation.label):
            ask_a_few(operation, path_parameters={name: known[name] for name in names})


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> bytes:
    """Four seconds of speech."""
    folder = tmp_path_factory.mktemp("sound")
    samples = decode_speech("harbour-15s.mp4", folder).samples
    return join_sounds(folder / "short.wav", samples[: 4 * 16_000]).path.read_bytes()


def test_what_is_asked_of_a_real_sound_is_answered_as_described(document, sound, subtests):
    for path, query, form in UPLOADS:
        body = {name: sound if value is SOUND else value for name, value in form.items()}
        case = document[path]["POST"].Case(query=query, body=body, media_type="multipart/form-data")
        with subtests.test(path, query=query, form=form):
            assert ask(case).status_code == 200
