"""`yivideo forget` on real files, with the real ledger, storage and Dagster's instance."""

from shutil import copyfile

import pytest

from tests.cli.command import SAMPLES, call, settings
from yivideo_pipeline.defs.instance import open_instance
from yivideo_pipeline.ledger import open_ledger
from yivideo_pipeline.library.decisions import Reason
from yivideo_pipeline.library.watch import open_watch
from yivideo_pipeline.settings.load import load_settings
from yivideo_pipeline.stages import VIDEOS
from yivideo_pipeline.storage.artifacts import Storage
from yivideo_pipeline.storage.edits import EditedCue, Edits

NOW = 1_800_000_000.0


@pytest.fixture
def environment(home, model_dir):
    return settings(home, model_dir, YIVIDEO_LIBRARY__SETTLE_S="0")


@pytest.fixture
def watch(home, environment):
    """The watch on the library; a scan takes what is new, as the sensor does."""
    chosen = load_settings(None, environment)
    return open_watch(chosen, open_ledger(home), Storage(home / "artifacts"))


def reasons(scan) -> dict[str, Reason]:
    return {key: decision.reason for key, decision in scan.decisions.items()}


def test_a_file_of_the_library_is_forgotten_until_it_changes(home, environment, watch):
    inbox = home / "inbox"
    inbox.mkdir()
    for name in ("talk.mp4", "other.mp4"):
        copyfile(SAMPLES / "harbour-15s.mp4", inbox / name)
    watch.note_taken({item.key: item.stamp for item in watch.scan(NOW).take})
    ended = call(environment, "forget", inbox / "talk.mp4")
    assert (ended.returncode, ended.stdout.splitlines()[0]) == (0, "forgotten: talk.mp4")
    assert reasons(watch.scan(NOW + 5)) == {"talk.mp4": Reason.FORGOTTEN, "other.mp4": Reason.TAKEN}

    (inbox / "talk.mp4").write_bytes((SAMPLES / "harbour-15s.mp4").read_bytes()[:-1])
    assert reasons(watch.scan(NOW + 10))["talk.mp4"] is Reason.CHANGED
    assert call(environment, "forget", "talk.mp4").returncode == 0
    watch.note_launched("talk.mp4")
    assert reasons(watch.scan(NOW + 15))["talk.mp4"] is Reason.TAKEN, "a user wants it again"

    assert call(environment, "forget", "talk.mp4").returncode == 0
    (inbox / "talk.mp4").unlink()
    watch.scan(NOW + 20)
    assert open_ledger(home).files.find("talk.mp4") is None


def test_a_file_that_is_no_video_leaves_the_quarantine_and_stays_on_disk(home, environment):
    (home / "inbox").mkdir()
    mistake = home / "inbox" / "talk.srt"
    mistake.write_text("1\n00:00:01,000 --> 00:00:02,000\nHello\n")
    assert call(environment, "process", mistake).returncode == 1
    assert list(open_ledger(home).failures.quarantined()) == ["talk.srt"]
    assert call(environment, "forget", mistake).returncode == 0
    assert not open_ledger(home).failures.quarantined()
    assert mistake.is_file()
    ended = call(environment, "forget", mistake)
    assert ended.returncode == 2
    assert f"Nothing is known of {mistake}" in ended.stderr


@pytest.mark.model
def test_results_are_removed_that_no_other_video_shares_and_edits_stay(home, environment, tiny_weights):
    (home / "inbox").mkdir()
    names = ("one.mp4", "copy.mp4")
    for name in names:
        copyfile(SAMPLES / "harbour-15s.mp4", home / "inbox" / name)
    assert call(environment, "process", home / "inbox").returncode == 0
    storage = Storage(home / "artifacts")
    made = storage.find_latest("one.mp4", "subtitles")
    Edits(storage).save(made.video_hash, "en", [EditedCue(0, 900, "Mine")], over=0)
    with open_instance(home) as instance:
        assert set(instance.get_dynamic_partitions(VIDEOS)) == set(names)

    call(environment, "forget", "one.mp4", "--results")
    assert storage.find_latest("one.mp4", "subtitles") is None
    assert storage.find_latest("copy.mp4", "subtitles") is not None, "it has the same content"
    call(environment, "forget", "copy.mp4", "--results")
    assert not list((home / "artifacts" / "videos").iterdir())
    assert Edits(storage).latest(made.video_hash, "en").version == 1
    assert (home / "inbox" / "one.en.srt").is_file()
    with open_instance(home) as instance:
        assert not instance.get_dynamic_partitions(VIDEOS)
