import json
from importlib.util import find_spec

import pytest

from tests.cli.command import call, run, settings

TOKEN = "hf_" + "abcDEF123" * 3


@pytest.fixture
def environment(home, model_dir):
    return settings(home, model_dir, HF_TOKEN=TOKEN)


@pytest.fixture
def file(tmp_path):
    def write(name, text):
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return write


def test_every_setting_is_shown_with_where_it_was_set(environment, file):
    config = file("a.yml", "whisperx_service:\n  batch_size: 4\n")
    rows = {
        row["field"]: row
        for row in json.loads(run(environment, "config", "show", "--config", config, "--json").stdout)
    }
    assert (rows["speech.batch_size"]["value"], rows["speech.beam_size"]["source"]) == ("4", "default")
    assert "a.yml line 2" in rows["speech.batch_size"]["source"]
    assert rows["speech.model_name"]["source"] == "YIVIDEO_SPEECH__MODEL_NAME"
    assert rows["hub.token"]["value"] == "set"


def test_the_user_gets_a_table_without_the_token(environment):
    ended = call(environment, "config", "show")
    assert ended.returncode == 0
    assert "speech.zh_script" in ended.stdout
    assert TOKEN not in ended.stdout


def test_a_valid_file_is_checked_against_this_machine_too(environment, file):
    config = file("a.yml", "speech:\n  device: cpu\n  compute_type: float16\n")
    ended = call(environment, "config", "validate", config)
    assert ended.returncode == 0, ended.stderr
    assert "warning: compute_type: a CPU does not compute in float16" in ended.stdout
    assert "a.yml line 3" in ended.stdout


def test_what_cannot_work_here_is_refused(environment, file):
    ended = call(environment, "config", "validate", file("a.yml", "speech: {device: cpu, batch_size: 9}\n"))
    assert ended.returncode == 1
    assert "error: batch_size: 9 is over 8" in ended.stdout


def test_more_threads_than_cores_are_valid_with_a_warning(environment, file):
    config = file("a.yml", "whisperx_service: {device: cpu, faster_whisper_threads: 32}\n")
    ended = call(environment, "config", "validate", config)
    assert ended.returncode == 0
    assert "warning: faster_whisper_threads: 32 is over the" in ended.stdout


@pytest.mark.skipif(find_spec("whisperx") is not None, reason="WhisperX is installed")
@pytest.mark.parametrize("wish", ["use_faster_whisper: false", "aligner: wav2vec2"])
def test_what_needs_whisperx_is_not_valid_without_it(environment, file, wish):
    ended = call(environment, "config", "validate", file("a.yml", f"speech: {{device: cpu, {wish}}}\n"))
    assert ended.returncode == 1
    assert f"error: {wish.partition(':')[0]}: WhisperX is not installed here" in ended.stdout


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("checks: {skip: [no_such_check]}", "checks.skip: there is no check 'no_such_check'"),
        ("backfills: {weekly: soon}", "backfills.weekly: 'soon' is no cron expression of five fields"),
    ],
)
def test_what_dagster_would_refuse_is_not_valid(environment, file, text, line):
    ended = call(environment, "config", "validate", file("a.yml", text))
    assert ended.returncode == 2
    assert line in ended.stderr


def test_the_file_to_validate_may_be_named_by_the_option_of_the_other_commands(environment, file):
    config = file("a.yml", "speech: {device: cpu, batch_size: 9}\n")
    by_option = call(environment, "config", "validate", "--config", config)
    assert (by_option.returncode, by_option.stdout) == (
        1,
        call(environment, "config", "validate", config).stdout,
    )
    both = call(environment, "config", "validate", config, "--config", config)
    assert both.returncode == 2
    assert "Two settings files are named" in both.stderr


def test_a_wrong_file_is_reported_line_by_line(environment, file):
    ended = call(environment, "config", "validate", file("a.yml", "speech:\n  beam_size: 0\n  langage: en\n"))
    assert ended.returncode == 2
    assert len(ended.stderr.splitlines()) == 2
    assert "line 2, speech.beam_size" in ended.stderr
    assert "did you mean language?" in ended.stderr


def test_two_files_are_compared_without_the_environment(environment, file):
    old = file("old.yml", "speech: {model_name: base, language: en}\n")
    new = file("new.yml", "speech: {model_name: small, language: en, beam_size: 2}\n")
    ended = call(environment, "config", "diff", old, new, "--json")
    assert json.loads(ended.stdout) == [
        {"field": "speech.model_name", "old": "base", "new": "small", "needs_reload": True},
        {"field": "speech.beam_size", "old": "5", "new": "2", "needs_reload": False},
    ]
    table = call(environment, "config", "diff", old, new).stdout
    assert "reloads the model" in table
    assert call(environment, "config", "diff", old, old).stdout == "They mean the same.\n"


def test_a_missing_file_is_wrong_usage(environment, tmp_path):
    ended = call(environment, "config", "diff", tmp_path / "no.yml", tmp_path / "no.yml")
    assert ended.returncode == 2
    assert "no settings file" in ended.stderr
