"""Style guides: their limits among the options, their times, and the report of what could not be kept."""

import random
from fractions import Fraction
from itertools import combinations, pairwise

import pytest

from tests.subtitles.transcripts import make_transcript, make_word, speak
from yivideo_pipeline.media.shots import Picture
from yivideo_pipeline.settings.options import differences, override
from yivideo_pipeline.settings.style_guides import StyleProfile
from yivideo_pipeline.settings.subtitle_options import SubtitleOptions
from yivideo_pipeline.speech.types import Word
from yivideo_pipeline.subtitles.breaks import rate_breaks
from yivideo_pipeline.subtitles.cues import Cue, CueSearch, build_cues
from yivideo_pipeline.subtitles.grammar import grammar_of
from yivideo_pipeline.subtitles.style_report import StyleReport, report_style
from yivideo_pipeline.subtitles.timing import CueTiming
from yivideo_pipeline.subtitles.tokens import profile_of, tokenize

NETFLIX = SubtitleOptions(profile="netflix")
TEXT = (
    "When the old lighthouse keeper came down to the harbour, he saw that Mr. John Smith had left 25 kg"
    " of salt on the pier. Nobody knew why, but the fishermen of New York were not surprised at all!"
)


def story(seed: int, paragraphs: int = 20) -> list[Word]:
    """Words at a pace and with pauses that change."""
    chance, words, at = random.Random(seed), [], 0.0
    for _ in range(paragraphs):
        words += speak(TEXT, chance.uniform(11, 21), at, pause_s=chance.uniform(0.1, 0.9))
        at = words[-1].end_s + chance.uniform(0.1, 3)
    return words


def picture_of(words: list[Word], rate: Fraction, seed: int = 1) -> Picture:
    chance, shots, frame = random.Random(seed), [], 0
    while frame / rate < words[-1].end_s:
        frame += chance.randint(int(rate), int(8 * rate))
        shots.append(float(frame / rate))
    return Picture(rate, 0.0, tuple(shots))


def broken(report: StyleReport) -> dict[str, int]:
    return {rule.rule: rule.broken for rule in report.rules if rule.broken}


def test_a_guide_gives_the_limits_that_the_options_do_not():
    assert (NETFLIX.max_chars_per_second_cjk, SubtitleOptions().max_chars_per_second_cjk) == (9, 11)
    given = {"profile": "netflix-ja", "max_lines": 1, "max_chars_per_line_cjk": None}
    own = SubtitleOptions.model_validate(given)
    assert (own.max_lines, own.max_chars_per_line_cjk) == (1, 13)
    other = override(own, {"profile": "bbc"})
    assert (other.max_lines, other.max_chars_per_line, other.max_chars_per_line_cjk) == (1, 37, 16)
    assert override(NETFLIX, differences(own, NETFLIX)) == own


@pytest.mark.parametrize("rate", [Fraction(24000, 1001), Fraction(25), Fraction(30), Fraction(60)], ids=str)
def test_cues_begin_and_end_with_frames_and_stand_two_frames_or_half_a_second_apart(rate):
    words = story(1)
    cues = build_cues(make_transcript(words), NETFLIX, None, Picture(rate, 0.0))
    half = round(rate / 2)

    def frame(ms: int) -> int:  # by its own arithmetic: the frame that a player shows from this time on
        number = int(ms * rate / 1000) + 1 if ms * rate % 1000 else int(ms * rate / 1000)
        assert int(number * 1000 / rate) == ms
        return number

    for cue in cues:
        assert frame(cue.start_ms) == int(round(cue.words[0].start_s * 1000) * rate / 1000)
        assert frame(cue.end_ms) > frame(cue.start_ms)
    for cue, following in pairwise(cues):
        gap = frame(following.start_ms) - frame(cue.end_ms)
        assert gap == 2 or gap > half
        last_sound = int(round(cue.words[-1].end_s * 1000) * rate / 1000)
        if gap > half and frame(cue.end_ms) - last_sound > half:
            needed = max(cue.duration_ms - 1000 / rate - 1, 0)
            assert cue.text and needed <= max(834, 50 * len(cue.text.replace("\n", " ")))
    report = report_style(cues, NETFLIX, "en", None, Picture(rate, 0.0))
    assert {"gap", "first_sound", "lines", "words", "pauses"}.isdisjoint(broken(report))


def test_a_start_moves_to_a_near_shot_change_or_away_from_it():
    def start_frame(shot: int, spoken_to_s: float = 0.0) -> int:
        other = "Yes, I know it so well."
        before = speak(other, start_s=spoken_to_s - speak(other)[-1].end_s)
        words = [*(before if spoken_to_s else []), *speak("It was very late indeed.", start_s=4.0)]
        short = SubtitleOptions(profile="netflix", max_chars_per_line=26, max_lines=1)
        cues = build_cues(make_transcript(words), short, None, Picture(Fraction(24), 0.0, (shot / 24,)))
        return round(cues[-1].start_ms * 24 / 1000)

    assert [start_frame(shot) for shot in (96, 99, 103)] == [96, 99, 103]  # up to 7 frames after the sound
    assert [start_frame(shot) for shot in (104, 107)] == [92, 95]  # 8 to 11 frames: 12 before the change
    assert start_frame(108) == 96
    assert [start_frame(shot) for shot in (90, 88)] == [90, 96]  # shortly before the sound; too long before
    assert start_frame(104, spoken_to_s=3.95) == 96  # no room: the speech before it


