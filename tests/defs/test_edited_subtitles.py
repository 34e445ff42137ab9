"""A run leaves subtitles that were edited by hand as they are."""

import dagster as dg

from yivideo_pipeline.storage.edits import EditedCue, Edits
from yivideo_pipeline.storage.partition_keys import encode_key

BY_HAND = [EditedCue(0, 1500, "Typed by hand"), EditedCue(2000, 3000, "& twice")]


def save(pipeline, cues=BY_HAND, key: str = "talk.mp4"):
    storage = pipeline.resources["storage"]
    artifact = storage.find_latest(key, "subtitles")
    edits = Edits(storage)
    latest = edits.latest(artifact.video_hash, "en")
    return edits.save(artifact.video_hash, "en", cues, over=latest.version if latest else 0)


def test_a_later_run_delivers_what_was_typed_in_every_format(pipeline):
    pipeline.add("talk.mp4")
    pipeline.run()
    saved = save(pipeline)
    again = pipeline.run(subtitles={"formats": ["srt", "vtt", "txt", "json"], "max_chars_per_line": 20})
    assert again.success
    for file in again.files:
        assert "Typed by hand" in file.read_text(), file.name
        assert "quick" not in file.read_text(), file.name
    assert again.files[0] == pipeline.inbox / "talk.en.srt"
    assert any("edited by hand" in warning and saved.saved_at in warning for warning in again.warnings)
    assert pipeline.metadata("subtitles")["edited_version"].value == 1


def test_another_model_makes_its_own_and_still_delivers_what_was_typed(pipeline):
    pipeline.add("talk.mp4")
    pipeline.run()
    save(pipeline)
    before = pipeline.run().files[0].read_bytes()
    again = pipeline.run(speech={"model_name": "tiny"})
    assert "transcript" not in again.reused
    assert again.files[0].read_bytes() == before
    storage = pipeline.resources["storage"]
    made = storage.find_latest("talk.mp4", "subtitles")
    assert b"quick" in storage.read(made, "subtitles.srt"), "the machine's version is kept beside it"


def test_what_was_typed_follows_to_another_folder_and_to_a_copy_of_the_video(pipeline, tmp_path):
    pipeline.add("talk.mp4")
    pipeline.run()
    save(pipeline)
    pipeline.add("copy.mp4")
    elsewhere = pipeline.run("copy.mp4", output_dir=tmp_path / "out")
    assert elsewhere.files == (tmp_path / "out" / "copy.en.srt",)
    assert "Typed by hand" in elsewhere.files[0].read_text()
    folders_of = pipeline.resources["storage"].delivery_folders
    assert folders_of("copy.mp4") == [str(tmp_path / "out")]
    assert folders_of("talk.mp4") == [""]


def test_back_at_the_machines_version_a_run_delivers_its_own_again(pipeline):
    pipeline.add("talk.mp4")
    machine = pipeline.run().files[0].read_bytes()
    save(pipeline)
    pipeline.run()
    save(pipeline, None)
    again = pipeline.run()
    assert again.files[0].read_bytes() == machine
    assert "edited_version" not in pipeline.metadata("subtitles")
    assert isinstance(pipeline.metadata("subtitles")["files"], dg.JsonMetadataValue)
    assert pipeline.metadata("subtitles")["files"].value == [encode_key(str(again.files[0]))]
