import pytest

from yivideo_pipeline.cli.preflight import Need, megabytes, require_space, require_writable
from yivideo_pipeline.errors.tree import DiskError, DiskFull


def test_a_missing_folder_is_made_and_left_empty(tmp_path):
    require_writable(tmp_path / "a" / "b", "advice")
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_a_file_in_the_way_is_told_with_advice(tmp_path):
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(DiskError, match="it is a file, or below one") as told:
            require_writable(folder, "Take another one")
        assert told.value.hint == "Take another one"


def test_needs_of_one_disk_add_up(tmp_path):
    require_space([Need(tmp_path, 1, "sound")])
    with pytest.raises(DiskFull, match=r"About 2000000000\.0 GB are needed for sound and weights"):
        require_space([Need(tmp_path, 10**18, "sound"), Need(tmp_path, 10**18, "weights")])


def test_sizes_are_told_in_few_digits():
    assert [megabytes(1), megabytes(31_400_000), megabytes(2_500_000_000)] == ["0.1 MB", "31.4 MB", "2.5 GB"]
