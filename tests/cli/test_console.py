import io

import pytest
from rich.console import Console, ConsoleDimensions

from yivideo_pipeline.cli.console import (
    clock,
    file_size,
    one_line,
    open_console,
    print_table,
    printable,
    sentences,
    show_path,
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("two\nlines", r"two\nlines"),
        ("bell\x07 and \x1b[31mred", r"bell\x07 and \x1b[31mred"),
        ("turned \u202eround", r"turned \u202eround"),
        (b"latin \xe9".decode("utf-8", "surrogateescape"), r"latin \xe9"),
    ],
)
def test_what_would_act_on_a_terminal_is_escaped(text, shown):
    assert printable(text) == shown


@pytest.mark.parametrize(
    "text", ["会议 记录.mp4", "全角\u3000空格", "naïve ♥ 👩\u200d💻", "[bold]plain[/]", 'it\'s "q"']
)
def test_what_is_harmless_stays(text):
    assert printable(text) == text


def test_several_lines_become_one():
    assert one_line("first: wrong\n  second: wrong\n") == "first: wrong; second: wrong"


def test_a_hint_follows_its_message_as_a_sentence():
    assert sentences("The file is empty", "Copy it again.") == "The file is empty. Copy it again."
    assert sentences("Why?") == "Why?"


def test_paths_are_shown_relative_to_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert show_path(tmp_path / "videos" / "a\nb.mp4") == r"videos/a\nb.mp4"
    assert show_path(tmp_path.parent) == str(tmp_path.parent)


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.4, "0:00"), (65, "1:05"), (3599.6, "1:00:00"), (float("inf"), "0:00")]
)
def test_lengths_of_time_read_like_a_clock(seconds, shown):
    assert clock(seconds) == shown


def test_a_pipe_gets_long_lines_whole_and_brackets_as_they_are(monkeypatch):
    pipe = io.StringIO()
    monkeypatch.setattr("sys.stdout", pipe)
    console: Console = open_console()
    console.print("[bold]" + "x" * 500)
    assert pipe.getvalue() == "[bold]" + "x" * 500 + "\n"


def test_sizes_have_few_digits():
    assert [file_size(1), file_size(31_400_000), file_size(2_500_000_000)] == ["1 byte", "31.4 MB", "2.5 GB"]


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setattr("sys.stdout", Terminal())
    monkeypatch.setenv("TERM", "dumb")  # it gets no colours
    console = open_console()
    console.size = ConsoleDimensions(40, 20)
    return console


PATH = "/a/folder whose/name-is-long/and/goes_over/the.end/of/a/line.srt"


def test_lines_on_a_terminal_break_between_words_and_never_in_a_path(terminal):
    terminal.print(f"warning: the file that lies in {PATH} is longer than its video")
    assert terminal.file.getvalue().splitlines() == [
        "warning: the file that lies in /a/folder",
        "whose/name-is-long/and/goes_over/the.end/of/a/line.srt",
        "is longer than its video",
    ]


def test_a_line_of_columns_goes_on_below_the_last(terminal):
    terminal.print("ok   memory  22.4 GB of 25.3 GB free, 2 processors, and no GPU")
    assert terminal.file.getvalue().splitlines() == [
        "ok   memory  22.4 GB of 25.3 GB free, 2",
        "             processors, and no GPU",
    ]


def test_a_table_that_fits_is_one(terminal):
    print_table(("file", "cues"), [("a.mp4", "1"), ("b.mp4", "22")], numbers=["cues"], console=terminal)
    lines = terminal.file.getvalue().splitlines()
    assert [line.split() for line in lines[::2]] == [["file", "cues"], ["a.mp4", "1"]]
    assert lines[2].endswith("   1 ")


def test_a_table_too_wide_for_the_terminal_is_a_list_with_its_paths_whole(terminal):
    path = PATH.replace(" ", "-")
    print_table(
        ("file", "cues", "files", ""),
        [("a.mp4", "1", [path, "/b"], ""), ("b", "2", [], "x")],
        console=terminal,
    )
    assert terminal.file.getvalue().splitlines() == [
        "a.mp4",
        "  cues: 1; files:",
        f"  {path}",
        "  /b",
        "b",
        "  cues: 2; x",
    ]
