import pytest

from yivideo_pipeline.cli.folders import SpaceNeed, require_space, require_writable
from yivideo_pipeline.errors.tree import DiskError, DiskFull


def test_a_missing_folder_is_made_and_left_empty(tmp_path):
    require_writable(tmp_path / "a" / "b", "advice")
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_a_file_in_the_way_is_reported_with_advice(tmp_path):
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(DiskError, match="it is a file, or below one") as refused:
            require_writable(folder, "Take another one")
        assert refused.value.hint == "Take another one"


def test_needs_of_one_disk_add_up(tmp_path):
    require_space([SpaceNeed(tmp_path, 1, "sound")])
    with pytest.raises(DiskFull, match=r"About 2000000000\.0 GB are needed for sound and weights"):
        require_space([SpaceNeed(tmp_path, 10**18, "sound"), SpaceNeed(tmp_path, 10**18, "weights")])
