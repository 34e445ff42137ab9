import base64
import re
from xml.etree import ElementTree

import dagster as dg
import pytest

from yivideo_pipeline.machine.gpu import open_nvml
from yivideo_pipeline.stages import STAGES

EVERYWHERE = {
    "wall_s", "cpu_s", "rtfx", "rss_peak_mb", "gpu_memory_peak_mb", "gpu_utilization_mean_pct",
    "model", "compute_type", "device", "batch_size", "attempts", "reused", "warnings",
}  # fmt: skip
PICTURES = [
    ("video", "poster", "image/jpeg"),
    ("audio", "waveform", "image/svg+xml"),
    ("alignment", "timeline", "image/svg+xml"),
]
PICTURE = re.compile(r"!\[[^\]]*\]\(data:(image/[a-z+]+);base64,([A-Za-z0-9+/=]+)\)")


@pytest.fixture(scope="module")
def done(shared_pipeline):
    shared_pipeline.add("talk.mp4")
    assert shared_pipeline.run().success
    return shared_pipeline


def test_every_materialization_says_what_it_cost(done):
    for stage in STAGES:
        metadata = done.metadata(stage)
        assert set(metadata) >= EVERYWHERE, stage
        assert metadata["wall_s"].value > 0
        assert metadata["rss_peak_mb"].value > 1
        assert metadata["attempts"].value == 1
        assert metadata["reused"].value is False


@pytest.mark.skipif(open_nvml() is not None, reason="there is a GPU")
def test_without_a_gpu_its_figures_are_null_and_not_nought(done):
    for stage in STAGES:
        metadata = done.metadata(stage)
        assert metadata["gpu_memory_peak_mb"] == dg.MetadataValue.null()
        assert metadata["gpu_utilization_mean_pct"] == dg.MetadataValue.null()


def test_the_speech_stages_name_model_and_speed(done):
    for stage in ("transcript", "alignment"):
        metadata = done.metadata(stage)
        assert metadata["model"].value == "base"
        assert metadata["compute_type"].value == "int8"
        assert metadata["device"].value == "cpu"
        assert metadata["batch_size"].value == 8
        assert metadata["rtfx"].value > 1


def test_a_reused_result_still_names_what_made_it(pipeline):
    pipeline.add("talk.mp4")
    pipeline.run()
    pipeline.run(speech={"batch_size": 2})
    metadata = pipeline.metadata("transcript")
    assert metadata["reused"].value is True
    assert metadata["batch_size"].value == 8


def test_pictures_stand_in_the_metadata_itself(done):
    for stage, name, kind in PICTURES:
        text = done.metadata(stage)[name].value
        found = PICTURE.search(text)
        assert found and found[1] == kind, stage
        assert len(text) < 30_000
        data = base64.b64decode(found[2])
        if kind == "image/svg+xml":
            ElementTree.fromstring(data)
        else:
            assert data.startswith(b"\xff\xd8")


def test_the_streams_are_a_table(done):
    records = done.metadata("video")["streams"].records
    assert {record.data["kind"] for record in records} == {"video", "audio"}


def test_words_of_low_confidence_are_bold(done):
    metadata = done.metadata("transcript")
    _, text = metadata["text"].value.split("\n\n", 1)
    assert text.startswith("**The** quick brown")
    assert len(re.findall(r"\*\*.+?\*\*", text)) == metadata["low_confidence_words"].value > 1


def test_the_first_cues_their_readability_and_the_confidence_of_the_words_are_shown(done):
    metadata = done.metadata("subtitles")
    assert "| from | to | text |" in metadata["first_cues"].value
    assert "| readability |" in metadata["readability_details"].value
    assert 0 < metadata["readability"].value <= 100
    assert 0 < metadata["confidence"].value <= 1
    assert metadata["files"].data == [str(done.inbox / "talk.en.srt")]


def test_shares_are_per_cent(done):
    table = done.metadata("subtitles")["readability_details"].value
    assert re.search(r"\| speech covered share \| \d+\.\d% \|", table)


def test_what_an_asset_is_about_stands_before_what_it_cost(done):
    firsts = {"video": "poster", "audio": "waveform", "transcript": "text", "alignment": "timeline"}
    for stage, first in firsts.items():
        assert next(iter(done.metadata(stage))) == first


def test_numbers_have_three_decimals_at_most(done):
    for stage in STAGES:
        for name, value in done.metadata(stage).items():
            if isinstance(value, dg.FloatMetadataValue):
                assert value.value == round(value.value, 3), (stage, name)
