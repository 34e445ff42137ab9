import os
from shutil import copyfile, copytree

import pytest
from make_tracks import SAMPLE

from yivideo_pipeline.errors.tree import UnreadableMedia
from yivideo_pipeline.ledger.files import Stamp
from yivideo_pipeline.library.decisions import Why
from yivideo_pipeline.library.ignore import NameRules
from yivideo_pipeline.library.scan import LocalListing
from yivideo_pipeline.library.watch import Watch


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


def set_aside(shelf, key, path):
    found = path.stat()
    failed = shelf.failures.note_failure(
        key, "audio", "run-1", UnreadableMedia("It breaks off", "Copy it"), 1
    )
    shelf.failures.quarantine(key, failed, found.st_size, found.st_mtime_ns)


def test_a_file_is_taken_when_it_stood_still_for_the_set_time(shelf):
    shelf.add("talk.mp4")
    assert shelf.look().decisions["talk.mp4"].why is Why.SETTLING
    assert shelf.look(4.9).decisions["talk.mp4"].why is Why.SETTLING
    look = shelf.look(0.1)
    assert look.take[0].path == shelf.inbox / "talk.mp4"
    assert str(look.take[0].decision) == "It is new and complete"


def test_an_old_time_on_a_file_does_not_make_it_settled(shelf):
    path = shelf.add("talk.mp4")
    os.utime(path, (1, 1))  # as cp -p leaves it
    assert shelf.look().take == ()


def test_a_file_that_grows_waits_from_the_beginning_each_time(shelf):
    path = shelf.inbox / "talk.mp4"
    path.touch()
    content = SAMPLE.read_bytes()
    whys = [shelf.look().decisions["talk.mp4"].why]
    for share in (0.3, 0.6, 1.0):
        path.write_bytes(content[: int(len(content) * share)])
        whys.append(shelf.look(6).decisions["talk.mp4"].why)
    assert whys == [Why.SETTLING] * 4
    assert keys(shelf.look(6).take) == ["talk.mp4"]


def test_what_was_handed_out_is_handed_out_again_until_it_is_confirmed(shelf):
    shelf.add("talk.mp4")
    first = shelf.settle()
    again = shelf.look(1)
    assert [item.run_key for item in first.take] == [item.run_key for item in again.take]
    assert shelf.files.offered() == {"talk.mp4": again.take[0].stamp}
    shelf.take(again)
    assert shelf.look(1).take == ()
    assert shelf.files.offered() == {}
    assert shelf.why("talk.mp4").decision.why is Why.TAKEN


def test_a_file_that_changes_between_handing_out_and_confirming_is_taken_again(shelf):
    path = shelf.add("talk.mp4")
    handed_out = shelf.settle()
    with path.open("ab") as file:
        file.write(b"\0" * 100)
    shelf.look(1)
    shelf.take(handed_out)
    assert shelf.settle().take[0].decision.why is Why.CHANGED


def test_a_file_changed_in_place_is_taken_again_when_it_settled(shelf):
    path = shelf.add("talk.mp4")
    shelf.take(shelf.settle())
    with path.open("ab") as file:
        file.write(b"\0" * 100)
    assert shelf.look(1).decisions["talk.mp4"].why is Why.SETTLING
    item = shelf.look(6).take[0]
    assert item.decision.action == "take_again"
    shelf.take(shelf.look(1))
    assert shelf.look(1).decisions["talk.mp4"].why is Why.TAKEN


def test_a_new_time_alone_makes_a_file_a_changed_one(shelf):
    path = shelf.add("talk.mp4")
    shelf.take(shelf.settle())
    os.utime(path, (1, 1))
    assert shelf.settle().take[0].decision.why is Why.CHANGED


def test_a_known_file_is_never_opened(shelf):
    path = shelf.add("talk.mp4")
    shelf.take(shelf.settle())
    found = path.stat()
    path.write_bytes(b"\0" * found.st_size)  # nothing that opens as media
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
    assert shelf.look(6).decisions["talk.mp4"].why is Why.TAKEN


def test_a_file_is_opened_once_for_each_of_its_states(shelf):
    path = shelf.inbox / "talk.mp4"
    path.write_bytes(b"no media" * 1000)
    assert shelf.settle().decisions["talk.mp4"].why is Why.UNREADABLE
    found = path.stat()
    content = SAMPLE.read_bytes()
    path.write_bytes(content[: found.st_size])
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
    assert shelf.look(6).decisions["talk.mp4"].why is Why.UNREADABLE
    path.write_bytes(content)
    assert keys(shelf.settle().take) == ["talk.mp4"]


