import pytest

from yivideo_pipeline.storage.artifacts import Storage
from yivideo_pipeline.storage.edits import EditConflict, EditedCue, Edits

VIDEO = "a1" * 32
CUES = [EditedCue(0, 900, "First line\nsecond — 第二"), EditedCue(1000, 2000, "</script>")]


@pytest.fixture
def edits(tmp_path):
    return Edits(Storage(tmp_path / "storage"))


def test_what_was_saved_is_read_as_it_was_typed(edits):
    saved = edits.save(VIDEO, "en", CUES, over=0, by="127.0.0.1", based_on="c0ffee")
    assert saved.version == 1
    assert edits.active(VIDEO, "en") == saved
    assert edits.active(VIDEO, "en").cues == tuple(CUES)


def test_every_version_is_kept(edits):
    first = edits.save(VIDEO, "en", CUES, over=0)
    second = edits.save(VIDEO, "en", CUES[:1], over=1)
    assert edits.find(VIDEO, "en", 1) == first
    assert edits.find(VIDEO, "en", 2) == second == edits.latest(VIDEO, "en")
    assert edits.find(VIDEO, "en", 3) is None


def test_saving_over_a_version_that_is_not_the_latest_is_refused(edits):
    edits.save(VIDEO, "en", CUES, over=0)
    theirs = edits.save(VIDEO, "en", CUES[:1], over=1)
    with pytest.raises(EditConflict) as refused:
        edits.save(VIDEO, "en", CUES[1:], over=1)
    assert refused.value.current == theirs
    assert edits.latest(VIDEO, "en") == theirs


def test_going_back_to_the_machines_is_a_version_and_loses_none(edits):
    first = edits.save(VIDEO, "en", CUES, over=0)
    edits.save(VIDEO, "en", None, over=1)
    assert edits.active(VIDEO, "en") is None
    assert edits.latest(VIDEO, "en").version == 2
    assert edits.find(VIDEO, "en", 1) == first


def test_all_cues_deleted_is_not_the_machines_version(edits):
    edits.save(VIDEO, "en", [], over=0)
    assert edits.active(VIDEO, "en").cues == ()


def test_languages_and_videos_stay_apart(edits):
    edits.save(VIDEO, "zh", CUES, over=0)
    assert edits.latest(VIDEO, "en") is None
    assert edits.latest("b2" * 32, "zh") is None


def test_edits_are_kept_on_a_remote_root_too(tmp_path):
    edits = Edits(Storage("memory://edits-of-test", tmp_path))
    saved = edits.save(VIDEO, "en", CUES, over=0)
    assert edits.active(VIDEO, "en") == saved


@pytest.mark.parametrize("damage", [b"", b'{"version": 2, "cu', b"[]", b'{"version": 2}'])
def test_where_the_latest_version_is_damaged_the_one_before_it_counts(edits, tmp_path, damage):
    first = edits.save(VIDEO, "en", CUES, over=0)
    edits.save(VIDEO, "en", CUES[:1], over=1)
    folder = tmp_path / "storage" / "edits" / VIDEO / "en"
    (folder / "current.json").write_bytes(damage)
    assert edits.latest(VIDEO, "en").version == 2
    (folder / "2.json").write_bytes(damage)
    assert edits.active(VIDEO, "en") == first
    assert edits.save(VIDEO, "en", CUES[1:], over=1) == edits.latest(VIDEO, "en")
