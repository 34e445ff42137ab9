import os
from shutil import copyfile, copytree

import pytest

from tests.library.subtitle_tracks import SAMPLE
from yivideo_pipeline.errors.tree import UnreadableMedia
from yivideo_pipeline.ledger.files import FileRecord, Stamp
from yivideo_pipeline.library.decisions import Reason
from yivideo_pipeline.library.ignore import NameRules
from yivideo_pipeline.library.scan import LocalListing


def keys(items):
    return [item.key for item in items]


class Stale(LocalListing):
    """Lists a folder, and has something happen to it before the list is read."""

    def __init__(self, folder, happens):
        super().__init__(folder, NameRules([".mp4"]))
        self._listed = super().scan()
        self._happens = happens

    def scan(self):
        self._happens()
        return self._listed


def quarantine(library, key, path):
    found = path.stat()
    failed = library.failures.note_failure(
        key, "audio", "run-1", UnreadableMedia("It breaks off", "Copy it"), 1
    )
    library.failures.quarantine(key, failed, found.st_size, found.st_mtime_ns)


def test_a_file_is_taken_when_it_stood_still_for_the_set_time(library):
    library.add("talk.mp4")
    first = library.scan()
    assert first.decisions["talk.mp4"].reason is Reason.SETTLING
    assert first.settled_in_s == 5.0
    assert library.scan(4.9).decisions["talk.mp4"].reason is Reason.SETTLING
    result = library.scan(0.1)
    assert result.take[0].path == library.inbox / "talk.mp4"
    assert str(result.take[0].decision) == "It is new and complete"


def test_an_old_time_on_a_file_does_not_make_it_settled(library):
    path = library.add("talk.mp4")
    os.utime(path, (1, 1))  # as cp -p leaves it
    assert library.scan().take == ()


def test_a_file_that_grows_waits_from_the_beginning_each_time(library):
    path = library.inbox / "talk.mp4"
    path.touch()
    content = SAMPLE.read_bytes()
    reasons = [library.scan().decisions["talk.mp4"].reason]
    for share in (0.3, 0.6, 1.0):
        path.write_bytes(content[: int(len(content) * share)])
        reasons.append(library.scan(6).decisions["talk.mp4"].reason)
    assert reasons == [Reason.SETTLING] * 4
    assert keys(library.scan(6).take) == ["talk.mp4"]


def test_what_was_offered_is_offered_again_until_it_is_confirmed(library):
    library.add("talk.mp4")
    first = library.settle()
    again = library.scan(1)
    assert [item.run_key for item in first.take] == [item.run_key for item in again.take]
    assert library.files.offered() == {"talk.mp4": again.take[0].stamp}
    library.take(again)
    assert library.scan(1).take == ()
    assert library.files.offered() == {}
    assert library.explain("talk.mp4").decision.reason is Reason.TAKEN


def test_a_file_that_changes_between_offering_and_confirming_is_taken_again(library):
    path = library.add("talk.mp4")
    offered = library.settle()
    with path.open("ab") as file:
        file.write(b"\0" * 100)
    library.scan(1)
    library.take(offered)
    assert library.settle().take[0].decision.reason is Reason.CHANGED


def test_a_file_changed_in_place_is_taken_again_when_it_settled(library):
    path = library.add("talk.mp4")
    library.take(library.settle())
    with path.open("ab") as file:
        file.write(b"\0" * 100)
    assert library.scan(1).decisions["talk.mp4"].reason is Reason.SETTLING
    item = library.scan(6).take[0]
    assert item.decision.action == "take_again"
    library.take(library.scan(1))
    assert library.scan(1).decisions["talk.mp4"].reason is Reason.TAKEN


def test_a_new_time_alone_makes_a_file_a_changed_one(library):
    path = library.add("talk.mp4")
    library.take(library.settle())
    os.utime(path, (1, 1))
    assert library.settle().take[0].decision.reason is Reason.CHANGED


def test_a_known_file_is_never_opened(library):
    path = library.add("talk.mp4")
    library.take(library.settle())
    found = path.stat()
    path.write_bytes(b"\0" * found.st_size)  # nothing that opens as media
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
    assert library.scan(6).decisions["talk.mp4"].reason is Reason.TAKEN


def test_a_file_is_opened_once_for_each_of_its_states(library):
    path = library.inbox / "talk.mp4"
    path.write_bytes(b"no media" * 1000)
    assert library.settle().decisions["talk.mp4"].reason is Reason.UNREADABLE
    found = path.stat()
    content = SAMPLE.read_bytes()
    path.write_bytes(content[: found.st_size])
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
    assert library.scan(6).decisions["talk.mp4"].reason is Reason.UNREADABLE
    path.write_bytes(content)
    assert keys(library.settle().take) == ["talk.mp4"]


