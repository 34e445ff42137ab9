"""A library root in a bucket: what the watch takes, skips and misses there."""

from datetime import UTC

import pytest
from moto.s3.models import s3_backends

from tests.library.conftest import SAMPLE, SETTLE_S
from yivideo_pipeline.errors.tree import ConfigValidationError
from yivideo_pipeline.ledger import open_ledger
from yivideo_pipeline.library.decisions import Reason
from yivideo_pipeline.library.watch import open_watch
from yivideo_pipeline.settings.load import load_settings
from yivideo_pipeline.settings.sections import OBJECT_STORAGE
from yivideo_pipeline.storage.artifacts import Storage
from yivideo_pipeline.storage.partition_keys import key_of, path_of
from yivideo_pipeline.storage.remote_paths import DRIVERS

VIDEO = SAMPLE.read_bytes()


@pytest.fixture
def settings(bucket, tmp_path):
    """A library with a folder and a part of a bucket; artifacts are in the same bucket."""
    return load_settings(
        None,
        {
            "YIVIDEO_HOME": str(tmp_path / "home"),
            "YIVIDEO_LIBRARY__ROOTS__CLOUD": f"{bucket.url}/library/",
            "YIVIDEO_STORAGE__ROOT": f"{bucket.url}/library/made by yivideo",
        },
    )


@pytest.fixture
def scan(settings):
    """Scan at a second of the test's clock; what is taken is noted, as a sensor does."""
    (settings.home).mkdir()
    ledger = open_ledger(settings.home)
    storage = Storage(settings.storage.root, settings.home / "tmp")

    def scan_at(second: float):
        watch = open_watch(settings, ledger, storage)
        result = watch.scan(now=1_000_000 + second)
        watch.note_taken({item.key: item.stamp for item in result.take})
        return result

    return scan_at


def taken(result) -> list[str]:
    return sorted(item.key for item in result.take)


def test_a_video_is_taken_once_and_again_when_it_is_replaced(bucket, scan):
    bucket.write("library/2024/会议 a.mp4", VIDEO)
    bucket.write("elsewhere.mp4", VIDEO)
    assert taken(scan(0)) == []
    [item] = scan(SETTLE_S).take
    assert (item.key, str(item.path)) == ("2024/会议 a.mp4", f"{bucket.url}/library/2024/会议 a.mp4")
    assert taken(scan(20)) == []
    bucket.write("library/2024/会议 a.mp4", VIDEO + b"more")
    scan(30)
    assert taken(scan(40)) == ["2024/会议 a.mp4"]


def test_a_scan_lists_a_thousand_objects_with_a_request_and_asks_about_none(bucket, scan):
    for number in range(1001):  # put into the server, which is in this process
        s3_backends["123456789012"]["aws"].put_object(bucket.name, f"library/{number}.mp4", b"x")
    bucket.served()
    assert len(scan(0).decisions) == 1001
    assert [(one.method, one.path.strip("/")) for one in bucket.served()] == [("GET", bucket.name)] * 2


def test_times_of_a_listing_are_not_guessed(bucket, settings):
    bucket.write("library/a.mp4", VIDEO)
    root = settings.library.roots["cloud"]
    [listed] = root.fs.find(root.path, detail=True).values()
    assert listed["LastModified"].tzinfo is UTC, "dateutil has another, and takes ten times as long"


def test_names_are_skipped_as_in_a_folder_and_so_are_our_own_artifacts(bucket, scan):
    skipped = ("b.txt", ".hidden/c.mp4", "d.part", "@eaDir/e.mp4", "folder/", "made by yivideo/v/audio.wav")
    for key in ("a.mp4", *skipped):
        bucket.write(f"library/{key}", VIDEO)
    for key in ("x//y.mp4", "x/../y.mp4"):
        bucket.write(f"library/{key}", VIDEO)
    result = scan(0)
    assert list(result.decisions) == ["a.mp4"]
    assert (
        result.counts[Reason.HIDDEN] == result.counts[Reason.IGNORED] == result.counts[Reason.OWN_FOLDER] == 1
    )
    assert result.counts[Reason.INACCESSIBLE] == 2, "keys that are no paths"


def test_subtitles_beside_an_object_count(bucket, scan):
    bucket.write("library/a.mp4", VIDEO)
    bucket.write("library/a.en.srt", b"1")
    scan(0)
    result = scan(SETTLE_S)
    assert taken(result) == []
    assert result.decisions["a.mp4"].reason is Reason.SUBTITLED


def test_only_headers_are_read_of_an_object_that_is_new(bucket, scan):
    bucket.write("library/a.mp4", VIDEO)
    scan(0)
    bucket.served()
    scan(SETTLE_S)
    assert any(one.range for one in bucket.served())
    bucket.served()
    scan(20)
    assert [one.method for one in bucket.served()] == ["GET"], "one page of keys, and nothing is opened"


def test_a_bucket_that_is_gone_or_empty_retires_nothing(bucket, scan, monkeypatch):
    for name in "ab":
        bucket.write(f"library/{name}.mp4", VIDEO)
    scan(0)
    assert taken(scan(SETTLE_S)) == ["a.mp4", "b.mp4"]
    for name in "ab":
        bucket.client.delete_object(Bucket=bucket.name, Key=f"library/{name}.mp4")
    result = scan(20)
    assert {one.reason for one in result.decisions.values()} == {Reason.ROOT_EMPTY} and not result.retire
    bucket.client.delete_bucket(Bucket=bucket.name)
    result = scan(30)
    assert {one.reason for one in result.decisions.values()} == {Reason.ROOT_GONE}
    [alert] = result.alerts
    assert alert.decision.detail == f"there is no bucket for {bucket.url}/library"


def test_a_key_and_an_object_stand_for_each_other(bucket, settings):
    roots = settings.library.roots
    path = path_of("2024/a: b%25 #1?.mp4", roots)
    assert str(path) == f"{bucket.url}/library/2024/a: b% #1?.mp4"
    assert key_of(path, roots) == "2024/a: b%25 #1?.mp4"
    outside = path.parent.parent.parent / "library2" / "100%...x.mp4"
    assert key_of(outside, roots) == f"{bucket.url}/library2/100%25%2E%2E%2Ex.mp4"
    assert str(path_of(key_of(outside, roots), {**roots, "s3": path.parent})) == str(outside)
    with pytest.raises(ValueError):
        path_of("../outside.mp4", roots)


def test_an_address_with_a_key_is_refused_for_artifacts_too():
    with pytest.raises(ConfigValidationError, match="YIVIDEO_STORAGE__ROOT: keys don't belong") as caught:
        load_settings(None, {"YIVIDEO_STORAGE__ROOT": "s3://key:secret@bucket/x"})
    assert "secret" not in str(caught.value)


def test_each_kind_of_root_has_a_driver():
    assert set(OBJECT_STORAGE) == set(DRIVERS)


@pytest.mark.parametrize("root", ["http://example.org/videos", "s3://", "s3://key:secret@bucket/x"])
def test_a_root_that_is_no_place_for_videos_is_refused_without_showing_a_key(root):
    with pytest.raises(ConfigValidationError) as caught:
        load_settings(None, {"YIVIDEO_LIBRARY__ROOTS__CLOUD": root})
    assert "YIVIDEO_LIBRARY__ROOTS__CLOUD" in str(caught.value)
    assert "secret" not in str(caught.value)
