from yivideo_pipeline.plurals import plural


def test_a_noun_is_in_the_plural_for_all_but_one():
    assert [plural(0, "video"), plural(1, "video"), plural(2, "video")] == ["0 videos", "1 video", "2 videos"]
    assert [plural(1, "entry", "entries"), plural(2, "entry", "entries")] == ["1 entry", "2 entries"]