@pytest.mark.parametrize(
    "happens",
    [lambda path: os.utime(path), lambda path: path.unlink(missing_ok=True)],
    ids=["written", "gone"],
)
def test_a_file_that_changes_after_it_was_listed_is_not_judged_by_what_it_is_now(library, happens):
    path = library.add("talk.mp4")
    listing = Stale(library.inbox, lambda: happens(path))
    for _ in range(2):
        result = library.watch_by(listing).scan(library.now)
        library.now += 6
    assert result.decisions["talk.mp4"].reason is Reason.SETTLING
    assert library.files.find("talk.mp4").facts == ""


@pytest.mark.parametrize(
    ("limits", "reason"),
    [({"min_size_bytes": 10**9}, Reason.TOO_SMALL), ({"max_duration_s": 10.0}, Reason.TOO_LONG)],
)
def test_what_is_too_small_or_too_long_is_skipped_until_the_setting_changes(library, limits, reason):
    library.add("talk.mp4")
    before = library.settings
    library.set(**limits)
    assert library.settle().decisions["talk.mp4"].reason is reason
    library.settings = before
    assert keys(library.scan(1).take) == ["talk.mp4"]


def test_a_video_without_sound_is_skipped(library):
    import av

    with av.open(str(SAMPLE)) as source, av.open(str(library.inbox / "mute.mp4"), "w") as output:
        seen = source.streams.video[0]
        picture = output.add_stream_from_template(seen)
        for packet in source.demux(seen):
            if packet.dts is not None:
                packet.stream = picture
                output.mux(packet)
    assert library.settle().decisions["mute.mp4"].reason is Reason.NO_SOUND


def test_no_more_is_offered_than_asked_for_first_come_first(library):
    library.add("b.mp4")
    library.scan()
    for name in ("a.mp4", "c.mp4"):
        library.add(name)
    result = library.settle(limit=2)
    assert keys(result.take) == ["b.mp4", "a.mp4"]
    assert result.decisions["c.mp4"].reason is Reason.QUEUED
    library.take(result)
    assert keys(library.scan(1, limit=2).take) == ["c.mp4"]


def test_a_moved_video_is_taken_under_its_new_name_though_its_subtitles_moved_along(library):
    path = library.add("talk.mp4")
    library.take(library.settle())
    (library.inbox / "2024").mkdir()
    path.rename(library.inbox / "2024" / "talk.mp4")
    (library.inbox / "2024" / "talk.en.srt").write_text("ours")
    result = library.settle()
    assert [str(item.decision) for item in result.take] == ["It is a known video that was moved (talk.mp4)"]
    assert result.decisions["talk.mp4"].reason is Reason.GONE


def test_a_copy_of_a_known_video_is_taken_with_the_copies_of_its_subtitles(library):
    library.add("talk/a.mp4")
    library.take(library.settle())
    (library.inbox / "talk" / "a.srt").write_text("ours")
    copytree(library.inbox / "talk", library.inbox / "copy")
    assert library.settle().take[0].decision.reason is Reason.COPIED


def test_a_deleted_video_keeps_its_partition_by_default(library):
    path = library.add("talk.mp4")
    library.add("other.mp4")
    library.take(library.settle())
    path.unlink()
    assert library.scan(1).decisions["talk.mp4"].reason is Reason.MISSED
    result = library.scan(6)
    assert result.decisions["talk.mp4"].reason is Reason.GONE
    assert result.retire == ()


def test_a_deleted_video_is_retired_once_where_the_settings_say_archive(library):
    library.set(deleted="archive")
    path = library.add("talk.mp4")
    library.add("other.mp4")
    library.take(library.settle())
    path.unlink()
    assert library.scan(1).retire == ()
    assert keys(library.scan(6).retire) == ["talk.mp4"]
    assert keys(library.scan(6).retire) == ["talk.mp4"]
    library.watch.note_retired(["talk.mp4"], library.now)
    result = library.scan(1)
    assert result.retire == ()
    assert result.decisions["talk.mp4"].reason is Reason.RETIRED


def test_a_deleted_video_that_is_there_again_is_taken(library):
    library.set(deleted="archive")
    path = library.add("talk.mp4")
    library.add("other.mp4")
    library.take(library.settle())
    path.rename(library.settings.home / "away.mp4")
    library.settle()
    library.watch.note_retired(["talk.mp4"], library.now)
    (library.settings.home / "away.mp4").rename(path)
    result = library.scan(1)
    assert result.take[0].decision.reason is Reason.BACK
    library.take(result)
    assert library.scan(1).decisions["talk.mp4"].reason is Reason.TAKEN


