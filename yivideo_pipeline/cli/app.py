"""The command line: commands and their options. Each command's module is imported when it is called."""

import io
import logging
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from yivideo_pipeline.cli.cluster import cluster_app
from yivideo_pipeline.cli.console import (
    Exit,
    WrongUsage,
    exit_code,
    print_error,
    print_json_error,
    print_problem,
    show_path,
)
from yivideo_pipeline.cli.many import backfill, compare, forget, plan
from yivideo_pipeline.cli.parameters import (
    AsJson,
    ConfigFile,
    PublishUi,
    ServicePort,
    UiPort,
    read_number,
    read_port,
)
from yivideo_pipeline.errors.tree import SystemFault, YivideoError
from yivideo_pipeline.machine.garbage import importing, search_garbage_seldom

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # rich's help names Python's types
    context_settings={"help_option_names": ["-h", "--help"]},
)
config_app = typer.Typer(help="Show, check and compare settings.", no_args_is_help=True)
app.add_typer(config_app, name="config")
quarantine_app = typer.Typer(invoke_without_command=True)
app.add_typer(quarantine_app, name="quarantine")
app.add_typer(cluster_app, name="cluster")


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"yivideo {version('yivideo-pipeline')}")
        raise typer.Exit


@app.callback()
def common(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version")
    ] = False,
) -> None:
    """From video files to word-aligned subtitles."""


