"""Stored results that were damaged on disk are made again, and the run says so."""

import pytest


@pytest.fixture
def made(pipeline):
    pipeline.add("talk.mp4")
    assert pipeline.run().success
    return pipeline


def artifact(pipeline, stage):
    return pipeline.resources["storage"].find_latest("talk.mp4", stage)


def file_of(pipeline, stage, name):
    return pipeline.settings.home / "artifacts" / artifact(pipeline, stage).folder / name


def flip(path):
    """Change one byte in the middle; size and time stay."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_what_was_cut_or_changed_is_made_again_as_it_was(made):
    before = {stage: artifact(made, stage) for stage in ("audio", "alignment", "subtitles")}
    sidecar = made.inbox / "talk.en.srt"
    delivered = sidecar.read_bytes()
    sound = file_of(made, "audio", "audio.wav")
    sound.write_bytes(sound.read_bytes()[:-1000])
    manifest = file_of(made, "alignment", "manifest.json")
    manifest.write_bytes(manifest.read_bytes()[:200])
    flip(file_of(made, "subtitles", "subtitles.srt"))
    again = made.run()
    assert again.success and again.reused == ("video", "transcript")
    assert {stage: artifact(made, stage).content for stage in before} == {
        stage: one.content for stage, one in before.items()
    }
    assert sidecar.read_bytes() == delivered
    assert [warning for warning in again.warnings if "made again" in warning] == [
        "The stored result of audio was made again: its audio.wav is damaged",
        "The stored result of alignment was made again: its manifest.json is damaged",
        "The stored result of subtitles was made again: its subtitles.srt is damaged",
    ]
    assert made.run().reused == ("video", "audio", "transcript", "alignment", "subtitles")


def test_sound_that_was_changed_in_place_is_decoded_again_where_it_is_heard(made):
    sound = file_of(made, "audio", "audio.wav")
    whole = sound.read_bytes()
    flip(sound)
    assert made.run(speech={"beam_size": 1}).success
    assert sound.read_bytes() == whole