def test_a_video_that_is_back_within_a_second_is_another_occasion(library):
    library.set(deleted="archive", settle_s=0)
    path = library.add("talk.mp4")
    library.add("other.mp4")
    first = library.scan()
    library.take(first)
    path.rename(library.settings.home / "away.mp4")
    library.scan(0.1)
    library.scan(0.1)
    library.watch.note_retired(["talk.mp4"], library.now)
    (library.settings.home / "away.mp4").rename(path)
    (back,) = library.scan(0.1).take
    assert back.decision.reason is Reason.BACK
    assert back.run_key not in [item.run_key for item in first.take]


def test_a_video_that_is_away_for_one_scan_is_nothing_new(library):
    path = library.add("talk.mp4")
    library.add("other.mp4")
    library.take(library.settle())
    path.rename(library.settings.home / "away.mp4")
    library.scan(1)
    (library.settings.home / "away.mp4").rename(path)
    assert library.scan(1).decisions["talk.mp4"].reason is Reason.TAKEN
    path.unlink()
    assert library.scan(60).decisions["talk.mp4"].reason is Reason.MISSED


def test_a_file_that_never_was_taken_is_forgotten_when_it_is_gone(library):
    path = library.add("talk.mp4")
    library.scan()
    path.unlink()
    library.scan(1)
    assert library.files.read() == {}
    assert library.explain("talk.mp4").decision.reason is Reason.NO_FILE


def test_a_quarantined_video_waits_for_a_change_of_its_file(library):
    path = library.add("talk.mp4")
    library.take(library.settle())
    quarantine(library, "talk.mp4", path)
    assert str(library.scan(1).decisions["talk.mp4"]) == "It is quarantined for its failures (It breaks off)"
    with path.open("ab") as file:
        file.write(b"\0" * 100)
    result = library.settle()
    assert result.take[0].decision.reason is Reason.CHANGED_IN_QUARANTINE
    library.take(result)
    assert library.failures.quarantined() == {}
    assert library.scan(1).decisions["talk.mp4"].reason is Reason.TAKEN


def test_a_file_that_is_quarantined_before_it_counts_as_taken_stays_quarantined(library):
    path = library.add("talk.mp4")
    result = library.settle()
    quarantine(library, "talk.mp4", path)
    library.take(result)
    assert library.scan(1).decisions["talk.mp4"].reason is Reason.QUARANTINED


def test_a_forgotten_file_is_taken_as_if_it_were_new(library):
    library.add("talk.mp4")
    library.take(library.settle())
    library.files.forget(["talk.mp4"])
    assert keys(library.settle().take) == ["talk.mp4"]


def test_a_clock_that_is_set_back_keeps_no_file_waiting(library):
    library.add("talk.mp4")
    library.scan()
    library.now -= 100_000
    assert library.scan().decisions["talk.mp4"].reason is Reason.SETTLING
    assert keys(library.scan(5).take) == ["talk.mp4"]


def test_nothing_is_written_about_unchanged_files(library):
    library.add("talk.mp4")
    library.take(library.settle())
    library.scan(1)
    before = library.files.read()
    assert library.scan(1).changes == {}
    assert library.files.read() == before


def test_an_explanation_is_what_the_next_scan_decides_and_nothing_is_remembered(library):
    library.add("talk.mp4")
    for after_s in (0, 1, 6):
        library.now += after_s
        before = library.files.read()
        answer = library.explain("talk.mp4")
        assert library.files.read() == before
        assert library.scan().decisions["talk.mp4"] == answer.decision


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("notes.txt", Reason.OTHER_ENDING),
        ("talk.mp4.part", Reason.TEMPORARY),
        ("nowhere.mp4", Reason.NO_FILE),
        ("folder.mp4", Reason.NO_REGULAR_FILE),
        ("pipe.mp4", Reason.NO_REGULAR_FILE),
        ("link/talk.mp4", Reason.LINKED),
        ("..", Reason.OUTSIDE),
        ("", Reason.NO_REGULAR_FILE),
    ],
)
def test_files_that_no_scan_lists_are_explained_too(library, name, reason):
    (library.inbox / "folder.mp4").mkdir()
    (library.inbox / "link").symlink_to(library.inbox / "folder.mp4")
    os.mkfifo(library.inbox / "pipe.mp4")
    library.add("folder.mp4/talk.mp4")
    assert library.explain(name).decision.reason is reason