@app.command()
def process(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH", hidden=True)],
    output_dir: Annotated[
        Path | None, typer.Option(metavar="DIR|URL", help="Folder for the subtitles; else beside the video")
    ] = None,
    formats: Annotated[
        str | None, typer.Option("--format", metavar="LIST", help="srt,vtt,ass,ttml,json,txt,…; several")
    ] = None,
    profile: Annotated[
        str | None, typer.Option(metavar="NAME", help="Style guide: netflix, bbc, shorts, netflix-zh, …")
    ] = None,
    mux: Annotated[
        str | None,
        typer.Option(metavar="mkv|mp4", help="Also copy the video, with the subtitles as a track"),
    ] = None,
    model: Annotated[str | None, typer.Option(metavar="NAME|PATH", help="Whisper model")] = None,
    language: Annotated[
        str | None,
        typer.Option(metavar="CODE|auto", help="Spoken language, such as en or zh-TW; zh,en: it changes"),
    ] = None,
    vocabulary: Annotated[
        str | None,
        typer.Option(metavar="TERMS|FILE.txt", help="Names and terms that are said: Grimsby,Håkon"),
    ] = None,
    device: Annotated[str | None, typer.Option(metavar="NAME", help="auto, cpu or cuda")] = None,
    compute_type: Annotated[
        str | None, typer.Option(metavar="NAME", help="auto, int8, float16, float32, …")
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(parser=read_number, metavar="N", help="Chunks decoded at once")
    ] = None,
    audio_track: Annotated[
        str | None,
        typer.Option(metavar="N|LANG", help="Audio track by number, the first being 1, or by language"),
    ] = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Make subtitles for videos; what was made before is reused.

    Each PATH is a video, or a folder that is searched for videos, also in a bucket (s3://bucket/folder).
    """
    with importing():
        from yivideo_pipeline.cli.process import ProcessRequest, process_videos

    speech = {
        "model_name": model,
        "language": language,
        "vocabulary": vocabulary,
        "device": device,
        "compute_type": compute_type,
        "batch_size": batch_size,
        "audio_track": audio_track,
    }
    subtitles = {"formats": formats, "profile": profile, "mux": mux}
    request = ProcessRequest(paths, speech, subtitles, output_dir, config, as_json)
    raise typer.Exit(process_videos(request))


@app.command()
def up(
    port: UiPort = 3000,
    service_port: ServicePort = None,
    publish_ui: PublishUi = False,
    config: ConfigFile = None,
) -> None:
    """Start Dagster's UI, daemon and code location, and the service.

    Ctrl-C stops all of them.
    """
    from yivideo_pipeline.cli.up import run_services

    raise typer.Exit(run_services(port, service_port, config, publish_ui=publish_ui))


@app.command()
def serve(
    host: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Address to listen on, in place of service.host")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(parser=read_port, metavar="PORT", help="Port, in place of service.port (8788)"),
    ] = None,
    insecure: Annotated[bool, typer.Option("--insecure", help="Accept other machines without a key")] = False,
    config: ConfigFile = None,
) -> None:
    """Start the service, which keeps the models loaded.

    It answers by its API and its page; Ctrl-C stops it.
    """
    from yivideo_pipeline.cli.serve import serve as run

    raise typer.Exit(run(config, host, port, insecure))


@app.command()
def doctor(config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Check what would keep yivideo from working here.

    What to do about it is printed too.
    """
    from yivideo_pipeline.cli.doctor import examine

    raise typer.Exit(examine(config, as_json=as_json))


@app.command()
def backup(
    folder: Annotated[Path, typer.Argument(metavar="DIR", hidden=True)], config: ConfigFile = None
) -> None:
    """Copy the home folder to DIR, also while everything runs.

    The next backup to the same DIR copies only what has changed. The copy can be used as a home folder.
    """
    from yivideo_pipeline.cli.backup import back_up

    raise typer.Exit(back_up(folder, config))


@app.command()
def migrate(
    to: Annotated[
        str | None, typer.Option(metavar="URL", help="Empty PostgreSQL database; else storage.database_url")
    ] = None,
    storage: Annotated[
        str | None,
        typer.Option(metavar="DIR|URL", help="Copy artifacts and edits there; else they stay where they are"),
    ] = None,
    config: ConfigFile = None,
) -> None:
    """Move ledger and Dagster's history into PostgreSQL.

    All of it is moved or nothing; the files stay as they are.
    """
    from yivideo_pipeline.cli.migrate import migrate as run

    raise typer.Exit(run(to, storage, config))


@app.command()
def calibrate(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Whisper model, by name, folder or hub id")],
    config: ConfigFile = None,
) -> None:
    """Find the heads of a model that follow the sound: word times."""
    with importing():
        from yivideo_pipeline.cli.calibrate import calibrate_model

    raise typer.Exit(calibrate_model(model, config))


@app.command()
def notify(config: ConfigFile = None) -> None:
    """Send a test notice by each channel of the settings."""
    from yivideo_pipeline.cli.notify import send_test_notice

    raise typer.Exit(send_test_notice(config))


@app.command()
def retime(
    subtitles: Annotated[Path, typer.Argument(metavar="SUBTITLES", hidden=True)],
    video: Annotated[Path, typer.Argument(metavar="VIDEO", hidden=True)],
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="File to write; else NAME.retimed.srt beside it")
    ] = None,
    model: Annotated[str | None, typer.Option(metavar="NAME|PATH", help="Whisper model")] = None,
    language: Annotated[str | None, typer.Option(metavar="CODE|auto", help="Spoken language")] = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Give a subtitle file of others the times of the spoken words.

    SUBTITLES is an SRT, WebVTT or ASS file; its text stays. Drift and cuts are found; cues that match
    nothing in VIDEO keep their times and are listed.
    """
    with importing():
        from yivideo_pipeline.cli.retime import retime_file

    speech = {"model_name": model, "language": language}
    raise typer.Exit(retime_file(subtitles, video, output, speech, config, as_json))


app.command()(backfill)
app.command()(plan)
app.command()(forget)
app.command()(compare)


@app.command()
def workers(config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Show what each process is at work on now.

    All hosts that share the database are listed.
    """
    from yivideo_pipeline.cli.workers import show_workers

    raise typer.Exit(show_workers(config, as_json=as_json))


@app.command()
def why(
    file: Annotated[Path, typer.Argument(metavar="FILE", hidden=True)],
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Show what is done with a file of the library, and why.

    What was made of it is shown too.
    """
    from yivideo_pipeline.cli.why import explain

    raise typer.Exit(explain(file, config, as_json=as_json))


@quarantine_app.callback()
def quarantine(context: typer.Context, config: ConfigFile = None, as_json: AsJson = False) -> None:
    """List the videos that failed for good, each with its reason."""
    if context.invoked_subcommand:
        if config or as_json:
            raise WrongUsage(
                "Options go after the command", f"yivideo quarantine {context.invoked_subcommand} …"
            )
        return
    from yivideo_pipeline.cli.quarantine import list_quarantine

    raise typer.Exit(list_quarantine(config, as_json=as_json))


@quarantine_app.command("release")
def quarantine_release(
    videos: Annotated[list[str] | None, typer.Argument(metavar="FILE|KEY", hidden=True)] = None,
    everything: Annotated[bool, typer.Option("--all", help="All quarantined videos")] = False,
    config: ConfigFile = None,
) -> None:
    """Release videos from quarantine, so that they are processed again.

    Each is named by its file or its partition key.
    """
    from yivideo_pipeline.cli.quarantine import release_videos

    raise typer.Exit(release_videos(videos or [], config, everything=everything))


@config_app.command("show")
def config_show(config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Print every setting, its value and where it was set."""
    from yivideo_pipeline.cli.config import show

    raise typer.Exit(show(config, as_json=as_json))


@config_app.command("validate")
def config_validate(
    file: Annotated[Path | None, typer.Argument(metavar="FILE", hidden=True)] = None,
    config: ConfigFile = None,
) -> None:
    """Check settings by themselves and against this machine.

    They are those of the FILE, or those that apply.
    """
    from yivideo_pipeline.cli.config import validate

    if file and config:
        raise WrongUsage("Two settings files are named", "Name one, as FILE or by --config")
    raise typer.Exit(validate(file or config))


@config_app.command("diff")
def config_diff(
    old: Annotated[Path, typer.Argument(metavar="A", hidden=True)],
    new: Annotated[Path, typer.Argument(metavar="B", hidden=True)],
    as_json: AsJson = False,
) -> None:
    """Compare two settings files, A and B.

    What differs is shown, and what needs the model to be reloaded.
    """
    from yivideo_pipeline.cli.config import diff

    raise typer.Exit(diff(old, new, as_json=as_json))


def main() -> None:
    """Run the command; an error is printed in one line, an unforeseen one is also logged."""
    search_garbage_seldom()
    for stream in (sys.stdout, sys.stderr):
        # Neither a file name that is not UTF-8 nor a narrow character set may end the program.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        app(prog_name="yivideo")
    except YivideoError as error:
        sys.exit(_report(error))
    except BrokenPipeError:
        # The reader of our output has gone, as `head` does. Without this Python reports it again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(Exit.FAILED)
    except Exception as error:  # noqa: BLE001 - it is logged
        sys.exit(_report_unforeseen(error))


def _report(error: YivideoError) -> Exit:
    """Print in one line what happened, and as JSON where the command owes an object."""
    print_error(error)
    if "--json" in sys.argv[1:]:
        print_json_error(error)
    return exit_code(error)


def _report_unforeseen(error: Exception) -> Exit:
    """Print in one line what happened; where nothing is known of it, log the traceback."""
    from yivideo_pipeline.cli.logs import log_path, open_log
    from yivideo_pipeline.errors.classify import classify

    known = classify(error)
    if type(known) is not SystemFault:
        return _report(known)
    try:
        if log_path() is None:
            from yivideo_pipeline.settings.settings import find_home

            open_log(Path(os.environ.get("YIVIDEO_HOME") or find_home()))
    except YivideoError as unlogged:
        print_error(unlogged)
    logging.getLogger(__name__).error("The command failed", exc_info=error)
    code = _report(known)
    if path := log_path():
        print_problem(f"More about it is in {show_path(path)}")
    return code
