import re
from xml.etree import ElementTree

import dagster as dg
import pytest

from yivideo_pipeline.defs.previews import draw_picture
from yivideo_pipeline.machine.gpu import open_nvml
from yivideo_pipeline.stages import STAGES

EVERYWHERE = {"wall_s", "cpu_s", "rss_peak_mb", "attempts", "reused", "warnings"}
PICTURES = [
    ("video", "poster", "image/jpeg"),
    ("audio", "waveform", "image/svg+xml"),
    ("alignment", "timeline", "image/svg+xml"),
]
PICTURE = re.compile(r"!\[[^\]]+\]\(/pictures/(videos/[^)]+)\)")


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
def test_without_a_gpu_its_figures_are_missing_and_not_nought(done):
    for stage in STAGES:
        assert not {"gpu_memory_peak_mb", "gpu_utilization_mean_pct"} & set(done.metadata(stage)), stage


def test_no_row_says_nothing(done):
    for stage in STAGES:
        for name, value in done.metadata(stage).items():
            assert value != dg.MetadataValue.null(), (stage, name)


def test_the_speech_stages_name_model_and_speed(done):
    for stage in ("transcript", "alignment"):
        metadata = done.metadata(stage)
        assert metadata["model"].value == "base"
        assert metadata["revision"].value == "base-fake-1"
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


def test_pictures_are_named_in_text_that_the_ui_shows_at_once(done):
    for stage, name, kind in PICTURES:
        text = done.metadata(stage)[name].value
        assert len(text) < 1000
        drawn = draw_picture(done.resources["storage"], PICTURE.search(text)[1])
        assert drawn.media_type == kind
        if kind == "image/svg+xml":
            ElementTree.fromstring(drawn.data)
        else:
            assert drawn.data.startswith(b"\xff\xd8")


@pytest.mark.parametrize(
    "folder", ["", "videos", "videos/../x/audio-12", "videos/ab/audio-12", "videos/ab/audio-12/manifest.json"]
)
def test_what_is_no_artifact_has_no_picture(done, folder):
    assert draw_picture(done.resources["storage"], folder) is None


def test_a_result_without_a_picture_has_none(done):
    assert draw_picture(done.resources["storage"], done.metadata("subtitles")["artifact"].value) is None


def test_a_poster_that_is_gone_is_no_fault(pipeline):
    pipeline.add("talk.mp4")
    pipeline.run()
    folder = pipeline.metadata("video")["artifact"].value
    next(pipeline.settings.home.rglob("poster.jpg")).unlink()
    assert draw_picture(pipeline.resources["storage"], folder) is None


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