def test_our_own_folders_below_a_root_are_not_searched(library):
    home = library.settings.home
    library.set(roots={"all": home})
    sound = home / "artifacts" / "videos" / "x" / "sound.wav"
    sound.parent.mkdir(parents=True)
    copyfile(SAMPLE, sound)
    result = library.settle()
    assert result.take == ()
    assert result.counts[Reason.OWN_FOLDER] == 1
    assert library.watch.explain(sound).decision.reason is Reason.OWN_FOLDER


def test_a_file_in_a_root_inside_another_belongs_to_the_inner_one(library):
    library.set(roots={"inbox": library.inbox, "archive": library.inbox / "archive"})
    library.add("talk.mp4")
    library.add("archive/old.mp4")
    result = library.settle()
    assert keys(result.take) == ["archive:old.mp4", "talk.mp4"]
    assert [item.root for item in result.take] == ["archive", "inbox"]


def test_a_folder_that_becomes_a_root_of_its_own_moves_its_videos(library):
    library.add("archive/old.mp4")
    library.add("talk.mp4")
    library.take(library.settle())
    library.set(roots={"inbox": library.inbox, "archive": library.inbox / "archive"})
    result = library.settle()
    assert [(item.key, item.decision.reason) for item in result.take] == [("archive:old.mp4", Reason.MOVED)]
    assert result.decisions["archive/old.mp4"].reason is Reason.GONE


def test_videos_of_a_root_that_left_the_settings_are_left_alone(library):
    archive = library.inbox.with_name("archive")
    library.set(roots={"inbox": library.inbox, "archive": archive}, deleted="archive")
    archive.mkdir()
    copyfile(SAMPLE, archive / "old.mp4")
    library.add("talk.mp4")
    library.take(library.settle())
    library.set(roots={"inbox": library.inbox})
    result = library.settle()
    assert (result.retire, result.alerts) == ((), ())
    assert set(result.decisions) == {"talk.mp4"}


def test_a_root_may_be_a_link(library):
    library.add("talk.mp4")
    link = library.settings.home / "link"
    link.symlink_to(library.inbox)
    library.set(roots={"inbox": link})
    assert library.settle().take[0].path == link / "talk.mp4"


def test_a_link_to_a_video_is_a_video(library):
    library.add("real/talk.mp4").rename(library.settings.home / "real.mp4")
    (library.inbox / "linked.mp4").symlink_to(library.settings.home / "real.mp4")
    assert keys(library.settle().take) == ["linked.mp4"]


def test_a_loop_of_links_ends(library):
    library.add("a/talk.mp4")
    (library.inbox / "a" / "loop").symlink_to(library.inbox)
    assert keys(library.settle().take) == ["a/talk.mp4"]


def test_a_name_that_is_not_utf_8_is_taken_and_known(library):
    copyfile(SAMPLE, os.fsencode(library.inbox) + b"/caf\xe9.mp4")
    result = library.settle()
    assert keys(result.take) == ["caf%E9.mp4"]
    library.take(result)
    assert library.explain("caf\udce9.mp4").decision.reason is Reason.TAKEN


def test_the_stamp_of_an_item_is_that_of_its_file(library):
    found = library.add("talk.mp4").stat()
    assert library.settle().take[0].stamp == Stamp(found.st_size, found.st_mtime_ns)


def test_what_a_user_has_processed_is_not_taken_until_it_changes(library):
    target = library.add("talk.mp4")
    library.watch.note_launched("talk.mp4", library.now)
    assert library.settle().take == ()
    assert library.explain("talk.mp4").decision.reason is Reason.TAKEN
    target.write_bytes(target.read_bytes() + b"more")
    assert [item.decision.reason for item in library.settle().take] == [Reason.CHANGED]


def test_what_a_user_launches_during_a_scan_stays_known(library):
    library.add("talk.mp4")
    records = [FileRecord("talk.mp4", "inbox", 5, 6, first_seen=1.0, steady_since=1.0)]
    library.watch.note_launched("talk.mp4", library.now)
    library.files.write(records)  # as a scan that has read the ledger before
    assert library.settle().take == ()


@pytest.mark.parametrize("key", ["/elsewhere/talk.mp4", "gone:talk.mp4", "missing.mp4", ".hidden/talk.mp4"])
def test_launches_of_what_no_scan_finds_are_not_noted(library, key):
    library.add(".hidden/talk.mp4")
    library.watch.note_launched(key, library.now)
    assert library.files.read() == {}
