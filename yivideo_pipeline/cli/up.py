"""`yivideo up`: Dagster's UI, daemon and code location, started and stopped together."""

import os
import signal
import socket
import sys
import tempfile
import threading
import urllib.request
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError

import yaml
from rich.console import Console

from yivideo_pipeline.cli.exits import Exit, WrongUsage, complain
from yivideo_pipeline.cli.logs import open_log
from yivideo_pipeline.cli.services import Service, stop, wait_until
from yivideo_pipeline.cli.text import open_console, printable, show_path
from yivideo_pipeline.settings.environment import apply_environment
from yivideo_pipeline.settings.load import load_settings
from yivideo_pipeline.settings.model import Settings

HOST = "127.0.0.1"
START_PATIENCE_S = 120.0
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_ROOT = Path(__file__).resolve().parents[2]


def run_services(port: int, config: Path | None) -> Exit:
    """Start the services and keep them until somebody stops this program, or one of them ends.

    Args:
        port: Where the UI answers, on this machine alone.
        config: Settings file.

    Raises:
        WrongUsage: the port is taken.
        YivideoError: the settings are wrong, or the home folder can't be written.
    """
    settings = load_settings(config)
    open_log(settings.home)
    apply_environment(settings)
    _require_free(port)
    console = open_console()
    with _stop_signals() as (asked, hurry), tempfile.TemporaryDirectory(prefix="yivideo-") as folder:
        console.print(f"Starting Dagster; its state is in {show_path(settings.home / 'dagster')}")
        _open_instance_once(settings)
        services: list[Service] = []
        try:
            return _start_and_watch(_Launch(settings, config, port, Path(folder)), services, asked, console)
        finally:
            _stop_all(services, hurry, console)


class _Launch:
    """The commands of the services, and what they share."""

    def __init__(self, settings: Settings, config: Path | None, port: int, folder: Path) -> None:
        from yivideo_pipeline.defs.stages import LOCATION

        self.url = f"http://{HOST}:{port}"
        self.socket = folder / "code.sock"
        self.logs = settings.home / "logs"
        self._location = LOCATION
        self._port = port
        self._environment = _environment(settings, config)
        # As `workspace.yaml` of the checkout, but with one code server for the UI and the daemon both.
        self._workspace = folder / "workspace.yaml"
        served = {"grpc_server": {"socket": str(self.socket), "location_name": LOCATION}}
        self._workspace.write_text(yaml.safe_dump({"load_from": [served]}), encoding="utf-8")

    def code_server(self) -> Service:
        """Start what loads the definitions and runs the runs."""
        where = ["--socket", str(self.socket), "--location-name", self._location]
        what = ["--module-name", f"{self._location}.definitions", "--working-directory", str(_ROOT)]
        return self._start("code-server", "dagster", "code-server", "start", *where, *what)

    def webserver(self) -> Service:
        """Start the UI."""
        where = ["--host", HOST, "--port", str(self._port), "--workspace", str(self._workspace)]
        return self._start("webserver", "dagster_webserver", *where)

    def daemon(self) -> Service:
        """Start what runs schedules, sensors, backfills and the queue."""
        return self._start("daemon", "dagster._daemon", "run", "--workspace", str(self._workspace))

    def _start(self, name: str, module: str, *arguments: str) -> Service:
        return Service(name, [sys.executable, "-m", module, *arguments], self._environment, self.logs)


def _environment(settings: Settings, config: Path | None) -> dict[str, str]:
    environment = {**os.environ, "YIVIDEO_HOME": str(settings.home)}
    environment["DAGSTER_HOME"] = str(settings.home / "dagster")
    if config:
        environment["YIVIDEO_CONFIG"] = str(config.absolute())
    # Without compiled files each process would take a second longer to import Dagster.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    return environment


def _start_and_watch(
    launch: _Launch, services: list[Service], asked: threading.Event, console: Console
) -> Exit:
    """Start one service after the other, then wait; `services` gets each as soon as it runs."""
    services.append(launch.code_server())
    if _wait_for(lambda: _code_server_answers(launch.socket), services, asked):
        # Both ask the code server at their start, and hardly ever again.
        services += [launch.webserver(), launch.daemon()]
        if _wait_for(lambda: _webserver_answers(launch.url), services, asked):
            console.print(f"Dagster's UI: {launch.url} (logs in {show_path(launch.logs)}; Ctrl-C stops all)")
            while not asked.wait(0.5) and not _ended(services):
                pass
    if asked.is_set():
        return Exit.DONE
    _tell_why(services)
    return Exit.FAILED


def _wait_for(answers: Callable[[], bool], services: Sequence[Service], asked: threading.Event) -> bool:
    """Wait until a service answers; False where it can't any more, or somebody asks to stop."""
    wait_until(lambda: answers() or asked.is_set() or bool(_ended(services)), START_PATIENCE_S)
    return answers() and not asked.is_set() and not _ended(services)


def _ended(services: Sequence[Service]) -> list[Service]:
    return [service for service in services if service.exit_code is not None]


def _tell_why(services: Sequence[Service]) -> None:
    ended = _ended(services)
    if not ended:
        complain(f"The {services[-1].name} did not answer within {START_PATIENCE_S:.0f} s.")
    for service in ended or services[-1:]:
        if service in ended:
            complain(f"The {service.name} ended with exit code {service.exit_code}, so all are stopped.")
        complain(f"Its last lines, from {show_path(service.log)}:")
        for line in service.last_lines():
            complain(f"  {printable(line)}")


def _stop_all(services: Sequence[Service], hurry: threading.Event, console: Console) -> None:
    console.print("Stopping.")
    killed = stop(services, hurry)
    names = ", ".join(service.name for service in killed)
    console.print(f"Stopped; {names} had to be killed." if killed else "Stopped.")


def _require_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise WrongUsage(
                f"Port {port} can't be used ({error.strerror})", f"Choose another: --port {port + 1}"
            ) from error


def _open_instance_once(settings: Settings) -> None:
    """Write the instance's configuration where it is missing, and close runs whose process is gone."""
    from yivideo_pipeline.defs.instance import close_abandoned_runs, open_instance

    with open_instance(settings.home) as instance:
        close_abandoned_runs(instance)


def _code_server_answers(address: Path) -> bool:
    from dagster._core.errors import DagsterUserCodeUnreachableError
    from dagster._grpc.client import DagsterGrpcClient

    try:
        DagsterGrpcClient(socket=str(address)).ping("")
    except DagsterUserCodeUnreachableError:
        return False
    return True


def _webserver_answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/server_info", timeout=2) as answer:
            return answer.status == 200
    except (URLError, TimeoutError, ConnectionError):
        return False


@contextmanager
def _stop_signals() -> Generator[tuple[threading.Event, threading.Event]]:
    """Turn signals that end a program into events: asked to stop, and asked once more."""
    asked, hurry = threading.Event(), threading.Event()

    def note(_number: int, _frame: object) -> None:
        (hurry if asked.is_set() else asked).set()

    # A handler also matters to the services: what their parent ignores, as a shell's background
    # job does SIGINT, a new program would ignore too.
    before = {number: signal.signal(number, note) for number in _STOP_SIGNALS}
    try:
        yield asked, hurry
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
