"""What is wrong with a request for a workflow, said before Dagster is asked for anything."""

import socket

import pytest
from starlette.testclient import TestClient

from yivideo_pipeline.defs.partitions import videos
from yivideo_pipeline.ledger import open_ledger
from yivideo_pipeline.service.app import create_app
from yivideo_pipeline.service.dagster_client import DagsterClient
from yivideo_pipeline.service.workflows.requests import STEPS, WorkflowRequest, plan_launch, stages_of
from yivideo_pipeline.settings.load import load_settings
from yivideo_pipeline.settings.options import SpeechOptions
from yivideo_pipeline.settings.subtitle_options import SubtitleOptions
from yivideo_pipeline.stages import STAGES, VIDEOS

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


def speech_of_launch(**whisperx_config):
    """The part of the run's configuration that comes of a workflow's `whisperx_config`."""
    request = WorkflowRequest.model_validate(
        {
            "video_path": "/talk.mp4",
            "workflow_config": {"workflow_chain": CHAIN},
            "output_params": {"whisperx_config": whisperx_config},
        }
    )
    plan = plan_launch(request, SpeechOptions(), SubtitleOptions(), (), lambda options: ())
    return plan.run_config["resources"]["launch"]["config"]["speech"]


def test_what_follows_from_a_workflow_s_options_is_launched_too():
    assert speech_of_launch(language="zh-TW") == {"language": "zh", "zh_script": "traditional-tw"}
    assert speech_of_launch(batch_size=8) == {"batch_size": 8}, "also where it is as in the settings"
    assert speech_of_launch(language=["zh", "en"]) == {"languages": ["zh", "en"]}
    assert speech_of_launch(model_name="owner/model") == {"custom_model": "owner/model"}


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
    assert "must be text in UTF-8" in problem_of(asked, 422)["message"]


def test_what_this_machine_can_not_do_is_refused_before_anything_is_loaded(service, inbox):
    wrong = {"whisperx_config": {"device": "cpu", "batch_size": 16, "language": "en"}}
    told = problem_of(ask(service, inbox / "talk.mp4", output_params=wrong), 422)
    assert told["message"] == (
        "output_params.whisperx_config.batch_size: 16 is over 8, the most on a CPU: lower it"
    )


def test_a_language_that_the_model_does_not_know_is_refused(service, inbox):
    wrong = {"whisperx_config": {"language": "zh"}}
    told = problem_of(ask(service, inbox / "talk.mp4", output_params=wrong), 422)
    assert "model tiny.en supports English only" in told["message"]


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


def test_without_dagster_it_says_what_to_do_and_keeps_nothing(service, inbox, home):
    asked = ask(service, inbox / "talk.mp4", callback_url="http://10.0.0.7/done")
    told = problem_of(asked, 503)
    assert told["message"] == "Dagster does not answer"
    assert "yivideo up" in told["hint"]
    assert "127.0.0.1:" not in asked.text
    assert not open_ledger(home).callbacks.is_any_open()
    assert service.get("/v1/workflows").status_code == 503
    assert service.get(f"/v1/workflows/status/{'0' * 32}").status_code == 503


@pytest.mark.parametrize(
    ("chain", "output", "is_known"),
    [(CHAIN, {}, True), (CHAIN[:1], {}, False), (CHAIN, {"output_dir": "inbox"}, False)],
    ids=["subtitles beside the video", "only the sound", "subtitles elsewhere"],
)
def test_the_watch_leaves_to_a_workflow_what_it_would_make_itself(
    service, home, inbox, monkeypatch, chain, output, is_known
):
    monkeypatch.setattr(DagsterClient, "add_video", lambda *_given: None)
    monkeypatch.setattr(DagsterClient, "launch", lambda *_given: "a-run")
    more = {"output_params": {name: str(home / folder) for name, folder in output.items()}}
    assert ask(service, inbox / "talk.mp4", chain, **more).status_code == 202
    known = open_ledger(home).files.find("talk.mp4")
    assert (known is not None) == is_known
    if known:
        found = (inbox / "talk.mp4").stat()
        assert known.taken == (found.st_size, found.st_mtime_ns)


def test_the_watch_takes_what_could_not_be_launched(service, home, inbox):
    problem_of(ask(service, inbox / "talk.mp4"), 503)
    assert open_ledger(home).files.find("talk.mp4") is None
