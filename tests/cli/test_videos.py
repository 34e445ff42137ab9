import os
import tempfile
from pathlib import Path

import pytest

from yivideo_pipeline.cli.console import WrongUsage
from yivideo_pipeline.cli.preflight import find_videos

EXTENSIONS = (".mp4", ".mkv", ".wav")


def find(*paths, ours=()):
    return find_videos(paths, EXTENSIONS, ours)


@pytest.fixture
def folder(tmp_path):
    for name in ("b.mp4", "A.MKV", "notes.txt", ".hidden.mp4", "deep/er/c.mp4", ".trash/d.mp4"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    return tmp_path


def test_a_folder_is_searched_to_its_bottom_in_a_steady_order(folder):
    found = [path.relative_to(folder).as_posix() for path in find(folder).videos]
    assert found == ["A.MKV", "b.mp4", "deep/er/c.mp4"]


def test_a_file_given_by_name_is_taken_whatever_it_is_called(folder):
    assert find(folder / "notes.txt", folder / ".hidden.mp4").videos == (
        folder / "notes.txt",
        folder / ".hidden.mp4",
    )


def test_a_video_named_twice_is_taken_once(folder):
    assert (
        find(folder / "b.mp4", folder / "deep" / ".." / "b.mp4", folder).videos.count(folder / "b.mp4") == 1
    )


def test_decoded_sound_of_our_own_is_no_video(folder):
    (folder / "artifacts").mkdir()
    (folder / "artifacts" / "audio.wav").touch()
    assert folder / "artifacts" / "audio.wav" in find(folder).videos
    assert folder / "artifacts" / "audio.wav" not in find(folder, ours=[folder / "artifacts"]).videos


def test_a_path_that_is_not_there_is_wrong_usage(folder):
    with pytest.raises(WrongUsage, match=r"no .*go\\nne.mp4"):
        find(folder, folder / "go\nne.mp4")


def test_nothing_found_is_wrong_usage(tmp_path):
    with pytest.raises(WrongUsage, match="no video"):
        find(tmp_path)


@pytest.fixture
def as_nobody():
    """Permissions don't bind root: act as somebody else, in a folder that they can reach."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        if os.geteuid() != 0:
            yield Path(name)
            return
        os.chown(name, 65534, 65534)
        os.seteuid(65534)
        try:
            yield Path(name)
        finally:
            os.seteuid(0)


def test_a_closed_folder_is_told_and_the_others_are_searched(as_nobody):
    for name in ("closed/a.mp4", "open/b.mp4"):
        (as_nobody / name).parent.mkdir()
        (as_nobody / name).touch()
    (as_nobody / "closed").chmod(0)
    found = find(as_nobody)
    (as_nobody / "closed").chmod(0o700)
    assert found.videos == (as_nobody / "open" / "b.mp4",)
    ((path, error),) = found.closed
    assert path == as_nobody / "closed"
    assert "Permission denied" in str(error)
