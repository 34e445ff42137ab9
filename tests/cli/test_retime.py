"""`yivideo retime` on files of others: times change, everything else stays."""

import re
import shutil

import pytest

from tests.cli.command import SAMPLES, call, run, settings
from yivideo_pipeline.cli.retime import read_foreign

ASS = """[Script Info]
Title: Old

[V4+ Styles]
Style: Sign,Arial,20

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
Comment: 0,0:00:00.00,0:00:01.00,Sign,,0,0,0,,not shown
"""


def clocks(text: str) -> list[int]:
    found = re.findall(r"(\d+):(\d\d):(\d\d)[,.](\d+)", text)
    return [((int(h) * 60 + int(m)) * 60 + int(s)) * 1000 + int(f.ljust(3, "0")) for h, m, s, f in found]


@pytest.fixture(scope="module")
def processed(tmp_path_factory, model_dir, tiny_weights):
    """A home that has processed the sample, whose words `retime` finds, and the SRT file that it made."""
    home = tmp_path_factory.mktemp("home")
    environment = settings(home, model_dir)
    video = home / "inbox" / "harbour.mp4"
    video.parent.mkdir()
    shutil.copyfile(SAMPLES / "harbour-15s.mp4", video)
    ended = run(environment, "process", video)
    assert ended.returncode == 0, ended.stderr
    return environment, video, video.with_name("harbour.en.srt").read_text()


def shifted(srt: str) -> str:
    return re.sub(r"00:00:(\d\d),", lambda match: f"01:00:{match[1]},", srt)


@pytest.mark.model
def test_times_are_found_again_in_every_format_and_the_rest_of_the_file_stays(processed, tmp_path):
    environment, video, right = processed
    late = shifted(right)
    times = re.findall(r"(\S+) --> (\S+)", late)
    bodies = [part.split("\n", 2)[2].strip() for part in late.strip().split("\n\n")]
    files = {
        "a.srt": late.replace("\n", "\r\n"),
        "b.vtt": "WEBVTT\n\nSTYLE\n::cue { color: red }\n\n"
        + "\n\n".join(
            f"{start.replace(',', '.')} --> {end.replace(',', '.')} line:80%\n<i>{body}</i>"
            for (start, end), body in zip(times, bodies, strict=True)
        ),
        "c.ass": ASS
        + "".join(
            f"Dialogue: 0,{start[1:-1].replace(',', '.')},{end[1:-1].replace(',', '.')},Sign,,0,0,0,,"
            + "{\\i1}" + body.replace("\n", "\\N") + "\n"
            for (start, end), body in zip(times, bodies, strict=True)
        ),
    }  # fmt: skip
    for name, text in files.items():
        path = tmp_path / name
        path.write_bytes(text.encode())
        done = call(environment, "retime", path, video)
        assert done.returncode == 0, done.stderr
        assert path.read_bytes() == text.encode()
        result = (tmp_path / f"{path.stem}.retimed{path.suffix}").read_bytes().decode()
        step = len(clocks(ASS)) if name == "c.ass" else 0
        assert clocks(result)[step:] == pytest.approx(clocks(right), abs=60)
        assert re.sub(r"[\d:]+[.,]\d+", "", result) == re.sub(r"[\d:]+[.,]\d+", "", text)
    again = call(environment, "retime", tmp_path / "a.srt", video)
    assert (again.returncode, "exists already" in again.stderr) == (1, True)


@pytest.mark.model
def test_cues_of_another_film_are_listed_and_the_exit_code_says_so(processed, tmp_path):
    environment, video, right = processed
    other = tmp_path / "other.srt"
    other.write_text(right + "\n99\n00:30:00,000 --> 00:30:02,000\nXylophones quarrel in Zanzibar\n")
    done = call(environment, "retime", other, video, "--json")
    assert (done.returncode, '"unplaced": [' in done.stdout) == (0, True)
    assert "00:30:00,000 --> 00:30:02,000" in (tmp_path / "other.retimed.srt").read_text()
    other.write_text("1\n00:30:00,000 --> 00:30:02,000\nXylophones quarrel in Zanzibar\n")
    lost = call(environment, "retime", other, video, "--output", tmp_path / "lost.srt")
    assert (lost.returncode, "left as they were: cues 1" in lost.stdout) == (1, True)


@pytest.mark.parametrize(
    ("data", "words"),
    [(b"", "has no cues"), (b"\xff\x00\x81", "is not UTF-8"), (b"plain text", "has no cues")],
)
def test_what_is_no_subtitle_file_is_refused_in_one_line(tmp_path, data, words):
    (tmp_path / "file.srt").write_bytes(data)
    refused = call(
        {"YIVIDEO_HOME": str(tmp_path)}, "retime", tmp_path / "file.srt", SAMPLES / "harbour-15s.mp4"
    )
    assert refused.returncode == 2
    assert words in refused.stderr
    assert call({"YIVIDEO_HOME": str(tmp_path)}, "retime", tmp_path / "none.srt", "x.mp4").returncode == 1


def test_hours_may_be_missing_and_marks_of_the_clock_are_kept(tmp_path):
    (tmp_path / "short.vtt").write_text("WEBVTT\n\n01:02.500 --> 01:04.000\nHi &amp; <b>bye</b>\n")
    found = read_foreign(tmp_path / "short.vtt")
    assert [tuple(cue) for cue in found.cues] == [(62_500, 64_000, "Hi & bye")]
    assert "00:00:01.000 --> 00:00:02.000\nHi" in found.with_times(
        (found.cues[0]._replace(start_ms=1000, end_ms=2000),)
    )
