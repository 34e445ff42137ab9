"""What is wrong with a request for a workflow, said before Dagster is asked for anything."""

import socket
import time

import pytest
from starlette.testclient import TestClient

from yivideo_pipeline.defs.dagster_internals import videos
from yivideo_pipeline.errors.tree import ConfigError
from yivideo_pipeline.ledger import open_ledger
from yivideo_pipeline.ledger.callbacks import GIVE_UP_AFTER_S
from yivideo_pipeline.ledger.workers import AtWork
from yivideo_pipeline.service.app import create_app
from yivideo_pipeline.service.workflows.callbacks import find_target
from yivideo_pipeline.service.workflows.requests import STEPS, stages_of
from yivideo_pipeline.service.workflows.runs import WORKFLOW_TAG, RunFailure, RunStep, WorkflowRun
from yivideo_pipeline.service.workflows.status import describe, state_of
from yivideo_pipeline.settings.load import load_settings
from yivideo_pipeline.stages import PARTITION_TAG, STAGES, VIDEOS
from yivideo_pipeline.storage.artifacts import Storage

CHAIN = ["ffmpeg.extract_audio", "whisperx.generate_subtitles"]


@pytest.fixture
def inbox(home):
    folder = home / "inbox"
    folder.mkdir()
    (folder / "talk.mp4").write_bytes(b"no need to be a video yet")
    return folder


