"""`yivideo doctor`: every check, one line each."""

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict
from functools import cache, partial
from pathlib import Path

from rich.console import Console
from rich.text import Text

from yivideo_pipeline.cli.checks.libraries import check_ctranslate2, check_pyav, check_python, check_torch
from yivideo_pipeline.cli.checks.machine import check_disks, check_gpu, check_memory
from yivideo_pipeline.cli.checks.result import Check, Result
from yivideo_pipeline.cli.checks.state import check_folders, check_instance, check_token, check_weights
from yivideo_pipeline.cli.console import one_line, open_console, printable, sentences
from yivideo_pipeline.cli.exits import Exit
from yivideo_pipeline.errors.classify import classify
from yivideo_pipeline.errors.tree import ConfigError
from yivideo_pipeline.settings.environment import apply_environment
from yivideo_pipeline.settings.hardware import Hardware, probe_hardware
from yivideo_pipeline.settings.load import find_config, load_settings
from yivideo_pipeline.settings.model import Settings

_STYLES = {"ok": "green", "warning": "yellow", "failure": "bold red"}


def examine(config: Path | None, *, as_json: bool) -> Exit:
    """Run every check and print what it found; failed if any of them is a failure."""
    console = open_console(stderr=as_json)
    results: list[Result] = []
    for result in _examine(config):
        results.append(result)
        if not as_json:
            _print(console, result)
    if as_json:
        sys.stdout.write(json.dumps([asdict(result) for result in results], indent=2) + "\n")
    return Exit.FAILED if any(result.level == "failure" for result in results) else Exit.DONE


def _examine(config: Path | None) -> Iterator[Result]:
    for name, check in (("Python", check_python), ("PyAV", check_pyav)):
        yield from _guarded(name, check)
    try:
        settings = load_settings(config)
        used = find_config(config, os.environ)
    except ConfigError as error:
        for line in error.message.splitlines():
            yield Result("settings", "failure", line, error.hint)
        yield Result("settings", "warning", "what depends on them was not looked at", "Correct them first")
        return
    yield Result(
        "settings", "ok", f"valid, from {used}" if used else "valid, all defaults but the environment"
    )
    for name, check in _list_checks(settings):
        yield from _guarded(name, check)


def _list_checks(settings: Settings) -> list[tuple[str, Check]]:
    @cache
    def hardware() -> Hardware:
        return probe_hardware()

    def apply() -> list[Result]:
        apply_environment(settings)
        return []

    speech = settings.speech
    disks = [settings.home, settings.cache.model_dir]
    if "://" not in settings.storage.root:
        disks.append(Path(settings.storage.root))
    return [
        ("CTranslate2", lambda: check_ctranslate2(hardware())),
        ("torch", partial(check_torch, speech)),
        ("GPU", lambda: check_gpu(hardware(), speech)),
        ("memory", lambda: check_memory(hardware(), speech)),
        ("disk", partial(check_disks, disks)),
        ("caches", apply),
        ("folders", partial(check_folders, settings)),
        ("HF token", partial(check_token, settings)),
        ("weights", partial(check_weights, settings)),
        ("Dagster", partial(check_instance, settings)),
    ]


def _guarded(name: str, check: Check) -> Iterator[Result]:
    """Run a check; what it raises is a finding too."""
    try:
        yield from check()
    except Exception as error:  # noqa: BLE001 - it becomes a line of its own
        known = classify(error)
        yield Result(name, "failure", known.message, known.hint)


def _print(console: Console, result: Result) -> None:
    line = Text(f"{result.level:8}", style=_STYLES[result.level])
    line.append(f"{printable(result.name):12} ", style="default")
    told = sentences(result.message, result.advice) if result.advice else one_line(result.message)
    line.append(told, style="default")
    console.print(line)
