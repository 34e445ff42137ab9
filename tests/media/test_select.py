import pytest

from yivideo_pipeline.errors.tree import NoAudioStream
from yivideo_pipeline.media.probe import MediaInfo, StreamInfo, choose_audio_stream, normalize_language


def audio(index, **fields):
    return StreamInfo(index=index, kind="audio", codec=fields.pop("codec", "aac"), **fields)


def choose(streams, language="auto"):
    info = MediaInfo(container="mkv", duration_s=1, size_bytes=1, bit_rate=None, streams=tuple(streams))
    return choose_audio_stream(info, language).index


def test_the_wanted_language_goes_before_the_default_flag():
    assert choose([audio(0, language="eng", default=True), audio(1, language="chi")], "zh") == 1


def test_the_default_flag_goes_before_the_number_of_channels():
    assert choose([audio(0, channels=6), audio(1, channels=2, default=True)]) == 1


def test_the_number_of_channels_goes_before_the_order():
    assert choose([audio(0, channels=2), audio(1, channels=6), audio(2, channels=6)]) == 1


def test_a_language_that_no_stream_has_leaves_the_choice_to_the_flags():
    assert choose([audio(0, language="eng"), audio(1, language="fra", default=True)], "de") == 1


def test_no_preference_ignores_languages():
    assert choose([audio(0, language="auto"), audio(1, default=True)], "auto") == 1


def test_a_commentary_comes_last_even_in_the_wanted_language():
    by_flag = audio(0, language="eng", comment=True, default=True, channels=6)
    by_title = audio(1, language="eng", title="Director's Commentary", default=True)
    assert choose([by_flag, by_title, audio(2, language="fra")], "en") == 2


def test_a_commentary_alone_is_chosen():
    assert choose([audio(3, comment=True)]) == 3


def test_a_stream_without_a_decoder_is_chosen_only_if_there_is_no_other():
    assert choose([audio(0, codec="unknown", default=True), audio(1)]) == 1
    assert choose([audio(0, codec="unknown")]) == 0


def test_a_video_without_sound_is_told_so():
    with pytest.raises(NoAudioStream, match="no audio track"):
        choose([StreamInfo(index=0, kind="video", codec="h264")])


@pytest.mark.parametrize(
    ("short", "forms"),
    [
        ("en", ["en", "EN", "eng", "en-GB"]),
        ("zh", ["zh", "zho", "chi", "cmn", "zh_Hant"]),
        ("de", ["ger", "deu"]),
        ("he", ["iw", "heb"]),
        ("yue", ["yue"]),
        ("tlh", ["TLH"]),
    ],
)
def test_every_form_of_a_code_means_the_same_language(short, forms):
    assert {normalize_language(form) for form in forms} == {short}
