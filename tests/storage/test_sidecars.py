import os
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from yivideo_pipeline.errors.tree import DiskError
from yivideo_pipeline.storage.artifacts import Storage
from yivideo_pipeline.storage.sidecars import deliver_file


@pytest.fixture
def storage(tmp_path):
    return Storage(tmp_path / "storage")


@pytest.fixture
def video(tmp_path):
    (tmp_path / "videos").mkdir()
    return tmp_path / "videos" / "talk.mp4"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_subtitles_lie_beside_the_video(storage, video):
    delivered = deliver_file(storage, "talk.mp4", video, ".en.srt", b"one")
    assert delivered.path == video.with_name("talk.en.srt")
    assert delivered.warnings == ()
    assert delivered.path.read_bytes() == b"one"
    assert names(video.parent) == ["talk.en.srt"]


def test_others_may_read_them_as_the_umask_says(storage, video):
    old = os.umask(0o022)
    try:
        delivered = deliver_file(storage, "talk.mp4", video, ".en.srt", b"one")
    finally:
        os.umask(old)
    assert delivered.path.stat().st_mode & 0o777 == 0o644


def test_our_own_file_is_replaced(storage, video):
    deliver_file(storage, "talk.mp4", video, ".en.srt", b"one")
    delivered = deliver_file(storage, "talk.mp4", video, ".en.srt", b"two")
    assert delivered.warnings == ()
    assert delivered.path.read_bytes() == b"two"
    assert names(video.parent) == ["talk.en.srt"]


def test_a_foreign_file_is_left_alone(storage, video):
    foreign = video.with_name("talk.en.srt")
    foreign.write_bytes(b"by hand")
    delivered = deliver_file(storage, "talk.mp4", video, ".en.srt", b"one")
    assert foreign.read_bytes() == b"by hand"
    assert delivered.path.read_bytes() == b"one"
    assert delivered.path != foreign
    assert "talk.en.srt was not written by yivideo" in delivered.warnings[0]


def test_a_file_edited_by_hand_is_left_alone(storage, video):
    first = deliver_file(storage, "talk.mp4", video, ".en.srt", b"one")
    first.path.write_bytes(b"one, corrected")
    second = deliver_file(storage, "talk.mp4", video, ".en.srt", b"two")
    assert first.path.read_bytes() == b"one, corrected"
    assert second.path.read_bytes() == b"two"
    third = deliver_file(storage, "talk.mp4", video, ".en.srt", b"three")
    assert third.path == second.path, "our second name is ours to replace"


def test_a_foreign_link_is_left_alone(storage, video):
    link = video.with_name("talk.en.srt")
    link.symlink_to("nowhere")
    delivered = deliver_file(storage, "talk.mp4", video, ".en.srt", b"one")
    assert link.is_symlink()
    assert delivered.path != link


def test_the_same_text_already_there_is_not_written_twice(storage, video):
    there = video.with_name("talk.en.srt")
    there.write_bytes(b"one")
    inode = there.stat().st_ino
    delivered = deliver_file(storage, "talk.mp4", video, ".en.srt", b"one")
    assert delivered.path == there
    assert there.stat().st_ino == inode


def test_two_videos_of_one_stem_do_not_clobber_each_other(storage, tmp_path):
    out = tmp_path / "out"
    first = deliver_file(storage, "a/talk.mp4", Path("/x/a/talk.mp4"), ".en.srt", b"a", out)
    second = deliver_file(storage, "a/talk.mkv", Path("/x/a/talk.mkv"), ".en.srt", b"b", out)
    third = deliver_file(storage, "b/talk.mp4", Path("/x/b/talk.mp4"), ".en.srt", b"c", out)
    assert [p.path.read_bytes() for p in (first, second, third)] == [b"a", b"b", b"c"]
    assert names(out)[:2] == ["talk.en.srt", "talk.mkv.en.srt"]
    again = deliver_file(storage, "a/talk.mkv", Path("/x/a/talk.mkv"), ".en.srt", b"b2", out)
    assert again.path == second.path


@pytest.mark.parametrize("stem", ["x" * 251, "视" * 83, "é" * 125])
def test_a_name_near_the_limit_is_shortened_between_characters(storage, video, stem):
    delivered = deliver_file(storage, "k", video.with_name(f"{stem}.mp4"), ".zh.json", b"one")
    name = delivered.path.name
    assert len(os.fsencode(name)) <= 255
    assert name.endswith(".zh.json")
    assert name.encode("utf-8").decode("utf-8") == name
    assert "shortened" in delivered.warnings[0]


def test_long_names_that_differ_at_their_end_stay_apart(storage, video):
    paths = [
        deliver_file(storage, e, video.with_name("x" * 249 + e + ".mp4"), ".en.srt", b"s").path for e in "12"
    ]
    assert paths[0] != paths[1]


def test_the_output_folder_is_made(storage, video, tmp_path):
    delivered = deliver_file(storage, "talk.mp4", video, ".en.srt", b"one", tmp_path / "new" / "folder")
    assert delivered.path == tmp_path / "new" / "folder" / "talk.en.srt"


def test_an_output_folder_that_is_a_file_is_refused_in_plain_words(storage, video, tmp_path):
    (tmp_path / "taken").touch()
    with pytest.raises(DiskError, match="--output-dir"):
        deliver_file(storage, "talk.mp4", video, ".en.srt", b"one", tmp_path / "taken")


@contextmanager
def without_privileges():
    """Root may write everywhere: be nobody for a while."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_folder_without_permission_is_refused_in_plain_words(storage):
    # Not tmp_path: nobody must be able to reach it.
    with TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o555)
        with pytest.raises(DiskError, match="--output-dir"), without_privileges():
            deliver_file(storage, "talk.mp4", folder / "talk.mp4", ".en.srt", b"one")
        assert names(folder) == []
        folder.chmod(0o755)