@pytest.mark.parametrize(
    "happens",
    [lambda path: os.utime(path), lambda path: path.unlink(missing_ok=True)],
    ids=["written", "gone"],
)
def test_a_file_that_changes_after_it_was_listed_is_not_judged_by_what_it_is_now(shelf, happens):
    path = shelf.add("talk.mp4")
    listings = {"inbox": Stale(shelf.inbox, lambda: happens(path))}
    for _ in range(2):
        look = Watch(shelf.settings, shelf.files, shelf.failures, shelf.storage, listings).look(shelf.now)
        shelf.now += 6
    assert look.decisions["talk.mp4"].why is Why.SETTLING
    assert shelf.files.find("talk.mp4").facts == ""


@pytest.mark.parametrize(
    ("library", "why"),
    [({"min_size_bytes": 10**9}, Why.TOO_SMALL), ({"max_duration_s": 10.0}, Why.TOO_LONG)],
)
def test_what_is_too_small_or_too_long_is_passed_over_until_the_setting_changes(shelf, library, why):
    shelf.add("talk.mp4")
    before = shelf.settings
    shelf.set(**library)
    assert shelf.settle().decisions["talk.mp4"].why is why
    shelf.settings = before
    assert keys(shelf.look(1).take) == ["talk.mp4"]


def test_a_video_without_sound_is_passed_over(shelf):
    import av

    with av.open(str(SAMPLE)) as source, av.open(str(shelf.inbox / "mute.mp4"), "w") as output:
        seen = source.streams.video[0]
        picture = output.add_stream_from_template(seen)
        for packet in source.demux(seen):
            if packet.dts is not None:
                packet.stream = picture
                output.mux(packet)
    assert shelf.settle().decisions["mute.mp4"].why is Why.NO_SOUND


def test_no_more_is_handed_out_than_asked_for_first_come_first(shelf):
    shelf.add("b.mp4")
    shelf.look()
    for name in ("a.mp4", "c.mp4"):
        shelf.add(name)
    look = shelf.settle(limit=2)
    assert keys(look.take) == ["b.mp4", "a.mp4"]
    assert look.decisions["c.mp4"].why is Why.QUEUED
    shelf.take(look)
    assert keys(shelf.look(1, limit=2).take) == ["c.mp4"]


def test_a_moved_video_is_taken_under_its_new_name_though_its_subtitles_moved_along(shelf):
    path = shelf.add("talk.mp4")
    shelf.take(shelf.settle())
    (shelf.inbox / "2024").mkdir()
    path.rename(shelf.inbox / "2024" / "talk.mp4")
    (shelf.inbox / "2024" / "talk.en.srt").write_text("ours")
    look = shelf.settle()
    assert [str(item.decision) for item in look.take] == ["It is a known video that was moved (talk.mp4)"]
    assert look.decisions["talk.mp4"].why is Why.GONE


def test_a_copy_of_a_known_video_is_taken_with_the_copies_of_its_subtitles(shelf):
    shelf.add("talk/a.mp4")
    shelf.take(shelf.settle())
    (shelf.inbox / "talk" / "a.srt").write_text("ours")
    copytree(shelf.inbox / "talk", shelf.inbox / "copy")
    assert shelf.settle().take[0].decision.why is Why.COPIED


def test_a_deleted_video_keeps_its_partition_by_default(shelf):
    path = shelf.add("talk.mp4")
    shelf.add("other.mp4")
    shelf.take(shelf.settle())
    path.unlink()
    assert shelf.look(1).decisions["talk.mp4"].why is Why.MISSED
    look = shelf.look(6)
    assert look.decisions["talk.mp4"].why is Why.GONE
    assert look.retire == ()


def test_a_deleted_video_is_retired_once_where_the_settings_say_archive(shelf):
    shelf.set(deleted="archive")
    path = shelf.add("talk.mp4")
    shelf.add("other.mp4")
    shelf.take(shelf.settle())
    path.unlink()
    assert shelf.look(1).retire == ()
    assert keys(shelf.look(6).retire) == ["talk.mp4"]
    assert keys(shelf.look(6).retire) == ["talk.mp4"]
    shelf.watch.note_retired(["talk.mp4"], shelf.now)
    look = shelf.look(1)
    assert look.retire == ()
    assert look.decisions["talk.mp4"].why is Why.RETIRED


