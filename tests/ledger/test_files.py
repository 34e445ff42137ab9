from dataclasses import replace
from multiprocessing import get_context

import pytest

from yivideo_pipeline.ledger import open_ledger
from yivideo_pipeline.ledger.files import FileRecord, RootRecord, Stamp

RECORD = FileRecord("talk.mp4", "inbox", 2**40, 1_700_000_000_123_456_789, first_seen=1.5, steady_since=2.5)


@pytest.fixture
def files(ledger):
    return ledger.files


def test_a_file_comes_back_as_it_was_written(files):
    files.write([RECORD])
    assert files.read() == {"talk.mp4": RECORD}
    assert files.find("talk.mp4") == RECORD
    assert files.find("other.mp4") is None


def test_a_file_that_is_written_again_replaces_what_was_known(files):
    files.write([RECORD])
    changed = replace(RECORD, size_bytes=7, why="TAKEN", missing_since=3.0)
    files.write([changed])
    assert files.read() == {"talk.mp4": changed}


def test_a_taken_file_is_known_in_the_state_in_which_it_was_handed_out(files):
    offered = Stamp(5, 6)
    record = replace(RECORD, offered_size_bytes=5, offered_mtime_ns=6, missing_since=1.0, retired_at=2.0)
    files.write([record])
    assert files.offered() == {"talk.mp4": offered}
    files.note_taken({"talk.mp4": offered, "unknown.mp4": offered})
    known = files.find("talk.mp4")
    assert known.taken == offered
    assert known.stamp == RECORD.stamp
    assert (known.offered, known.missing_since, known.retired_at) == (None, None, None)
    assert files.offered() == {}


def test_retired_and_forgotten_files(files):
    files.write([RECORD, replace(RECORD, key="b.mp4"), replace(RECORD, key="c.mp4")])
    files.note_retired(["talk.mp4"], now=9.0)
    files.write(forgotten=["b.mp4"])
    files.forget(["c.mp4", "never.mp4"])
    assert files.read() == {"talk.mp4": replace(RECORD, retired_at=9.0)}


def test_roots_come_back_with_their_mounts(files):
    seen = RootRecord("inbox", 3, 1.0, frozenset({"", "nas/müll"}))
    files.write(roots=[seen])
    files.write(roots=[seen, RootRecord("archive", 0, 2.0)])
    assert files.roots() == {"inbox": seen, "archive": RootRecord("archive", 0, 2.0)}


def test_what_one_look_writes_is_written_whole_or_not_at_all(files):
    files.write([RECORD])
    broken = replace(RECORD, key="b.mp4", root=None)
    with pytest.raises(Exception, match=r"(?i)not.null"):
        files.write([replace(RECORD, size_bytes=1), broken])
    assert files.read() == {"talk.mp4": RECORD}


def _write(home, number):
    open_ledger(home).files.write([replace(RECORD, key=f"{number}.mp4")])


def test_several_processes_write_to_a_file_at_the_same_time(home):
    context = get_context("spawn")
    writers = [context.Process(target=_write, args=(home, number)) for number in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert set(open_ledger(home).files.read()) == {"0.mp4", "1.mp4", "2.mp4"}


def test_files_that_are_there_as_they_were_taken_need_no_record(files):
    taken = replace(RECORD, why="TAKEN", taken_size_bytes=RECORD.size_bytes, taken_mtime_ns=RECORD.mtime_ns)
    others = {
        "changed.mp4": taken,
        "missing.mp4": taken,
        "back.mp4": replace(taken, missing_since=3.0),
        "retired.mp4": replace(taken, retired_at=3.0),
        "not taken.mp4": RECORD,
        "taken before.mp4": replace(taken, taken_size_bytes=1),
        "just taken.mp4": replace(taken, why="NEW"),
    }
    written = {key: replace(record, key=key) for key, record in others.items()}
    files.write([replace(taken, key="same.mp4"), *written.values()])
    there = dict.fromkeys([*written, "same.mp4", "new.mp4"], RECORD.stamp) | {"changed.mp4": Stamp(1, 2)}
    del there["missing.mp4"]
    records, unchanged = files.compare(there)
    assert unchanged == {"same.mp4"}
    assert records == written
