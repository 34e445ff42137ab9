import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from shutil import copyfile

import pytest

from tests.library.root_permissions import permissions_enforced
from tests.library.subtitle_tracks import SAMPLE
from yivideo_pipeline.library.decisions import Reason
from yivideo_pipeline.library.ignore import NameRules
from yivideo_pipeline.library.scan import LocalListing


@pytest.fixture
def stocked(library):
    """Three known videos, whose deletion would retire their partitions at once."""
    library.set(deleted="archive")
    for name in ("a.mp4", "b.mp4", "2024/c.mp4"):
        library.add(name)
    library.take(library.settle())
    return library


@contextmanager
def closed(path: Path) -> Generator[None]:
    mode = path.stat().st_mode
    path.chmod(0)
    try:
        with permissions_enforced():
            yield
    finally:
        path.chmod(mode)


@contextmanager
def mounted(folder: Path) -> Generator[None]:
    """Mount an empty disk in memory on a folder; only root may, and not everywhere."""
    done = subprocess.run(["mount", "-t", "tmpfs", "none", folder], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("this user may not mount anything")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def reasons(result):
    return {decision.reason for decision in result.decisions.values()}


def test_a_root_that_is_gone_retires_nothing_and_alerts(stocked):
    away = stocked.inbox.with_name("away")
    stocked.inbox.rename(away)
    result = stocked.scan(1)
    result = stocked.scan(1000)
    assert result.retire == ()
    assert reasons(result) == {Reason.ROOT_GONE}
    [alert] = result.alerts
    assert alert.message == (
        "Library root 'inbox': Its root does not exist: nothing counts as deleted"
        " (No such file or directory); 3 known videos can't be seen"
    )
    away.rename(stocked.inbox)
    result = stocked.scan(1000)
    assert reasons(result) == {Reason.TAKEN}
    assert result.alerts == ()


def test_a_root_that_never_was_there_alerts_too(library):
    library.inbox.rmdir()
    assert [alert.decision.reason for alert in library.scan().alerts] == [Reason.ROOT_GONE]


def test_a_root_that_is_suddenly_empty_retires_nothing_and_alerts(stocked):
    away = stocked.inbox.with_name("away")
    stocked.inbox.rename(away)
    stocked.inbox.mkdir()
    (stocked.inbox / "NOT MOUNTED.txt").touch()
    stocked.scan(1)
    result = stocked.scan(1000)
    assert result.retire == ()
    assert reasons(result) == {Reason.ROOT_EMPTY}
    assert [(alert.decision.detail, alert.videos) for alert in result.alerts] == [("it had 3 videos", 3)]
    assert len({alert.fingerprint for each in (result, stocked.scan(1)) for alert in each.alerts}) == 1


def test_the_only_video_of_a_root_may_be_deleted(library):
    library.set(deleted="archive")
    path = library.add("talk.mp4")
    library.take(library.settle())
    path.unlink()
    result = library.settle()
    assert [item.key for item in result.retire] == ["talk.mp4"]
    assert result.alerts == ()


def test_trouble_with_one_root_leaves_the_others_at_work(stocked):
    other = stocked.inbox.with_name("other")
    stocked.set(roots={"inbox": stocked.inbox, "other": other})
    other.mkdir()
    copyfile(SAMPLE, other / "new.mp4")
    stocked.inbox.rename(stocked.inbox.with_name("away"))
    assert [item.key for item in stocked.settle().take] == ["other:new.mp4"]


def test_videos_in_a_folder_that_can_t_be_read_are_held(stocked):
    with closed(stocked.inbox / "2024"):
        stocked.scan(1)
        result = stocked.scan(1000)
        explanation = stocked.explain("2024/new.mp4")
    assert result.retire == ()
    assert str(result.decisions["2024/c.mp4"]) == (
        "Its folder can't be read: nothing counts as deleted (2024: Permission denied)"
    )
    assert result.decisions["a.mp4"].reason is Reason.TAKEN
    assert result.counts[Reason.INACCESSIBLE] == 1
    assert [alert.videos for alert in result.alerts] == [1]
    assert explanation.decision.reason is Reason.INACCESSIBLE


def test_a_root_that_can_t_be_read_retires_nothing_and_alerts(stocked):
    with closed(stocked.inbox):
        stocked.scan(1)
        result = stocked.scan(1000)
    assert reasons(result) == {Reason.ROOT_CLOSED}
    assert [alert.decision.detail for alert in result.alerts] == ["Permission denied"]


def test_a_file_that_may_not_be_read_is_taken_as_soon_as_it_may(library):
    path = library.add("talk.mp4")
    with closed(path):
        assert library.settle().decisions["talk.mp4"].reason is Reason.INACCESSIBLE
    assert [item.key for item in library.scan(1).take] == ["talk.mp4"]


def test_a_video_behind_a_broken_link_is_held(stocked):
    real = stocked.settings.home / "real"
    real.mkdir()
    (stocked.inbox / "a.mp4").rename(real / "a.mp4")
    (stocked.inbox / "a.mp4").symlink_to(real / "a.mp4")
    assert stocked.scan(1).decisions["a.mp4"].reason is Reason.TAKEN
    real.rename(real.with_name("unmounted"))
    stocked.scan(1)
    result = stocked.scan(1000)
    assert result.retire == ()
    assert result.decisions["a.mp4"].reason is Reason.LINK_BROKEN


def test_a_disk_that_is_unmounted_below_the_root_retires_nothing_and_alerts(stocked):
    nas = stocked.inbox / "nas"
    nas.mkdir()
    with mounted(nas):
        stocked.add("nas/d.mp4")
        stocked.take(stocked.settle())
    stocked.scan(1)
    result = stocked.scan(1000)
    assert result.retire == ()
    assert result.decisions["nas/d.mp4"].reason is Reason.MOUNT_GONE
    assert [(alert.decision.detail, alert.videos) for alert in result.alerts] == [("nas", 1)]


def test_an_unmounted_root_is_known_for_one_though_files_lie_where_it_was(library):
    library.set(deleted="archive")
    with mounted(library.inbox):
        library.add("a.mp4")
        library.take(library.settle())
    library.add("dropped.mp4")
    result = library.settle()
    assert result.decisions["a.mp4"].reason is Reason.MOUNT_GONE
    assert [item.key for item in result.take] == ["dropped.mp4"]


def test_a_disk_whose_videos_are_all_found_elsewhere_is_forgotten(stocked):
    nas = stocked.inbox / "nas"
    nas.mkdir()
    with mounted(nas):
        stocked.add("nas/d.mp4")
        content = (nas / "d.mp4").read_bytes()
        found = (nas / "d.mp4").stat()
        stocked.take(stocked.settle())
    (nas / "d.mp4").write_bytes(content)
    os.utime(nas / "d.mp4", ns=(found.st_atime_ns, found.st_mtime_ns))
    result = stocked.scan(1)
    assert result.decisions["nas/d.mp4"].reason is Reason.TAKEN
    assert result.alerts == ()
    assert stocked.files.roots()["inbox"].mounts == frozenset()


def test_a_deleted_video_in_a_folder_that_is_now_ignored_is_not_retired(stocked):
    stocked.set(ignore=("2024",))
    (stocked.inbox / "2024" / "c.mp4").unlink()
    result = stocked.settle()
    assert result.retire == ()
    assert result.decisions["2024/c.mp4"].reason is Reason.IGNORED


def test_files_and_folders_may_vanish_while_they_are_listed(tmp_path):
    for number in range(50):
        (tmp_path / f"f{number}").mkdir()
        for name in range(20):
            (tmp_path / f"f{number}" / f"{name}.mp4").touch()
    removal = subprocess.Popen(
        [sys.executable, "-c", f"import shutil; shutil.rmtree({str(tmp_path)!r}, ignore_errors=True)"]
    )
    listing = LocalListing(tmp_path, NameRules([".mp4"]))
    scans = [listing.scan()]
    while removal.poll() is None:
        scans.append(listing.scan())
    scans.append(listing.scan())
    assert scans[-1].state == "gone"
    assert all(scan.inaccessible == {} for scan in scans)


def test_a_root_that_is_a_file_is_no_library(library):
    file = library.settings.home / "file"
    file.touch()
    library.set(roots={"inbox": file})
    assert [alert.decision.detail for alert in library.scan().alerts] == ["Not a directory"]


def test_other_files_are_listed_without_asking_for_their_size(tmp_path):
    (tmp_path / "talk.srt").symlink_to(tmp_path / "nowhere")
    (tmp_path / "talk.mp4").touch()
    scan = LocalListing(tmp_path, NameRules([".mp4"])).scan()
    assert set(scan.files) == {"talk.mp4"}
    assert sorted(scan.names[""]) == ["talk.mp4", "talk.srt"]
    assert scan.inaccessible == {}
