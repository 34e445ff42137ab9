"""What is delivered beside a video."""

import av
import pytest

from tests.media.media_files import write_silence
from yivideo_pipeline.library.decisions import Reason
from yivideo_pipeline.library.ignore import NameRules


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


def test_a_guide_and_a_copy_of_the_video_are_options_of_a_run(pipeline):
    """The copy is no video of the library; another guide makes the subtitles anew and nothing else."""
    pipeline.add("talk.mp4")
    first = pipeline.run(subtitles={"profile": "netflix", "mux": "mkv", "formats": ["srt", "karaoke-ass"]})
    names = ["talk.en.karaoke.ass", "talk.en.srt", "talk.yivideo.mkv"]
    assert sorted(file.name for file in first.files) == names
    copy = pipeline.inbox / "talk.yivideo.mkv"
    with av.open(copy) as found:
        assert [text.language for text in found.streams.subtitles] == ["eng"]
    report = pipeline.metadata("subtitles")["style"].value
    assert (report["profile"], report["frame_rate"], report["is_strict"]) == ("netflix", 10.0, True)
    assert {rule["rule"] for rule in report["rules"]} >= {"shots", "first_sound", "phrases"}
    assert "reading speed" in pipeline.metadata("subtitles")["style_report"].value
    written = copy.stat().st_mtime_ns
    pipeline.run(subtitles={"profile": "netflix", "mux": "mkv"})
    assert copy.stat().st_mtime_ns == written, "the same subtitles are there already"
    other = pipeline.run(subtitles={"profile": "bbc", "mux": "mkv"})
    assert set(other.reused) == {"video", "audio", "transcript", "alignment"}
    copy.write_bytes(b"the user's own")
    third = pipeline.run(subtitles={"profile": "shorts", "mux": "mkv"})
    assert copy.read_bytes() == b"the user's own"
    assert "talk.mp4.yivideo.mkv" in {file.name for file in third.files}
    rules = NameRules((".mkv", ".mp4"))
    assert rules.check_file("talk.yivideo.mkv").reason is Reason.OWN_COPY
