"""`yivideo process`: check first, then make subtitles, then say what was made."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from rich.console import Console

from yivideo_pipeline.cli.choices import Choices
from yivideo_pipeline.cli.console import clock, one_line, open_console
from yivideo_pipeline.cli.exits import Exit
from yivideo_pipeline.cli.logs import open_log
from yivideo_pipeline.cli.outcome import Failure, Outcome, summarize
from yivideo_pipeline.cli.preflight import prepare
from yivideo_pipeline.cli.report import print_report
from yivideo_pipeline.cli.signals import Interrupts
from yivideo_pipeline.cli.videos import find_videos
from yivideo_pipeline.cli.work import Work
from yivideo_pipeline.errors.tree import YivideoError
from yivideo_pipeline.library.ours import own_folders
from yivideo_pipeline.remote.speech import choose_speech
from yivideo_pipeline.settings.environment import apply_environment
from yivideo_pipeline.settings.load import load_settings


@dataclass(frozen=True)
class Request:
    """What the command line asks for."""

    paths: Sequence[Path]
    choices: Choices
    output_dir: Path | None
    config: Path | None
    as_json: bool


def process_videos(request: Request) -> Exit:
    """Make subtitles for all videos that the request names.

    Raises:
        YivideoError: something would stop the work; nothing was begun then.
    """
    people = open_console(stderr=request.as_json)
    interrupts = Interrupts()
    started = perf_counter()

    def answer(time: int) -> None:
        if time == 1:
            people.print("Stopping. What is finished is kept; Ctrl-C once more ends at once.")
        else:
            people.show_cursor()  # which the bars hide

    try:
        with interrupts.heard(answer):
            outcomes = _make_subtitles(request, people, interrupts)
    except KeyboardInterrupt:
        outcomes = []  # later ones end the work in order
    except YivideoError as error:
        if request.as_json:
            _write_json(summarize([], perf_counter() - started, Failure.of(error)))
        raise
    print_report(people, outcomes)
    if request.as_json:
        _write_json(summarize(outcomes, perf_counter() - started))
    if interrupts.asked:
        people.print(_say_kept(outcomes))
        return Exit.INTERRUPTED
    return Exit.FAILED if any(one.status == "failed" for one in outcomes) else Exit.DONE


def _make_subtitles(request: Request, people: Console, interrupts: Interrupts) -> list[Outcome]:
    settings = load_settings(request.config)
    chosen = request.choices.over(settings)
    found = find_videos(request.paths, settings.library.extensions, own_folders(settings))
    open_log(settings.home)
    apply_environment(settings)
    speech = choose_speech(settings)
    output_dir = request.output_dir.expanduser().absolute() if request.output_dir else None
    plan = prepare(settings, chosen, found.videos, output_dir, speech)
    live = sys.stdout.isatty() and people.is_terminal
    for warning in plan.warnings:
        people.print(f"warning: {one_line(warning)}")
    if live:
        people.print(f"Videos: {len(plan.videos)}, sound: {clock(plan.duration_s)}")
    work = Work(settings, chosen, plan, speech, output_dir, people, live)
    work.fetch_weights()
    closed = [Outcome(folder, "failed", failure=Failure.of(error)) for folder, error in found.closed]
    return closed + work.run(interrupts)


def _say_kept(outcomes: Sequence[Outcome]) -> str:
    if not outcomes:
        return "Stopped before the first video."
    done = sum(one.status == "done" for one in outcomes)
    return (
        f"Stopped: {done} of {len(outcomes)} videos are done and their subtitles written."
        " Finished stages of the others are kept: the same command goes on from there."
    )


def _write_json(summary: dict[str, Any]) -> None:
    # ASCII: valid whatever the terminal's character set, and for names that are no UTF-8.
    sys.stdout.write(json.dumps(summary, indent=2) + "\n")
