"""`yivideo cluster`: `yivideo up` with replicas on Ray beneath it, its state, and its end."""

import os
import signal
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from yivideo_pipeline.cli.console import (
    Exit,
    WrongUsage,
    clock,
    moment,
    open_console,
    print_json,
    print_table,
)
from yivideo_pipeline.cli.parameters import AsJson, ConfigFile, PublishUi, ServicePort, UiPort
from yivideo_pipeline.errors.tree import ServiceUnreachable
from yivideo_pipeline.plurals import plural

if TYPE_CHECKING:
    from yivideo_pipeline.settings.settings import Settings

cluster_app = typer.Typer(help="Models in replicas, on one machine or several.", no_args_is_help=True)
STOP_S = 90.0
"""How long everything may take to end."""


@cluster_app.command("up")
def up(
    port: UiPort = 3000,
    service_port: ServicePort = None,
    publish_ui: PublishUi = False,
    config: ConfigFile = None,
) -> None:
    """Start all of `yivideo up`, and replicas on Ray for the models.

    Ctrl-C, or `yivideo cluster down` elsewhere, stops all of them. The section `cluster` of the settings says
    how many replicas there are, and what each has.
    """
    from yivideo_pipeline.cli.up import run_services

    raise typer.Exit(run_services(port, service_port, config, publish_ui=publish_ui, cluster=True))


@cluster_app.command("status")
def status(config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Show nodes, replicas, and what each of them and each run does.

    The latest events say why there are so many replicas.
    """
    from dataclasses import asdict

    import httpx

    from yivideo_pipeline.cli.folders import ledger_of
    from yivideo_pipeline.cli.running_ui import last_ui
    from yivideo_pipeline.cli.serve import address_of
    from yivideo_pipeline.cli.workers import print_workers
    from yivideo_pipeline.settings.load import load_settings

    settings = load_settings(config)
    running = last_ui(settings.home)
    url = (running or {}).get("service_url") or address_of(settings.service)
    key = settings.service.api_key
    headers = {"Authorization": f"Bearer {key.get_secret_value()}"} if key else {}
    try:
        answer = httpx.get(f"{url}/api/v1/cluster", headers=headers, timeout=30, trust_env=False)
        found = answer.json()
    except (httpx.HTTPError, ValueError) as error:
        raise ServiceUnreachable(
            f"The gateway at {url} does not answer ({type(error).__name__})",
            "Start the cluster by `yivideo cluster up`",
        ) from error
    if answer.status_code != 200:
        problem = found.get("error", {})
        raise ServiceUnreachable(problem.get("message", answer.reason_phrase), problem.get("hint", ""))
    workers = ledger_of(settings).workers.busy()
    if as_json:
        print_json({**found, "workers": [asdict(one) for one in workers]})
    else:
        _show(found)
        print_workers(workers)


@cluster_app.command("down")
def down(config: ConfigFile = None) -> None:
    """Stop all that was started for this home, and nothing else."""
    from yivideo_pipeline.settings.load import load_settings

    raise typer.Exit(_stop(load_settings(config)))


def _stop(settings: "Settings") -> Exit:
    """Ask the running supervisor to stop everything; without one, end what it left running."""
    from filelock import FileLock, Timeout

    from yivideo_pipeline.cli.running_ui import last_ui
    from yivideo_pipeline.cli.single import end_leftovers

    console, lock = open_console(), FileLock(settings.home / "dagster" / "up.lock")
    if not Path(lock.lock_file).exists():
        console.print("Nothing was running.")
        return Exit.DONE
    try:
        with lock.acquire(timeout=0):
            left = end_leftovers(settings.home)
        console.print(f"Ended what was left running: {left}" if left else "Nothing was running.")
        return Exit.DONE
    except Timeout:
        pass  # the kernel holds the lock for the process that noted itself, so its number is no other's
    running = last_ui(settings.home)
    if running is None:
        raise WrongUsage("It is just starting", "Try again")
    os.kill(running["pid"], signal.SIGTERM)
    try:
        lock.acquire(timeout=STOP_S).lock.release()
    except Timeout:
        raise ServiceUnreachable(
            f"Process {running['pid']} has not ended within {STOP_S:.0f} s", "Look into the folder logs"
        ) from None
    console.print("Stopped.")
    return Exit.DONE


def _show(found: dict[str, Any]) -> None:
    console = open_console()
    running = sum(one["state"] == "RUNNING" for one in found["replicas"])
    state = found["problem"] or f"{found['status'].lower()} {found['message']}".strip()
    console.print(f"Replicas: {running} of {found['wanted']} running; {state}")
    console.print(f"Waiting: {plural(len(found['waiting']), 'request')}")
    print_table(
        ["node", "address", "state", "cores", "GPUs"],
        (
            [
                one["id"][:8],
                one["address"] + (" (head)" if one["is_head"] else ""),
                one["state"].lower(),
                f"{one['cpus']:g}",
                f"{one['gpus']:g}",
            ]
            for one in found["nodes"]
        ),
        numbers={"cores", "GPUs"},
    )
    print_table(
        ["replica", "node", "state", "since", "done", "works on"],
        (
            [
                one["id"],
                one["node"][:8],
                one["state"].lower(),
                moment(one["since"]) if one["since"] else "",
                str(one["done"]),
                [_describe(request) for request in one["requests"]],
            ]
            for one in found["replicas"]
        ),
        numbers={"done"},
    )
    for one in found["events"]:
        console.print(f"{moment(datetime.fromisoformat(one['at']).timestamp())}  {one['text']}")


def _describe(request: dict[str, Any]) -> str:
    again = f", sent {request['attempts']} times" if request["attempts"] > 1 else ""
    return (
        f"{request['kind']} {clock(request['sound_s'])} of sound, {request['fraction']:.0%}, since"
        f" {moment(request['since'])}{again}"
    )