def test_a_deleted_video_that_is_there_again_is_taken(shelf):
    shelf.set(deleted="archive")
    path = shelf.add("talk.mp4")
    shelf.add("other.mp4")
    shelf.take(shelf.settle())
    path.rename(shelf.settings.home / "away.mp4")
    shelf.settle()
    shelf.watch.note_retired(["talk.mp4"], shelf.now)
    (shelf.settings.home / "away.mp4").rename(path)
    look = shelf.look(1)
    assert look.take[0].decision.why is Why.BACK
    shelf.take(look)
    assert shelf.look(1).decisions["talk.mp4"].why is Why.TAKEN


def test_a_video_that_is_back_within_a_second_is_another_occasion(shelf):
    shelf.set(deleted="archive", settle_s=0)
    path = shelf.add("talk.mp4")
    shelf.add("other.mp4")
    first = shelf.look()
    shelf.take(first)
    path.rename(shelf.settings.home / "away.mp4")
    shelf.look(0.1)
    shelf.look(0.1)
    shelf.watch.note_retired(["talk.mp4"], shelf.now)
    (shelf.settings.home / "away.mp4").rename(path)
    (back,) = shelf.look(0.1).take
    assert back.decision.why is Why.BACK
    assert back.run_key not in [item.run_key for item in first.take]


def test_a_video_that_is_away_for_one_look_is_nothing_new(shelf):
    path = shelf.add("talk.mp4")
    shelf.add("other.mp4")
    shelf.take(shelf.settle())
    path.rename(shelf.settings.home / "away.mp4")
    shelf.look(1)
    (shelf.settings.home / "away.mp4").rename(path)
    assert shelf.look(1).decisions["talk.mp4"].why is Why.TAKEN
    path.unlink()
    assert shelf.look(60).decisions["talk.mp4"].why is Why.MISSED


def test_a_file_that_never_was_taken_is_forgotten_when_it_is_gone(shelf):
    path = shelf.add("talk.mp4")
    shelf.look()
    path.unlink()
    shelf.look(1)
    assert shelf.files.read() == {}
    assert shelf.why("talk.mp4").decision.why is Why.NO_FILE


def test_a_video_that_was_set_aside_waits_for_a_change_of_its_file(shelf):
    path = shelf.add("talk.mp4")
    shelf.take(shelf.settle())
    set_aside(shelf, "talk.mp4", path)
    assert str(shelf.look(1).decisions["talk.mp4"]) == "It was set aside for its failures (It breaks off)"
    with path.open("ab") as file:
        file.write(b"\0" * 100)
    look = shelf.settle()
    assert look.take[0].decision.why is Why.CHANGED_ASIDE
    shelf.take(look)
    assert shelf.failures.quarantined() == {}
    assert shelf.look(1).decisions["talk.mp4"].why is Why.TAKEN


def test_a_run_that_fails_before_its_file_counts_as_taken_stays_set_aside(shelf):
    path = shelf.add("talk.mp4")
    look = shelf.settle()
    set_aside(shelf, "talk.mp4", path)
    shelf.take(look)
    assert shelf.look(1).decisions["talk.mp4"].why is Why.SET_ASIDE


def test_a_forgotten_file_is_taken_as_if_it_were_new(shelf):
    shelf.add("talk.mp4")
    shelf.take(shelf.settle())
    shelf.files.forget(["talk.mp4"])
    assert keys(shelf.settle().take) == ["talk.mp4"]


def test_a_clock_that_is_put_back_keeps_no_file_waiting(shelf):
    shelf.add("talk.mp4")
    shelf.look()
    shelf.now -= 100_000
    assert shelf.look().decisions["talk.mp4"].why is Why.SETTLING
    assert keys(shelf.look(5).take) == ["talk.mp4"]


def test_nothing_is_written_of_files_that_are_as_they_were(shelf):
    shelf.add("talk.mp4")
    shelf.take(shelf.settle())
    shelf.look(1)
    before = shelf.files.read()
    assert shelf.look(1).news == {}
    assert shelf.files.read() == before


