import json
import os
import re
import sys

import numpy as np
import pytest
from rich.console import Console

from benchmarks import gate
from benchmarks.clips import RATE_HZ, join_clips, load_samples, read_sound, write_flac
from benchmarks.compare import Row, render, run_once
from benchmarks.contenders import WHISPERX, Contender, Task, line_up
from benchmarks.process import Usage, measure
from benchmarks.score import BABBLING, CLEAN, MUSICAL, WHITE, put_into_noise
from benchmarks.words import count_errors_by_clip
from tests.subtitles.transcripts import make_transcript, make_word
from yivideo_pipeline.comparison.accuracy import (
    bootstrap_difference,
    compare_times,
    count_errors,
    error_rate,
    normalize,
)
from yivideo_pipeline.comparison.corpus import Clip, TimedWord


def test_written_sound_reads_back_unchanged(tmp_path):
    sound = np.random.default_rng(0).integers(-8000, 8000, RATE_HZ, np.int16)
    write_flac(sound, tmp_path / "sound.flac")
    assert np.array_equal(read_sound(tmp_path / "sound.flac"), sound)


def test_noises_lie_so_much_below_the_speech_of_clips_whose_words_have_times(tmp_path):
    chance = np.random.default_rng(0)
    timed = [Clip(tmp_path / f"{n}.flac", "en", "a", (TimedWord("a", 0.0, 0.5),)) for n in range(3)]
    untimed, music = Clip(tmp_path / "untimed.flac", "en", "a"), tmp_path / "music.flac"
    for path in (*(clip.path for clip in timed), untimed.path, music):
        write_flac(chance.normal(0, 2000, RATE_HZ).astype(np.int16), path)
    (tmp_path / "noisy").mkdir()
    made = list(put_into_noise([*timed, untimed], music, 10, tmp_path / "noisy"))
    assert [name for name, _ in made] == [CLEAN, WHITE, BABBLING, MUSICAL] * len(timed)
    for number, (name, clip) in enumerate(made):
        speech = read_sound(timed[number // 4].path).astype(float)
        noise = read_sound(clip.path) - speech
        assert clip.words == timed[number // 4].words
        level = 0 if name == CLEAN else np.std(speech) / 10**0.5
        assert np.std(noise) == pytest.approx(level, rel=0.01)


def test_clips_are_repeated_whole_with_their_texts_until_the_length_is_reached(tmp_path):
    clips = [Clip(tmp_path / f"{text}.flac", "en", text) for text in ("one", "two")]
    for clip in clips:
        write_flac(np.ones(RATE_HZ, np.int16), clip.path)
    sound, texts = join_clips(clips, target_s=4)
    assert texts == ["one", "two", "one"]
    assert len(sound) == 3 * 1.5 * RATE_HZ


def test_every_sample_has_its_text():
    clips = load_samples()
    assert len(clips) == 2
    assert all(clip.text and len(read_sound(clip.path)) > 10 * RATE_HZ for clip in clips)


def test_the_texts_differ_only_in_what_is_said():
    assert normalize("“Well-known,” he said: it’s 7!") == "well known he said it's 7"
    assert normalize("溫州，你好。", "zh") == "温 州 你 好"


def test_one_wrong_word_of_four_is_a_quarter():
    assert error_rate("The cat sat down.", "the cat sat dawn") == 0.25


def test_one_wrong_character_of_four_is_a_quarter():
    assert error_rate("今天天气", "今天天汽", "zh") == 0.25


def test_times_are_compared_for_the_words_that_both_have():
    reference = (TimedWord("the", 0.0, 0.2), TimedWord("cat", 0.2, 0.5), TimedWord("sat", 0.5, 0.9))
    recognized = [TimedWord(" The", 0.1, 0.2), TimedWord(" hat", 0.2, 0.5), TimedWord(" sat.", 0.5, 1.1)]
    errors = compare_times(reference, recognized)
    assert errors.starts_s == pytest.approx((0.1, 0.0))
    assert errors.ends_s == pytest.approx((0.0, 0.2))


def test_memory_and_processor_time_of_child_processes_count(tmp_path):
    hungry = "import time; kept = bytearray(300 * 2**20); time.sleep(0.6); sum(range(10**7))"
    parent = f"import subprocess, sys; sys.exit(subprocess.call([sys.executable, '-c', {hungry!r}]) + 3)"
    usage = measure([sys.executable, "-c", parent], os.environ, tmp_path / "log")
    assert usage.exit_code == 3
    assert usage.peak_mb > 300
    assert usage.cpu_s > 0


def test_a_failed_program_leaves_its_last_line_and_no_figures(tmp_path):
    row = Row()
    failing = Contender(
        "failing", [sys.executable, "-c", "print('first'); raise SystemExit('no such model')"]
    )
    run_once(failing, row, tmp_path / "log", [])
    assert row.note == "exit 1: no such model"
    assert row.runs == []


def test_a_transcript_is_scored(tmp_path):
    row = Row()
    segments = json.dumps({"segments": [{"text": " The cat"}, {"text": " sat."}]})
    code = f"import pathlib; pathlib.Path({str(tmp_path / 'out.json')!r}).write_text({segments!r})"
    run_once(Contender("toy", [sys.executable, "-c", code], tmp_path), row, tmp_path / "log", ["the cat sat"])
    assert row.wer == 0
    assert len(row.runs) == 1


def test_the_limit_counts_with_its_own_seconds_not_with_its_start(tmp_path):
    row = Row()
    figures = json.dumps({"wall_s": 0.5, "cpu_s": 0.25, "segments": [{"text": "the cat sat"}]})
    code = f"import pathlib; pathlib.Path({str(tmp_path / 'out.json')!r}).write_text({figures!r})"
    run_once(Contender("toy", [sys.executable, "-c", code], tmp_path), row, tmp_path / "log", ["the cat sat"])
    assert (row.median("wall_s"), row.median("cpu_s")) == (0.5, 0.25)


def test_no_settings_of_the_user_reach_a_contender(monkeypatch):
    monkeypatch.setenv("YIVIDEO_SPEECH__BEAM_SIZE", "1")
    monkeypatch.setenv("HF_TOKEN", "secret")
    environment = Contender("toy", [], settings={"YIVIDEO_HOME": "/new"}).environment
    assert {name: value for name, value in environment.items() if name.startswith(("YIVIDEO_", "HF_"))} == {
        "YIVIDEO_HOME": "/new",
        "HF_HUB_OFFLINE": "1",
    }


def test_the_whisperx_program_takes_part_only_where_it_is_installed(tmp_path):
    task = Task(tmp_path / "speech.flac", "tiny.en", tmp_path / "model", tmp_path)
    program = tmp_path / "whisperx"
    assert WHISPERX not in [contender.name for contender in line_up(task, tmp_path, program)]
    program.touch()
    assert WHISPERX in [contender.name for contender in line_up(task, tmp_path, program)]


def test_the_table_has_medians_and_ratios_to_whisperx():
    rows = {
        "ours": Row([Usage(10, 1, 100, 0), Usage(30, 1, 300, 0), Usage(20, 1, 200, 0)], errors=[(1, 20)]),
        WHISPERX: Row([Usage(50, 1, 400, 0)], errors=[(2, 20)]),
    }
    console = Console(width=140)
    with console.capture() as printed:
        console.print(render(rows, audio_s=100))
    ours = next(line for line in printed.get().splitlines() if "ours" in line)
    assert ours.replace("│", " ").split() == ["ours", "20.00", "5.0", "1.00", "200", "5.0", "0.40", "0.50"]


def test_a_difference_between_two_systems_is_sure_only_where_it_holds_for_resampled_clips():
    same = bootstrap_difference([(1, 20), (2, 30), (0, 10)], [(1, 20), (2, 30), (0, 10)])
    assert (same.rate, same.low, same.high) == (0, 0, 0)
    worse = bootstrap_difference([(5, 20)] * 10, [(1, 20)] * 10)
    assert worse.low == worse.high == pytest.approx(0.2)
    mixed = bootstrap_difference([(1, 20), (4, 20), (0, 20)], [(2, 20), (0, 20), (1, 20)])
    assert mixed.low < 0 < mixed.rate < mixed.high
    assert "may be chance" in str(mixed)


def test_errors_are_counted_in_words_and_in_chinese_in_characters():
    assert count_errors("One, two three!", "one three four") == (2, 3)
    assert count_errors("你好吗", "你好", "zh") == (1, 3)


def test_errors_in_a_joined_recording_belong_to_their_clips():
    texts = ["one two three", "four five", "one two three"]
    assert count_errors_by_clip(texts, "one three four five six one two tree") == [(3, 6), (0, 2)]
    assert count_errors_by_clip(texts, "one two three four five one two three seven") == [(1, 6), (0, 2)]


def test_the_gate_tells_what_is_worse_than_its_baseline_and_lets_rounding_through(capsys):
    baselines = {
        "harbour: wrong words": 0,
        "word starts: % within 0.1 s": 99.4,
        "netflix: breaks of hard rules": 0,
        "bbc: breaks of other rules": 1,
    }
    console = Console(file=sys.stdout, width=100)
    rounded = {**baselines, "harbour: wrong words": 1, "word starts: % within 0.1 s": 97.5}
    assert gate.compare(rounded, baselines, console) == 0
    worse = {**baselines, "word starts: % within 0.1 s": 97.3, "netflix: breaks of hard rules": 1}
    del worse["bbc: breaks of other rules"]  # what is measured no more is no better
    assert gate.compare(worse, baselines, console) == 1
    told = capsys.readouterr().out.partition("Worse than the baselines")[2]
    assert [name in told for name in baselines] == [False, True, True, True]


def test_the_gate_as_a_command_ends_with_a_status_and_a_table_where_a_word_is_worse(
    tmp_path, monkeypatch, capsys
):
    def run_gate(*arguments: str, lost: int) -> int:
        def listen(clips, _model):  # in place of the model
            for clip in clips:
                words = [make_word(f" {word.text}", word.start_s, word.end_s) for word in clip.words]
                yield gate.Heard(clip, make_transcript(words[:-lost]), None)

        monkeypatch.setattr(gate, "listen", listen)
        monkeypatch.setattr(sys, "argv", ["gate", *arguments])
        return gate.main()

    monkeypatch.setattr(gate, "BASELINES", tmp_path / "baselines.json")
    assert run_gate("--renew", lost=1) == 0
    assert run_gate(lost=2) == 0
    capsys.readouterr()
    assert run_gate(lost=3) == 1
    told = capsys.readouterr().out
    assert "Worse than the baselines" in told and "make gate-renew" in told
    assert len(re.findall(r"│ .*: wrong words +│ 1 +│ 3 +│", told)) == len(load_samples())


def test_the_baselines_are_of_the_figures_that_the_gate_judges():
    known = json.loads(gate.BASELINES.read_text(encoding="utf-8"))
    assert {name.partition(": ")[2] for name in known} == set(gate.MEASURES)
