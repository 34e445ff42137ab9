from yivideo_pipeline.defs.sensors.new_videos import LINES, describe_changes, summarize_scan
from yivideo_pipeline.library.decisions import Decision, Reason
from yivideo_pipeline.library.outcome import ScanResult, WatchAlert


def scan_of(decisions=None, known=0, alerts=()):
    """A scan in which all that is not known has changed."""
    decisions = decisions or {}
    counts = {reason: sum(one.reason is reason for one in decisions.values()) for reason in Reason}
    counts[Reason.TAKEN] += known
    return ScanResult((), (), decisions, decisions, counts, tuple(alerts))


def test_each_decision_that_is_new_has_a_line_with_its_reason():
    news = {
        "b.mp4": Decision(Reason.TOO_SMALL, "3 of 1024 bytes"),
        "a.mp4": Decision(Reason.CHANGED),
    }
    assert list(describe_changes(scan_of(news)))[:2] == [
        "a.mp4: to be made again. The file was changed after it was taken.",
        "b.mp4: skipped. It is smaller than library.min_size_bytes (3 of 1024 bytes).",
    ]


def test_of_many_only_the_first_have_a_line_and_the_others_are_counted():
    news = {f"{number}.mp4": Decision(Reason.SETTLING) for number in range(LINES + 150)}
    lines = list(describe_changes(scan_of(news)))
    assert len(lines) == LINES + 2
    assert lines[LINES].startswith("150 more waiting. It may still be written")


def test_what_is_done_comes_before_what_is_not():
    news = {f"{number}.mp4": Decision(Reason.TOO_SMALL) for number in range(LINES)}
    first, *_ = describe_changes(scan_of({**news, "z.mp4": Decision(Reason.NEW)}))
    assert first.startswith("z.mp4: to be made.")


def test_where_nothing_is_new_there_is_no_line_and_the_sum_has_all():
    quiet = scan_of(known=20_000)
    assert list(describe_changes(quiet)) == []
    assert summarize_scan(quiet) == "Nothing to be made. 20,000 known"
    assert summarize_scan(scan_of()) == "Nothing to be made. There is no video in the library"


def test_what_a_user_should_look_at_comes_first():
    gone = WatchAlert("inbox", Decision(Reason.ROOT_GONE), 3)
    assert summarize_scan(scan_of(alerts=[gone])).startswith("Library root 'inbox': Its root does not exist")