def test_an_end_moves_before_a_near_shot_change_or_far_enough_behind_it():
    def end_frame(shot: int) -> int:
        words = speak("Nobody knew why it was so very late.", start_s=0.0)
        assert int(words[-1].end_s * 24) == 49
        cues = build_cues(make_transcript(words), NETFLIX, 60, Picture(Fraction(24), 0.0, (shot / 24,)))
        return round(cues[-1].end_ms * 24 / 1000)

    assert end_frame(1000) == 49 + 12
    assert [end_frame(shot) for shot in (54, 62, 72)] == [52, 60, 70]  # after the sound: two frames before it
    assert end_frame(78) == 49 + 12
    assert end_frame(47) == 45  # the sound ends up to 7 frames behind the change
    assert [end_frame(shot) for shot in (44, 30)] == [61, 61]  # too short to be read; farther behind


def test_without_a_frame_rate_times_stay_as_they_are():
    cues = build_cues(make_transcript(story(2)), NETFLIX, None, Picture(None, 0.0))
    assert all(cue.start_ms == round(cue.words[0].start_s * 1000) for cue in cues)
    assert all(following.start_ms - cue.end_ms >= 83 for cue, following in pairwise(cues))


@pytest.mark.parametrize("profile", [StyleProfile.NETFLIX, StyleProfile.BBC])
def test_a_strict_guide_breaks_no_limit_that_another_cut_would_keep(profile):
    """All cuts of short passages are tried out: none breaks fewer limits than the one that was chosen."""
    options, chance = SubtitleOptions(profile=profile), random.Random(4)
    for seed in range(8):
        words = speak(TEXT, chance.uniform(14, 26), pause_s=0.2)[: chance.randint(5, 8)]
        picture = picture_of(words, Fraction(25), seed)
        transcript = make_transcript(words)
        cues = build_cues(transcript, options, None, picture)
        assert hard_breaks(cues, options, picture) == min(
            hard_breaks(cut, options, picture) for cut in all_cuts(transcript, options, picture)
        )


def hard_breaks(cues: list[Cue] | tuple[Cue, ...], options: SubtitleOptions, picture: Picture) -> int:
    return report_style(cues, options, "en", None, picture).hard_breaks


def all_cuts(transcript, options: SubtitleOptions, picture: Picture) -> list[list[Cue]]:
    from yivideo_pipeline.subtitles.timing import clock_of

    tokens = tokenize(transcript, round(options.max_pause_s * 1000))
    profile = profile_of(TEXT, options)
    timing = CueTiming(options, profile, clock=clock_of(options, picture))
    starts = [*timing.starts_ms(tokens, 0), float("inf")]
    search = CueSearch(tokens, rate_breaks(tokens, grammar_of("en")), starts, timing)
    cuts = []
    for number in range(len(tokens)):
        for places in combinations(range(1, len(tokens)), number):
            ranges = list(pairwise((0, *places, len(tokens))))
            if all(search.lines.count_lines(a, b) <= options.max_lines for a, b in ranges):
                cuts.append(
                    [
                        Cue(
                            int(starts[a]),
                            search.end_ms(a, b),
                            search.lines.break_lines(a, b),
                            tuple(word for token in tokens[a:b] for word in token.words),
                        )
                        for a, b in ranges
                    ]
                )
    return cuts


def test_the_report_names_each_broken_rule_its_cues_and_the_reason():
    words = [*speak("Everybody said that this was spoken far too fast.", 60), *speak(TEXT, start_s=1.2)]
    cues = build_cues(make_transcript(words), NETFLIX, None, Picture(Fraction(25), 0.0))
    report = report_style(cues, NETFLIX, "en", None, Picture(Fraction(25), 0.0))
    speed = next(rule for rule in report.rules if rule.rule == "reading_speed")
    assert (speed.is_hard, speed.broken) == (True, 1)
    assert [tuple(one) for one in speed.cues] == [(1, "next_cue")]
    assert speed.reasons == {"next_cue": 1}
    assert (report.frame_rate, report.gap_ms, report.is_strict) == (25, 80, True)


@pytest.mark.parametrize(
    ("lines", "rule"),
    [
        (("This is the", "house of John"), "phrases"),
        (("He owes me 25", "kg of salt"), "phrases"),
        (("I met Mr. John", "Smith there"), "phrases"),
        (("他们在北", "京大学学习"), "words"),
    ],
)
def test_a_line_that_tears_apart_what_belongs_together_is_reported(lines, rule):
    language = "zh" if rule == "words" else "en"
    cue = Cue(0, 3000, lines, tuple(make_word(f" {word}", 0, 2) for line in lines for word in line.split()))
    assert broken(report_style([cue], SubtitleOptions(), language)).keys() >= {rule}
    whole = Cue(0, 3000, (" ".join(lines),) if language == "en" else ("".join(lines),), cue.words)
    assert rule not in broken(report_style([whole], SubtitleOptions(max_chars_per_line=80), language))


def said(text: str) -> list[Word]:
    """The words of a text, each with the space before it."""
    return [make_word(f" {word}", at / 4, at / 4 + 0.2) for at, word in enumerate(text.split())]


def test_each_speaker_has_a_line_where_dashes_tell_them_apart():
    words = said("- Are you coming? - In a minute, my dear old friend. She waited.")
    lines = [line for cue in build_cues(make_transcript(words), NETFLIX) for line in cue.lines]
    assert lines[:2] == ["- Are you coming?", "- In a minute, my dear old friend."]
    cues = build_cues(make_transcript(said("Yes. -No. -Why?")), NETFLIX)
    assert all(line.count("-") <= 1 for cue in cues for line in cue.lines)
    assert build_cues(make_transcript(said("well - known")), NETFLIX)[0].lines == ("well - known",)
