"""Wrong usage of `yivideo process` is reported in one line, before any video is processed."""

import json

import pytest

from tests.cli.command import SAMPLES, call, run, settings


@pytest.fixture
def environment(home, model_dir):
    return settings(home, model_dir)


def complaint(ended):
    """The only line on stderr."""
    assert ended.stdout == ""
    (line,) = ended.stderr.splitlines()
    assert line.startswith("yivideo: ")
    return line


def test_a_missing_path_is_wrong_usage_and_leaves_nothing_behind(environment, home):
    ended = call(environment, "process", "/no/such\nvideo.mp4")
    assert ended.returncode == 2
    assert r"no /no/such\nvideo.mp4" in complaint(ended)
    assert list(home.iterdir()) == []


def test_a_folder_without_videos_is_wrong_usage(environment, tmp_path):
    (tmp_path / "empty").mkdir()
    ended = call(environment, "process", tmp_path / "empty")
    assert ended.returncode == 2
    assert "library.extensions" in complaint(ended)


def test_every_wrong_option_is_named(environment):
    ended = call(environment, "process", SAMPLES, "--format", "srt,doc", "--device", "gpu", "--model", "bse")
    assert ended.returncode == 2
    assert [line.split(":")[1].strip() for line in ended.stderr.splitlines()] == [
        "--model",
        "--device",
        "--format",
    ]


def test_an_unknown_flag_is_wrong_usage(environment):
    assert call(environment, "process", SAMPLES, "--fast").returncode == 2
    assert call(environment, "process").returncode == 2


def test_a_wrong_setting_is_reported_with_its_place(environment, home):
    (home / "config.yml").write_text("speech:\n  model_nam: base\n")
    ended = call(environment, "process", SAMPLES)
    assert ended.returncode == 2
    assert "line 2, speech.model_nam" in complaint(ended)
    assert "did you mean model_name?" in complaint(ended)


def test_options_that_cannot_work_here_are_refused(environment):
    ended = run(environment, "process", SAMPLES, "--batch-size", "9", "--device", "cpu")
    assert ended.returncode == 2
    assert "batch_size" in complaint(ended)


def test_weights_that_cannot_be_had_stop_the_work_before_it_begins(environment, home):
    ended = run(environment, "process", SAMPLES, "--model", "small.en")
    assert ended.returncode == 1
    assert "weights of model small.en can't be had" in complaint(ended)
    assert not (home / "dagster").exists()


def test_an_output_folder_that_is_a_file_stops_the_work(environment, tmp_path):
    (tmp_path / "file").touch()
    ended = run(environment, "process", SAMPLES, "--output-dir", tmp_path / "file", "--json")
    assert ended.returncode == 1
    assert "it is a file" in ended.stderr
    report = json.loads(ended.stdout)
    assert report["error"]["kind"] == "disk"
    assert (report["done"], report["videos"]) == (0, [])


def test_a_home_that_cannot_be_used_is_reported(environment, tmp_path):
    (tmp_path / "file").touch()
    ended = run({**environment, "YIVIDEO_HOME": str(tmp_path / "file")}, "process", SAMPLES)
    assert ended.returncode == 1
    assert "YIVIDEO_HOME" in complaint(ended)


def test_an_unforeseen_error_is_one_line_and_its_traceback_is_in_the_log(environment, home, tmp_path):
    """yivideo has no rule for what a storage of somebody else's raises."""
    (tmp_path / "foreign_storage.py").write_text("raise RuntimeError('the moon is full')")
    (home / "dagster").mkdir()
    (home / "dagster" / "dagster.yaml").write_text("run_storage: {module: foreign_storage, class: Runs}\n")
    foreign = {**environment, "PYTHONPATH": str(tmp_path)}
    ended = run(foreign, "process", SAMPLES, "--output-dir", home / "out")
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    assert "the moon is full" in ended.stderr
    assert "logs/yivideo.log" in ended.stderr
    log = (home / "logs" / "yivideo.log").read_text()
    assert "Traceback" in log
    assert "foreign_storage" in log


def test_a_vocabulary_that_is_no_file_is_named(environment):
    ended = call(environment, "process", SAMPLES, "--vocabulary", "no-such.txt")
    assert ended.returncode == 2
    assert "--vocabulary: " in complaint(ended)
    assert "no-such.txt can't be read (No such file or directory)" in ended.stderr
