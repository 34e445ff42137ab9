"""The commands on many videos: `backfill` and `plan`, which choose them alike, `forget` and `compare`."""

from pathlib import Path
from typing import Annotated

import typer

from yivideo_pipeline.cli.console import WrongUsage
from yivideo_pipeline.cli.parameters import AsJson, ConfigFile, read_price
from yivideo_pipeline.machine.garbage import importing

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


def compare(
    a: Annotated[str, typer.Argument(metavar="A", hidden=True)],
    b: Annotated[str, typer.Argument(metavar="B", hidden=True)],
    videos: Annotated[list[Path] | None, typer.Argument(metavar="VIDEO", hidden=True)] = None,
    corpus: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder with recordings, and their texts if known")
    ] = None,
    output: Annotated[Path, typer.Option(metavar="FILE", help="The page")] = Path("comparison.html"),
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Compare two settings, models or revisions on the same sound.

    A and B are settings files, or models: base, or owner/name@revision. Error rates are those against
    NAME.txt beside a video, where there is one. A page has the passages that differ, with their sound.
    """
    with importing():
        from yivideo_pipeline.cli.compare import CompareRequest, compare_sides

    request = CompareRequest((a, b), videos or [], corpus, output, config, as_json)
    raise typer.Exit(compare_sides(request))


def forget(
    videos: Annotated[list[str] | None, typer.Argument(metavar="FILE|KEY", hidden=True)] = None,
    results: Annotated[bool, typer.Option("--results", help="Also remove what was made of them")] = False,
    config: ConfigFile = None,
) -> None:
    """Take videos out of the library's list, with their failures.

    Each is named by its file or its partition key. Its file stays, and is not processed by itself again until
    it changes; so do subtitles beside it and corrections by hand.
    """
    from yivideo_pipeline.cli.forget import forget_videos

    raise typer.Exit(forget_videos(videos or [], config, results=results))
