import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
import yaml

from yivideo_pipeline.defs.composition import build_definitions
from yivideo_pipeline.stages import JOB, LOCATION, STAGES

ROOT = Path(__file__).resolve().parents[2]
REPORTS = {"library_report", "performance_report"}


@pytest.fixture(scope="module")
def definitions(shared_pipeline):
    return build_definitions(shared_pipeline.resources)


@pytest.fixture(scope="module")
def graph(definitions):
    return definitions.resolve_asset_graph()


def test_the_stages_follow_each_other(graph):
    parents = {
        key.to_user_string(): {parent.to_user_string() for parent in graph.get(key).parent_keys}
        for key in graph.get_all_asset_keys()
    }
    # Reports are of all videos, and no part of making one.
    assert {parents.pop(report).pop() for report in REPORTS} == {"subtitles"}
    assert parents == {
        "video": set(),
        "audio": {"video"},
        "transcript": {"audio"},
        "alignment": {"audio", "transcript"},
        "subtitles": {"alignment"},
    }


def test_every_asset_says_what_and_whose_it_is(graph):
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        assert node.description and node.owners and node.kinds and node.code_version
        if key.to_user_string() in REPORTS:
            assert node.partitions_def is None
            continue
        assert node.partitions_def.name == "videos"
        assert node.group_name == "yivideo"
        assert node.code_version == STAGES[key.to_user_string()].code_version


def test_steps_with_a_model_share_the_pool(definitions):
    nodes = definitions.resolve_job_def(JOB).graph.node_defs
    assert {node.name for node in nodes if isinstance(node, dg.OpDefinition) and node.pool == "gpu"} == {
        "transcript",
        "alignment",
    }


def test_many_videos_share_a_run_in_groups_of_the_size_that_the_settings_say(shared_pipeline, graph):
    for stage in STAGES:
        policy = graph.get(dg.AssetKey(stage)).backfill_policy
        assert policy.max_partitions_per_run == shared_pipeline.settings.runs.group_size


def test_dagster_validates_the_workspace(home):
    command = [sys.executable, "-m", "dagster", "definitions", "validate", "-w", "workspace.yaml"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert LOCATION in done.stdout + done.stderr


def test_the_location_has_one_name_everywhere():
    workspace = yaml.safe_load((ROOT / "workspace.yaml").read_text())
    assert workspace["load_from"][0]["python_module"]["location_name"] == LOCATION


def test_loading_the_definitions_imports_nothing_that_only_new_work_needs(home):
    """Every run and every command on videos that are done waits for these imports."""
    code = (
        "import sys, yivideo_pipeline.definitions as d; d.defs().resolve_job_def('process_video')\n"
        "print(sorted({'torch', 'ctranslate2', 'faster_whisper', 'whisperx', 'onnxruntime', 'transformers',"
        " 'numpy', 'pandas', 'matplotlib', 'httpx', 'langcodes'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_whole_configuration_of_a_launch_is_typed(definitions):
    job = definitions.resolve_job_def(JOB)
    good = {"speech": {"model_name": "tiny", "batch_size": 2}, "subtitles": {"formats": ["srt"]}}
    assert dg.validate_run_config(job, {"resources": {"launch": {"config": good}}})
    for bad in ({"speech": {"batch_size": "many"}}, {"speech": {"modle_name": "tiny"}}, {"output": "x"}):
        with pytest.raises(dg.DagsterInvalidConfigError):
            dg.validate_run_config(job, {"resources": {"launch": {"config": bad}}})
