"""Settings handed to the libraries that read the environment."""

import os
import subprocess
import sys

import pytest

from yivideo_pipeline.errors.tree import ConfigError, DiskError
from yivideo_pipeline.settings.load import apply_environment


def test_caches_are_made_and_passed_to_the_libraries(load, tmp_path):
    settings = load(
        f"cache: {{hf_home: {tmp_path}/hf, transformers_cache: {tmp_path}/tf}}", HF_TOKEN="hf_one"
    )
    environ = {"UNRELATED": "1", "HF_HUB_OFFLINE": "1"}
    apply_environment(settings, environ)
    assert environ == {
        "UNRELATED": "1",
        "HF_TOKEN": "hf_one",
        "HF_HOME": f"{tmp_path}/hf",
        "TRANSFORMERS_CACHE": f"{tmp_path}/tf",
        "HF_HUB_OFFLINE": "0",
        "TRANSFORMERS_OFFLINE": "0",
    }
    assert all(folder.is_dir() for folder in (tmp_path / "hf", tmp_path / "tf", tmp_path / "home/models"))


def test_what_is_not_set_stays_as_the_environment_has_it(load):
    environ = {"HF_HOME": "/elsewhere"}
    apply_environment(load(), environ)
    assert environ["HF_HOME"] == "/elsewhere"
    assert "HF_TOKEN" not in environ


@pytest.mark.parametrize("imported", ["before", "after"])
def test_token_cache_and_offline_mode_arrive_at_the_hubs_library(load, tmp_path, imported):
    (tmp_path / "token").write_text("hf_from_file\n")
    load(f"hub: {{token_file: {tmp_path}/token, offline: true}}\ncache: {{hf_home: {tmp_path}/hf}}\n")
    early = "import huggingface_hub" if imported == "before" else ""
    code = f"""
{early}
from pathlib import Path
from yivideo_pipeline.settings.load import apply_environment
from yivideo_pipeline.settings.load import load_settings
config, home = Path({str(tmp_path / "config.yml")!r}), {str(tmp_path)!r}
apply_environment(load_settings(config, {{"YIVIDEO_HOME": home}}))
import huggingface_hub
from huggingface_hub import constants
print(huggingface_hub.get_token(), constants.HF_HUB_OFFLINE, constants.HF_HUB_CACHE)
"""
    scrubbed = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    done = subprocess.run(
        [sys.executable, "-c", code], env=scrubbed, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["hf_from_file", "True", f"{tmp_path}/hf/hub"]


def test_a_token_file_that_is_missing_or_empty_is_refused(load, tmp_path):
    settings = load(f"hub: {{token_file: {tmp_path}/token}}")
    with pytest.raises(ConfigError, match=r"can't be read.*Correct the path"):
        settings.hub.read_token()
    (tmp_path / "token").write_text("\n")
    with pytest.raises(ConfigError, match=r"is empty.*Write the token"):
        settings.hub.read_token()


def test_a_cache_folder_that_can_not_be_made_is_a_disk_error(load, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DiskError, match=r"can't be made.*Set cache\.model_dir"):
        apply_environment(load(f"cache: {{model_dir: {tmp_path}/file/models}}"), {})
