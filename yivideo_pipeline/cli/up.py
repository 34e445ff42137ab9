"""`yivideo up`: Dagster's UI, daemon and code location and the service, started and stopped together."""

import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import yaml
from rich.console import Console

from yivideo_pipeline.cli.console import Exit, complain, open_console, open_log, printable, show_path
from yivideo_pipeline.cli.preflight import require_writable
from yivideo_pipeline.cli.serve import address_of, require_free
from yivideo_pipeline.cli.supervisor import MARK, Keeper, Service, end_left_over, only_one, stop, wait_until
from yivideo_pipeline.settings.load import apply_environment, load_settings
from yivideo_pipeline.settings.model import Settings

# PART cli/programs.py: The programs of `yivideo up`: how each is started, and when it answers.

HOST = "127.0.0.1"
_ROOT = Path(__file__).resolve().parents[2]


def url_of(port: int) -> str:
    """Return the UI's address."""
    return f"http://{HOST}:{port}"


class Programs:
    """The programs of Dagster, the service beside them, and what they share.

    Args:
        settings: Say where the home folder is, and where the service answers.
        config: Settings file, for the code location and the service to read too.
        port: Where the UI answers, on this machine alone.
        folder: A short-lived folder; the code server's socket lies in it.
    """

    def __init__(self, settings: Settings, config: Path | None, port: int, folder: Path) -> None:
        from yivideo_pipeline.stages import LOCATION

        self.url = url_of(port)
        self._socket = folder / "code.sock"
        self.logs = settings.home / "logs"
        self._location = LOCATION
        self._port = port
        self.service_url = address_of(settings.service)
        self._environment = _environment(settings, config) | self._addresses(settings)
        # As `workspace.yaml` of the checkout, but with one code server for the UI and the daemon both.
        self._workspace = folder / "workspace.yaml"
        served = {"grpc_server": {"socket": str(self._socket), "location_name": LOCATION}}
        self._workspace.write_text(yaml.safe_dump({"load_from": [served]}), encoding="utf-8")

    def service(self) -> Service:
        """Start what keeps the models loaded, for runs and for people."""
        return self._start("service", "yivideo_pipeline", "serve")

    def code_server(self) -> Service:
        """Start what loads the definitions and runs the runs."""
        where = ["--socket", str(self._socket), "--location-name", self._location]
        what = ["--module-name", f"{self._location}.definitions", "--working-directory", str(_ROOT)]
        return self._start("code-server", "dagster", "code-server", "start", *where, *what)

    def webserver(self) -> Service:
        """Start the UI."""
        where = ["--host", HOST, "--port", str(self._port), "--workspace", str(self._workspace)]
        return self._start("webserver", "dagster_webserver", *where)

    def daemon(self) -> Service:
        """Start what runs schedules, sensors, backfills and the queue."""
        return self._start("daemon", "dagster._daemon", "run", "--workspace", str(self._workspace))

    def code_server_answers(self) -> bool:
        """Tell whether the definitions are loaded."""
        from dagster._core.errors import DagsterUserCodeUnreachableError
        from dagster._grpc.client import DagsterGrpcClient

        try:
            DagsterGrpcClient(socket=str(self._socket)).ping("")
        except DagsterUserCodeUnreachableError:
            return False
        return True

    def webserver_answers(self) -> bool:
        """Tell whether the UI can be used."""
        try:
            with urlopen(f"{self.url}/server_info", timeout=2) as answer:
                return answer.status == 200
        except (URLError, TimeoutError, ConnectionError):
            return False

    def service_answers(self) -> bool:
        """Tell whether the service can be asked."""
        from yivideo_pipeline.remote.client import Service as Address

        return Address(self.service_url).answers()

    def _addresses(self, settings: Settings) -> dict[str, str]:
        """Where the programs find each other, unless a person has said it; the key is in their settings."""
        told = {
            "speech.service_url": ("YIVIDEO_SPEECH__SERVICE_URL", self.service_url),
            "service.dagster_url": ("YIVIDEO_SERVICE__DAGSTER_URL", self.url),
        }
        return dict(told[field] for field in told if settings.origin(field) == "default")

    def _start(self, name: str, module: str, *arguments: str) -> Service:
        return Service(name, [sys.executable, "-m", module, *arguments], self._environment, self.logs)


