"""Single values of a settings file are changed; all else in it stays as it was written."""

import difflib
from pathlib import Path

import pytest
import yaml

from yivideo_pipeline.errors.tree import ConfigError, ConfigValidationError
from yivideo_pipeline.settings.config_file import ConfigFile

EXAMPLE = Path(__file__).resolve().parents[2] / "config.example.yml"


@pytest.fixture
def file(tmp_path) -> ConfigFile:
    """A copy of the example, which has every setting with a comment."""
    path = tmp_path / "config.yml"
    path.write_text(EXAMPLE.read_text())
    path.chmod(0o640)
    return ConfigFile(path)


def changed_lines(file: ConfigFile) -> list[str]:
    lines = difflib.ndiff(EXAMPLE.read_text().splitlines(), (file.read() or "").splitlines())
    return [line for line in lines if line[0] in "+-"]


def test_only_the_line_of_a_changed_value_differs(file, tmp_path):
    settings = file.change({("speech", "model_name"): "base"}, {"YIVIDEO_HOME": str(tmp_path)})
    assert settings.speech.options.model_name == "base"
    removed, added = changed_lines(file)
    assert removed.removeprefix("- ").replace("auto", "base", 1) == added.removeprefix("+ ")
    assert file.path.stat().st_mode & 0o777 == 0o640
    assert list(tmp_path.iterdir()) == [file.path], "nothing else is left in the folder"


@pytest.mark.parametrize(
    "text", ["no", "on", "1", "a: b # c", "~", "null", "会议", "'quoted'", "tab\tand \\"]
)
def test_every_text_is_read_again_as_it_was_written(file, tmp_path, text):
    file.change(
        {("library", "roots"): {"inbox": ..., text: f"/videos/{text}"}}, {"YIVIDEO_HOME": str(tmp_path)}
    )
    read = yaml.safe_load(file.path.read_text())
    assert read["library"]["roots"] == {"inbox": "inbox", text: f"/videos/{text}"}


def test_a_section_under_its_old_name_is_found(tmp_path):
    file = ConfigFile(tmp_path / "config.yml")
    file.path.write_text("whisperx_service:\n  model_name: tiny   # small\n")
    file.change(
        {("speech", "model_name"): "base", ("notices", "mail_to"): []}, {"YIVIDEO_HOME": str(tmp_path)}
    )
    assert file.read() == "whisperx_service:\n  model_name: base   # small\nnotices:\n  mail_to: []\n"


def test_a_new_file_is_private_since_it_may_hold_secrets(tmp_path):
    file = ConfigFile(tmp_path / "config.yml")
    assert (file.read(), file.version, file.is_writable) == (None, "", True)
    file.change({("service", "api_key"): "a key of enough signs"}, {"YIVIDEO_HOME": str(tmp_path)})
    assert file.path.stat().st_mode & 0o777 == 0o600


def test_what_is_not_valid_changes_nothing_and_names_the_file_and_not_its_copy(file, tmp_path):
    before = file.read()
    with pytest.raises(ConfigValidationError, match=r"config\.yml line \d+, retry\.jitter: 2 is not allowed"):
        file.change({("retry", "jitter"): 2}, {"YIVIDEO_HOME": str(tmp_path)})
    assert file.read() == before
    assert list(tmp_path.iterdir()) == [file.path]
    file.path.write_text("speech: [")
    with pytest.raises(ConfigError, match="not YAML"):
        file.change({("retry", "jitter"): 0.5}, {})
    assert not ConfigFile(tmp_path / "missing" / "config.yml").is_writable