@pytest.fixture
def service(inbox, monkeypatch):
    """The service, with no Dagster at its address."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        monkeypatch.setenv("YIVIDEO_SERVICE__DAGSTER_URL", f"http://127.0.0.1:{nobody.getsockname()[1]}")
        monkeypatch.setenv("YIVIDEO_SERVICE__CALLBACK_HOSTS", "hooks.example.com,10.0.0.7")
        monkeypatch.setenv("YIVIDEO_SERVICE__CALLBACK_KEY", "a key that both sides know")
        monkeypatch.setenv("YIVIDEO_SPEECH__MODEL_NAME", "tiny.en")
        with TestClient(create_app(load_settings()), base_url="http://127.0.0.1") as client:
            yield client


def ask(service, path, chain=CHAIN, **more):
    config = {"workflow_chain": chain}
    return service.post("/v1/workflows", json={"video_path": str(path), "workflow_config": config, **more})


def problem_of(answer, status):
    assert answer.status_code == status, answer.text
    return answer.json()["error"]


def test_the_names_are_the_pipelines_own():
    assert {stage for stages in STEPS.values() for stage in stages} == set(STAGES)
    assert [stages_of([f"yivideo.{stage}"])[-1] for stage in STAGES] == list(STAGES)
    assert videos.name == VIDEOS


@pytest.mark.parametrize(
    ("chain", "last"),
    [
        (CHAIN, "subtitles"),
        (CHAIN[::-1], "subtitles"),
        (["ffmpeg.extract_audio"], "audio"),
        (["yivideo.alignment", "yivideo.video"], "alignment"),
    ],
)
def test_a_chain_is_made_with_all_that_it_stands_on(chain, last):
    made = stages_of(chain)
    assert made[-1] == last
    assert made == tuple(STAGES)[: len(made)]


def test_every_wrong_value_is_told_in_a_line_of_its_own(service, inbox):
    wrong = {
        "whisperx_config": {"batch_size": 900, "compute_type": "int7", "modelname": "tiny"},
        "subtitles": {"formats": ["pdf"]},
    }
    told = problem_of(ask(service, inbox / "talk.mp4", ["whisperx.subtitles"], output_params=wrong), 422)
    places = [line.partition(": ")[0] for line in told["message"].splitlines()]
    assert set(places) == {
        "workflow_config.workflow_chain",
        "output_params.whisperx_config.batch_size",
        "output_params.whisperx_config.compute_type",
        "output_params.whisperx_config.modelname",
        "output_params.subtitles.formats",
    }
    assert "did you mean model_name?" in told["message"]
    assert "did you mean whisperx.generate_subtitles?" in told["message"]


def test_a_name_with_half_a_character_is_refused_like_any_other(service, inbox):
    body = f'{{"video_path": "{inbox}/talk.mp4", "workflow_config": {{"workflow_chain": ["yivideo.video"]}},'
    body += ' "output_params": {"whisperx_config": {"\\ud800": "\\ud800"}}}'
    asked = service.post("/v1/workflows", content=body, headers={"Content-Type": "application/json"})
    assert "unable to parse" in problem_of(asked, 422)["message"]


def test_what_this_machine_can_not_do_is_refused_before_anything_is_loaded(service, inbox):
    wrong = {"whisperx_config": {"device": "cpu", "batch_size": 16, "language": "en"}}
    told = problem_of(ask(service, inbox / "talk.mp4", output_params=wrong), 422)
    assert told["message"] == (
        "output_params.whisperx_config.batch_size: 16 is over 8, the most on a CPU: lower it"
    )


def test_a_language_that_the_model_does_not_know_is_refused(service, inbox):
    wrong = {"whisperx_config": {"language": "zh"}}
    told = problem_of(ask(service, inbox / "talk.mp4", output_params=wrong), 422)
    assert "model tiny.en knows English alone" in told["message"]


def test_a_folder_as_model_is_refused_whether_it_is_there_or_not(service, inbox, tmp_path):
    told = [
        problem_of(
            ask(service, inbox / "talk.mp4", output_params={"whisperx_config": {"model_name": name}}), 422
        )
        for name in (str(tmp_path), "/nowhere/at/all", "~", "../x")
    ]
    assert len({one["message"] for one in told}) == 1
    assert "named in the settings alone" in told[0]["message"]


def test_files_outside_the_allowed_folders_are_refused_whether_they_are_there_or_not(
    service, inbox, tmp_path
):
    (tmp_path / "secret.mp4").touch()
    (inbox / "link.mp4").symlink_to(tmp_path / "secret.mp4")
    for path in ("/etc/passwd", "/no/such/file", inbox / ".." / ".." / "secret.mp4", inbox / "link.mp4"):
        assert problem_of(ask(service, path), 403)["kind"] == "path_not_allowed", path
    for key in ("../secret.mp4", "nowhere:talk.mp4", "talk%00.mp4", ""):
        assert ask(service, key).status_code == 422, key
    assert problem_of(ask(service, inbox / "gone.mp4"), 404)["message"] == "There is no such file"


def test_subtitles_go_to_allowed_folders_alone(service, inbox, tmp_path):
    (inbox / "out").symlink_to(tmp_path)
    for folder in ("/tmp", str(inbox / ".." / ".."), str(inbox / "out")):
        told = problem_of(ask(service, inbox / "talk.mp4", output_params={"output_dir": folder}), 403)
        assert told["kind"] == "path_not_allowed", folder
    relative = ask(service, inbox / "talk.mp4", output_params={"output_dir": "out"})
    assert relative.status_code == 422


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/",
        "http://hooks.example.com.evil.example/",
        "http://hooks.example.com@evil.example/",
        "http://user:word@hooks.example.com/",
        "ftp://hooks.example.com/",
        "http://127.0.0.1/",
        "http://hooks.example.com:no-port/",
        "//hooks.example.com/",
    ],
)
def test_a_callback_goes_to_allowed_hosts_alone(service, inbox, url):
    told = problem_of(ask(service, inbox / "talk.mp4", callback_url=url), 422)
    assert "no http or https address of an allowed host" in told["message"]


def test_nothing_is_called_back_unsigned(service, inbox, monkeypatch):
    monkeypatch.delenv("YIVIDEO_SERVICE__CALLBACK_KEY")
    with TestClient(create_app(load_settings()), base_url="http://127.0.0.1") as keyless:
        told = problem_of(ask(keyless, inbox / "talk.mp4", callback_url="http://hooks.example.com/"), 422)
    assert "can't be signed" in told["message"]


def test_a_name_that_leads_into_a_private_network_is_called_only_where_its_address_is_listed(monkeypatch):
    own_name = socket.gethostname().lower()  # of an address of this machine's own
    monkeypatch.setenv("YIVIDEO_SERVICE__CALLBACK_HOSTS", f"{own_name},127.0.0.1")
    settings = load_settings().service
    with pytest.raises(ConfigError, match="private network"):
        find_target(f"http://{own_name}/", settings)
    assert find_target("http://127.0.0.1:5000/x", settings).address == "127.0.0.1"


def test_without_dagster_it_says_what_to_do_and_keeps_nothing(service, inbox, home):
    asked = ask(service, inbox / "talk.mp4", callback_url="http://10.0.0.7/done")
    told = problem_of(asked, 503)
    assert told["message"] == "Dagster does not answer"
    assert "yivideo up" in told["hint"]
    assert "127.0.0.1:" not in asked.text
    assert not open_ledger(home).callbacks.is_any_open()
    assert service.get("/v1/workflows").status_code == 503
    assert service.get(f"/v1/workflows/status/{'0' * 32}").status_code == 503


def test_a_failed_run_is_final_only_once_dagster_has_said_so():
    def run(status, ended_s_ago, **tags):
        at = time.time() - ended_s_ago
        return WorkflowRun(
            "run", status, None, tags, ("video",), at, at, at, failure=RunFailure(None, "system", "", "")
        )

    assert state_of([run("FAILURE", 0)]) == "running"
    assert state_of([run("FAILURE", 60)]) == "failed"
    assert state_of([run("FAILURE", 0, **{"dagster/will_retry": "true"})]) == "retrying"
    assert state_of([run("FAILURE", 0, **{"dagster/will_retry": "false"})]) == "failed"
    assert state_of([run("FAILURE", 9, **{"dagster/will_retry": "true"}), run("QUEUED", 0)]) == "queued"


def test_the_progress_of_a_workflow_grows_inside_a_stage(home):
    steps = (
        RunStep("video", "SUCCESS", 1, 1.0, 2.0, None),
        RunStep("audio", "IN_PROGRESS", 1, 2.0, None, None),
    )
    asked = ("video", "audio")
    run = WorkflowRun(
        "run", "STARTED", None, {WORKFLOW_TAG: "w", PARTITION_TAG: "a"}, asked, 0.0, 1.0, None, steps
    )
    storage = Storage(home / "artifacts")

    def progress(at_work):
        status = describe([run], storage, "http://127.0.0.1:3000", at_work)
        return status.progress, [stage.progress for stage in status.stages]

    assert progress(None) == (0.5, [1.0, 0.0])
    assert progress(AtWork("audio", "run", 2.0, fraction=0.5)) == (0.75, [1.0, 0.5])
    assert progress(AtWork("audio", "run", 2.0, fraction=None)) == (0.5, [1.0, 0.0])
    assert progress(AtWork("audio", "of somebody else", 2.0, fraction=0.5)) == (0.5, [1.0, 0.0])


def test_a_callback_is_tried_ever_less_often_and_given_up_in_the_end(home):
    callbacks = open_ledger(home).callbacks
    callbacks.ask("a" * 32, "http://hooks.example.com/")
    callbacks.ask("a" * 32, "http://hooks.example.com/another")
    began = now = 1_000_000.0
    waits = [2**n for n in range(10)]
    while due := callbacks.due(now):
        assert due[0].url == "http://hooks.example.com/"
        if not callbacks.mark_failed(due[0], now):
            break
        wait_s = waits.pop(0) if waits else 900
        assert not callbacks.due(now + wait_s - 0.1)
        now += wait_s
    assert not callbacks.is_any_open()
    assert now - began < GIVE_UP_AFTER_S <= now - began + 900


def test_what_was_launched_again_meanwhile_is_told_of_again(home):
    callbacks = open_ledger(home).callbacks
    callbacks.ask("a" * 32, "http://hooks.example.com/")
    (being_sent,) = callbacks.due(time.time())
    callbacks.ask_again("a" * 32)
    callbacks.mark_sent(being_sent)
    (again,) = callbacks.due(time.time())
    callbacks.mark_sent(again)
    assert not callbacks.is_any_open()
