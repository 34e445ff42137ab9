import json

import pytest

from tests.cli.command import call, run, settings

TOKEN = "hf_" + "abcDEF123" * 3


@pytest.fixture
def environment(home, model_dir):
    return settings(home, model_dir, HF_TOKEN=TOKEN)


def by_name(ended):
    return {result["name"]: result for result in json.loads(ended.stdout)}


def test_a_machine_that_runs_these_tests_has_no_failure(environment, home):
    ended = run(environment, "doctor", "--json")
    assert ended.returncode == 0, ended.stdout
    results = by_name(ended)
    assert [name for name, result in results.items() if result["level"] == "failure"] == []
    checked = (
        "Python",
        "PyAV",
        "CTranslate2",
        "CUDA",
        "torch",
        "GPU",
        "memory",
        "disk",
        "settings",
        "weights",
    )
    assert set(checked) <= set(results)
    assert "present" in results["weights"]["message"]
    assert results["HF token"]["message"] == "yes"
    assert str(home / "dagster") in results["Dagster"]["message"]


def test_the_token_is_never_shown(environment):
    ended = call(environment, "doctor")
    assert ended.returncode == 0, ended.stdout
    assert TOKEN not in ended.stdout + ended.stderr
    assert all(line.split()[0] in ("ok", "warning") for line in ended.stdout.splitlines())


def test_what_would_stop_the_work_is_a_failure_with_advice(environment, tmp_path):
    (tmp_path / "file").touch()
    ill = {
        **environment,
        "YIVIDEO_STORAGE__ROOT": str(tmp_path / "file" / "artifacts"),
        "YIVIDEO_SPEECH__MODEL_NAME": "small.en",
        "YIVIDEO_SPEECH__ALIGNER": "wav2vec2",
        "YIVIDEO_SPEECH__DEVICE": "cuda",
        "CUDA_VISIBLE_DEVICES": "",
    }
    ended = call(ill, "doctor", "--json")
    assert ended.returncode == 1
    results = by_name(ended)
    for name in ("storage", "weights", "GPU"):
        assert results[name]["level"] == "failure", name
        assert results[name]["advice"], name
    assert results["Python"]["level"] == "ok", "one failure does not hide the rest"


def test_wrong_settings_are_a_failure_and_not_the_end(environment):
    ended = call({**environment, "YIVIDEO_SPEECH__BATCH_SIZE": "many"}, "doctor")
    assert ended.returncode == 1
    assert "failure settings" in ended.stdout
    assert "YIVIDEO_SPEECH__BATCH_SIZE" in ended.stdout
    assert ended.stdout.startswith("ok      Python")


def test_a_broken_instance_is_a_failure(environment, home):
    (home / "dagster").mkdir()
    (home / "dagster" / "dagster.yaml").write_text("no_such_section: true\n")
    ended = call(environment, "doctor", "--json")
    assert ended.returncode == 1
    assert by_name(ended)["Dagster"]["level"] == "failure"