def _environment(settings: Settings, config: Path | None) -> dict[str, str]:
    environment = {**os.environ, "YIVIDEO_HOME": str(settings.home), MARK: str(settings.home)}
    environment["DAGSTER_HOME"] = str(settings.home / "dagster")
    if config:
        environment["YIVIDEO_CONFIG"] = str(config.absolute())
    # Without compiled files each process would take a second longer to import Dagster.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    return environment


START_PATIENCE_S = 120.0
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run_services(port: int, service_port: int | None, config: Path | None) -> Exit:
    """Start the services and keep them until somebody stops this program, or one of Dagster's ends.

    The service with the models is started again where it ends: runs can do without it.

    Args:
        port: Where the UI answers, on this machine alone.
        service_port: In place of service.port.
        config: Settings file.

    Raises:
        WrongUsage: a port is taken, or the home folder is in use by another one.
        YivideoError: the settings are wrong, or open the service to others without a key, or the home
            folder can't be written.
    """
    from yivideo_pipeline.service.middleware import require_safe

    if service_port is not None:
        os.environ["YIVIDEO_SERVICE__PORT"] = str(service_port)  # for all that are started, too
    settings = load_settings(config)
    require_safe(settings.service, insecure=False)
    open_log(settings.home)
    apply_environment(settings)
    console = open_console()
    with (
        only_one(settings.home, url_of(port)),
        _stop_signals() as (asked, hurry),
        tempfile.TemporaryDirectory(prefix="yivideo-") as folder,
    ):
        left = end_left_over(settings.home)
        if left:
            console.print(f"Processes ended that a killed yivideo up had left: {left}")
        require_free(HOST, port)
        require_free(settings.service.host, settings.service.port, "--service-port")
        console.print(f"Starting Dagster; its state is in {show_path(settings.home / 'dagster')}")
        _prepare_instance(settings, console)
        _make_inbox(settings)
        services: list[Service] = []
        programs = Programs(settings, config, port, Path(folder))
        keeper = Keeper(programs.service, console.print)
        try:
            return _start_and_watch(programs, services, keeper, asked, console)
        finally:
            _stop_all([*services, keeper.service], hurry, console)


def _start_and_watch(
    programs: Programs, services: list[Service], keeper: Keeper, asked: threading.Event, console: Console
) -> Exit:
    """Start one service after the other, then wait; `services` gets each as soon as it runs."""
    services.append(programs.code_server())
    if _wait_for(programs.code_server_answers, services, asked):
        # Both ask the code server at their start, and hardly ever again.
        services.append(programs.webserver())
        services.append(programs.daemon())
        if _wait_for(programs.webserver_answers, services, asked):
            _wait_for(programs.service_answers, [*services, keeper.service], asked)  # runs can do without
            console.print(
                f"Dagster's UI: {programs.url}, the service: {programs.service_url}"
                f" (logs in {show_path(programs.logs)}; Ctrl-C stops all)"
            )
            while not asked.wait(0.5) and not _ended(services):
                keeper.look()
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
    try:
        console.print("Stopping.")
    finally:  # the terminal or the reader of the pipe may be gone
        killed = stop(services, hurry)
    names = ", ".join(service.name for service in killed)
    console.print(f"Stopped; {names} had to be killed." if killed else "Stopped.")


def _prepare_instance(settings: Settings, console: Console) -> None:
    """Write the instance's configuration where it is missing, and close runs whose process is gone."""
    from yivideo_pipeline.defs.instance import (
        SERVED,
        close_abandoned_runs,
        has_older_defaults,
        limit_models,
        open_instance,
    )

    with open_instance(settings.home) as instance:
        limit_models(instance, SERVED if _uses_service(settings) else settings.runs.gpu_slots)
        closed = close_abandoned_runs(instance, alone=True)
    if closed:
        console.print(f"Runs closed since their process is gone: {len(closed)}. Dagster tries again.")
    if has_older_defaults(settings.home):
        file = show_path(settings.home / "dagster" / "dagster.yaml")
        console.print(f"{file} is of an earlier version: delete it, and it is written anew at the next start")


def _uses_service(settings: Settings) -> bool:
    """Tell whether runs ask a service for its model: ours, unless a person has said otherwise."""
    return bool(settings.speech.service_url) or settings.origin("speech.service_url") == "default"


def _make_inbox(settings: Settings) -> None:
    """Make the folder that is watched where nobody has named another; others may be disks to mount."""
    if settings.origin("library.roots") == "default":
        for root in settings.library.roots.values():
            require_writable(root, "Name a folder with your videos in library.roots of the settings")


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
