"""`yivideo config`: shows, checks and compares settings."""

import os
from dataclasses import asdict
from pathlib import Path

from yivideo_pipeline.cli.console import (
    Exit,
    one_line,
    open_console,
    print_json,
    print_table,
    printable,
)
from yivideo_pipeline.errors.tree import ConfigValidationError
from yivideo_pipeline.settings.load import find_config, load_settings
from yivideo_pipeline.settings.resolve import check_machine, probe_hardware
from yivideo_pipeline.settings.sections import BackfillSettings, CheckSettings
from yivideo_pipeline.settings.settings import Settings
from yivideo_pipeline.settings.show import describe_settings, diff_settings


def show(config: Path | None, *, as_json: bool) -> Exit:
    """Print every setting, its value and where it was set; a secret only as set or not.

    Raises:
        ConfigError: The settings can't be read.
    """
    rows = describe_settings(load_settings(config))
    if as_json:
        print_json([asdict(row) for row in rows])
    else:
        print_table(("setting", "value", "set in"), [(row.field, row.value, row.source) for row in rows])
    return Exit.DONE


def validate(file: Path | None) -> Exit:
    """Check a file, or the settings that apply, by themselves and against this machine.

    A file is checked together with the environment, as it would be used.

    Raises:
        ConfigError: They are wrong by themselves; one line for each reason.
    """
    settings = load_settings(file)
    _require_dagsters_consent(settings)
    used = find_config(file, os.environ)
    console = open_console()
    findings = check_machine(settings.speech.options, probe_hardware())
    for finding in findings:
        place = settings.origin(f"speech.{finding.field}")
        console.print(f"{finding.level}: {one_line(str(finding))} (set in: {printable(place)})")
    if any(finding.level == "error" for finding in findings):
        return Exit.FAILED
    console.print(f"The settings are valid here: {printable(str(used)) if used else 'no file, the defaults'}")
    return Exit.DONE


def _require_dagsters_consent(settings: Settings) -> None:
    """Check what only Dagster knows: the names of the checks, and the times of the schedules.

    Raises:
        ConfigValidationError: They are wrong.
    """
    if settings.checks == CheckSettings() and settings.backfills == BackfillSettings():
        return  # Dagster takes a second to import
    import dagster as dg

    from yivideo_pipeline.defs.checks.catalogue import specs_of
    from yivideo_pipeline.stages import JOB

    specs_of("audio", settings.checks)
    for name in ("nightly", "weekly"):
        cron = getattr(settings.backfills, name)
        try:
            dg.ScheduleDefinition(name=name, job_name=JOB, cron_schedule=cron)
        except dg.DagsterInvalidDefinitionError as error:
            raise ConfigValidationError(
                f"backfills.{name}: {cron!r} is no cron expression of five fields: write it as 0 1 * * *"
            ) from error


def diff(old: Path, new: Path, *, as_json: bool) -> Exit:
    """Compare two files without the environment.

    Raises:
        ConfigError: One of them can't be read.
    """
    changes = diff_settings(_read_alone(old), _read_alone(new))
    console = open_console()
    if as_json:
        print_json([asdict(change) for change in changes])
    elif not changes:
        console.print("They mean the same.")
    else:
        rows = [
            (one.field, one.old, one.new, "reloads the model" if one.needs_reload else "") for one in changes
        ]
        print_table(("setting", printable(str(old)), printable(str(new)), ""), rows)
    return Exit.DONE


def _read_alone(file: Path) -> Settings:
    return load_settings(file, {name: os.environ[name] for name in ("YIVIDEO_HOME",) if name in os.environ})