def test_why_gives_the_answer_of_the_next_look_and_remembers_nothing(shelf):
    shelf.add("talk.mp4")
    for after_s in (0, 1, 6):
        shelf.now += after_s
        before = shelf.files.read()
        answer = shelf.why("talk.mp4")
        assert shelf.files.read() == before
        assert shelf.look().decisions["talk.mp4"] == answer.decision


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("notes.txt", Why.OTHER_ENDING),
        ("talk.mp4.part", Why.TEMPORARY),
        ("nowhere.mp4", Why.NO_FILE),
        ("folder.mp4", Why.NO_REGULAR_FILE),
        ("pipe.mp4", Why.NO_REGULAR_FILE),
        ("link/talk.mp4", Why.LINKED),
        ("..", Why.OUTSIDE),
        ("", Why.NO_REGULAR_FILE),
    ],
)
def test_why_has_an_answer_for_what_no_look_shows(shelf, name, why):
    (shelf.inbox / "folder.mp4").mkdir()
    (shelf.inbox / "link").symlink_to(shelf.inbox / "folder.mp4")
    os.mkfifo(shelf.inbox / "pipe.mp4")
    shelf.add("folder.mp4/talk.mp4")
    assert shelf.why(name).decision.why is why


def test_our_own_folders_below_a_root_are_not_looked_into(shelf):
    home = shelf.settings.home
    shelf.set(roots={"all": home})
    sound = home / "artifacts" / "videos" / "x" / "sound.wav"
    sound.parent.mkdir(parents=True)
    copyfile(SAMPLE, sound)
    look = shelf.settle()
    assert look.take == ()
    assert look.counts[Why.OURS] == 1
    assert shelf.watch.why(sound).decision.why is Why.OURS


def test_a_file_in_a_root_inside_another_belongs_to_the_inner_one(shelf):
    shelf.set(roots={"inbox": shelf.inbox, "archive": shelf.inbox / "archive"})
    shelf.add("talk.mp4")
    shelf.add("archive/old.mp4")
    look = shelf.settle()
    assert keys(look.take) == ["archive:old.mp4", "talk.mp4"]
    assert [item.root for item in look.take] == ["archive", "inbox"]


def test_a_folder_that_becomes_a_root_of_its_own_moves_its_videos(shelf):
    shelf.add("archive/old.mp4")
    shelf.add("talk.mp4")
    shelf.take(shelf.settle())
    shelf.set(roots={"inbox": shelf.inbox, "archive": shelf.inbox / "archive"})
    look = shelf.settle()
    assert [(item.key, item.decision.why) for item in look.take] == [("archive:old.mp4", Why.MOVED)]
    assert look.decisions["archive/old.mp4"].why is Why.GONE


def test_videos_of_a_root_that_left_the_settings_are_left_alone(shelf):
    archive = shelf.inbox.with_name("archive")
    shelf.set(roots={"inbox": shelf.inbox, "archive": archive}, deleted="archive")
    archive.mkdir()
    copyfile(SAMPLE, archive / "old.mp4")
    shelf.add("talk.mp4")
    shelf.take(shelf.settle())
    shelf.set(roots={"inbox": shelf.inbox})
    look = shelf.settle()
    assert (look.retire, look.alerts) == ((), ())
    assert set(look.decisions) == {"talk.mp4"}


def test_a_root_may_be_a_link(shelf):
    shelf.add("talk.mp4")
    link = shelf.settings.home / "link"
    link.symlink_to(shelf.inbox)
    shelf.set(roots={"inbox": link})
    assert shelf.settle().take[0].path == link / "talk.mp4"


def test_a_link_to_a_video_is_a_video(shelf):
    shelf.add("real/talk.mp4").rename(shelf.settings.home / "real.mp4")
    (shelf.inbox / "linked.mp4").symlink_to(shelf.settings.home / "real.mp4")
    assert keys(shelf.settle().take) == ["linked.mp4"]


def test_a_loop_of_links_ends(shelf):
    shelf.add("a/talk.mp4")
    (shelf.inbox / "a" / "loop").symlink_to(shelf.inbox)
    assert keys(shelf.settle().take) == ["a/talk.mp4"]


def test_a_name_that_is_no_utf8_is_taken_and_known(shelf):
    copyfile(SAMPLE, os.fsencode(shelf.inbox) + b"/caf\xe9.mp4")
    look = shelf.settle()
    assert keys(look.take) == ["caf%E9.mp4"]
    shelf.take(look)
    assert shelf.why("caf\udce9.mp4").decision.why is Why.TAKEN


def test_the_stamp_of_an_item_is_that_of_its_file(shelf):
    found = shelf.add("talk.mp4").stat()
    assert shelf.settle().take[0].stamp == Stamp(found.st_size, found.st_mtime_ns)
