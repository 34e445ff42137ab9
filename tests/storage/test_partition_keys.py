import os
from pathlib import Path

import pytest
from dagster._core.definitions.partitions.utils.base import INVALID_PARTITION_SUBSTRINGS
from hypothesis import given
from hypothesis import strategies as st

from yivideo_pipeline.storage.partition_keys import decode_key, encode_key, key_of, path_of

ROOTS = {"inbox": Path("/srv/inbox"), "archive": Path("/srv/archive"), "old": Path("/srv/inbox/old")}

NAMES = (
    st.binary(min_size=1, max_size=40)
    .map(lambda raw: raw.replace(b"/", b"_").replace(b"\0", b"_"))
    .map(lambda raw: raw.decode("utf-8", "surrogateescape"))
    | st.text(st.characters(blacklist_characters="/\0", blacklist_categories=["Cs"]), min_size=1)
    | st.text("%.:ao\n\t", min_size=1)
).filter(lambda name: name not in {".", ".."})
FOLDERS = st.sampled_from([*map(str, ROOTS.values()), "/srv", "/elsewhere"])


@given(folder=FOLDERS, names=st.lists(NAMES, min_size=1, max_size=3))
def test_any_path_comes_back_from_its_key(folder, names):
    path = Path(folder, *names)
    assert path_of(key_of(path, ROOTS), ROOTS) == path


@given(folder=FOLDERS, names=st.lists(NAMES, min_size=1, max_size=3))
def test_dagster_accepts_every_key(folder, names):
    key = key_of(Path(folder, *names), ROOTS)
    assert not [bad for bad in INVALID_PARTITION_SUBSTRINGS if bad in key]
    key.encode("utf-8")


@given(one=st.tuples(FOLDERS, NAMES), other=st.tuples(FOLDERS, NAMES))
def test_different_videos_have_different_keys(one, other):
    same = Path(*one) == Path(*other)
    assert (key_of(Path(*one), ROOTS) == key_of(Path(*other), ROOTS)) == same


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("/srv/inbox/talks/My talk.mp4", "talks/My talk.mp4"),
        ("/srv/inbox/中文 视频.mp4", "中文 视频.mp4"),
        ("/srv/inbox/100%.mp4", "100%25.mp4"),
        ("/srv/inbox/wait...what.mp4", "wait%2E%2E%2Ewhat.mp4"),
        ("/srv/inbox/two\nlines.mp4", "two%0Alines.mp4"),
        ("/srv/inbox/Part 1: begin.mp4", "Part 1%3A begin.mp4"),
        ("/srv/inbox/a/b: c.mp4", "a/b: c.mp4"),
        ("/srv/inbox/-rf.mp4", "-rf.mp4"),
        ("/srv/inbox/old/x.mp4", "old:x.mp4"),
        ("/srv/archive/2024/x.mp4", "archive:2024/x.mp4"),
        ("/home/me/x.mp4", "/home/me/x.mp4"),
        (os.fsdecode(b"/srv/inbox/caf\xe9.mp4"), "caf%E9.mp4"),
    ],
)
def test_keys_are_readable(path, key):
    assert key_of(Path(path), ROOTS) == key


def test_a_relative_path_is_taken_from_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert key_of(Path("a/../b.mp4"), {"inbox": tmp_path}) == "b.mp4"


def test_a_linked_video_keeps_the_name_of_the_link(tmp_path):
    (tmp_path / "inbox").mkdir()
    (tmp_path / "real.mp4").touch()
    link = tmp_path / "inbox" / "link.mp4"
    link.symlink_to(tmp_path / "real.mp4")
    assert key_of(link, {"inbox": tmp_path / "inbox"}) == "link.mp4"


@pytest.mark.parametrize(
    "key", ["", "../x.mp4", "a/../../x.mp4", "%2E%2E/x.mp4", "nowhere:x.mp4", "%2Fetc/passwd"]
)
def test_a_key_that_leads_out_of_the_library_is_refused(key):
    with pytest.raises(ValueError):
        path_of(key, ROOTS)


def test_a_root_itself_is_no_video():
    with pytest.raises(ValueError, match="library root"):
        key_of(Path("/srv/inbox"), ROOTS)


@given(text=st.text(st.characters(blacklist_categories=["Cs"])))
def test_encoding_can_be_undone(text):
    assert decode_key(encode_key(text)) == text
