"""The commands on many videos, which choose them by the same options: `backfill` and `plan`."""

from typing import Annotated

import typer

from yivideo_pipeline.cli.console import WrongUsage
from yivideo_pipeline.cli.parameters import AsJson, ConfigFile, read_price

Missing = Annotated[bool, typer.Option("--missing", help="Videos that have no subtitles yet")]
Failed = Annotated[bool, typer.Option("--failed", help="Videos whose last run failed")]
Stale = Annotated[
    bool, typer.Option("--stale", help="Videos made by older code, another model or other options")
]
Since = Annotated[
    str | None, typer.Option(metavar="DATE|7d", help="Only videos whose file was added or changed since")
]
Match = Annotated[str | None, typer.Option(metavar="GLOB", help="Only videos whose key matches")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask for confirmation")]


def backfill(
    missing: Missing = False,
    failed: Failed = False,
    stale: Stale = False,
    since: Since = None,
    match: Match = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be done")] = False,
    yes: Yes = False,
    pause: Annotated[bool, typer.Option("--pause", help="Pause the schedules")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Resume the schedules")] = False,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Process many videos as one backfill.

    By default those that are missing or failed.
    """
    from yivideo_pipeline.cli.backfill import (
        BackfillRequest,
        launch_backfill,
        pause_schedules,
        resume_schedules,
    )

    reasons = [name for name, given in (("missing", missing), ("failed", failed), ("stale", stale)) if given]
    if pause or resume:
        if reasons or since or match or dry_run or yes or as_json or (pause and resume):
            raise WrongUsage("--pause and --resume take no other options", "Call the command once for each")
        raise typer.Exit(pause_schedules(config) if pause else resume_schedules(config))
    request = BackfillRequest(reasons, since, match, config, dry_run, yes, as_json)
    raise typer.Exit(launch_backfill(request))


def plan(
    missing: Missing = False,
    failed: Failed = False,
    stale: Stale = False,
    since: Since = None,
    match: Match = None,
    price: Annotated[
        float | None,
        typer.Option("--gpu-hour-price", parser=read_price, metavar="PRICE", help="Price of a GPU hour"),
    ] = None,
    launch: Annotated[bool, typer.Option("--launch", help="Launch it as a backfill")] = False,
    yes: Yes = False,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Show what a backfill takes: hours, GPU hours, disk and cost.

    The videos are chosen as by `yivideo backfill`.
    """
    from yivideo_pipeline.cli.backfill import BackfillRequest
    from yivideo_pipeline.cli.plan import plan_backfill

    reasons = [name for name, given in (("missing", missing), ("failed", failed), ("stale", stale)) if given]
    request = BackfillRequest(reasons, since, match, config, not launch, yes, as_json)
    raise typer.Exit(plan_backfill(request, price))
