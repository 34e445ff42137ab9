"""What is delivered beside a video."""

import pytest

from tests.media.media_files import write_silence


@pytest.mark.parametrize("write_empty", [False, True])
def test_a_video_without_words_gets_files_only_if_they_are_wanted(pipeline, tmp_path, write_empty):
    pipeline.add("still.wav", write_silence(tmp_path / "still.wav", 2))
    done = pipeline.run("still.wav", subtitles={"formats": ["srt", "vtt"], "write_empty": write_empty})
    assert done.success and done.empty_reason and done.cues == 0
    names = ["still.en.srt", "still.en.vtt"] if write_empty else []
    assert [file.name for file in done.files] == names
    assert sorted(path.name for path in pipeline.inbox.glob("still.*.*")) == names
    assert pipeline.metadata("subtitles", "still.wav")["empty_reason"].value
    kept = pipeline.resources["storage"].find_latest("still.wav", "subtitles")
    assert set(kept.files) == {"subtitles.srt", "subtitles.vtt"}, "the result is kept, as one without cues"
