"""`yivideo up`: Dagster's UI, daemon and code location and the service, started and stopped together.

One `yivideo up` runs for a home folder: two daemons on one Dagster instance would do everything twice.
"""

import json
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import psutil
import yaml
from filelock import FileLock, Timeout
from rich.console import Console

from yivideo_pipeline.cli.console import Exit, WrongUsage, open_console, print_problem, printable, show_path
from yivideo_pipeline.cli.folders import ledger_of, require_writable
from yivideo_pipeline.cli.logs import open_log
from yivideo_pipeline.cli.serve import address_of, require_free_port
from yivideo_pipeline.cli.signals import STOP_SIGNALS, StopRequest
from yivideo_pipeline.cli.supervisor import SupervisedProgram, Supervisor, stop_programs, wait_until
from yivideo_pipeline.settings.load import apply_environment, load_settings
from yivideo_pipeline.settings.settings import Settings
from yivideo_pipeline.stages import LOCATION

MARK = "_YIVIDEO_UP"
"""Environment variable of all processes that `yivideo up` starts: the home folder that they serve."""
_TIMEOUT_S = 5.0


@contextmanager
def single_instance(home: Path, url: str) -> Generator[None]:
    """Lock the home folder for this program; the kernel releases it however the program ends.

    Args:
        home: The home folder.
        url: Address of the UI; another `yivideo up` on this home reports it.

    Raises:
        WrongUsage: Another program holds the lock.
    """
    folder = home / "dagster"
    folder.mkdir(parents=True, exist_ok=True)
    holder = folder / "up.json"
    lock = FileLock(folder / "up.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise WrongUsage(
            f"yivideo up already runs for {show_path(home)}: {_describe(holder)}",
            "Stop it first, or give this one another home: YIVIDEO_HOME",
        ) from error
    with lock:
        holder.write_text(json.dumps({"pid": os.getpid(), "url": url}), encoding="utf-8")
        yield


def end_leftovers(home: Path) -> int:
    """End what a killed `yivideo up` of this home left running; returns the number of processes.

    To be called while the home is locked: then no other process that carries the mark can be at work.
    """
    left = [process for process in psutil.process_iter() if _serves(process, home)]
    _signal(left, signal.SIGTERM)
    _signal(psutil.wait_procs(left, timeout=_TIMEOUT_S)[1], signal.SIGKILL)
    psutil.wait_procs(left, timeout=_TIMEOUT_S)
    return len(left)


def _signal(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):  # it ended by itself in between
            process.send_signal(number)


def _serves(process: psutil.Process, home: Path) -> bool:
    try:
        return process.pid != os.getpid() and process.environ().get(MARK) == str(home)
    except (psutil.Error, OSError):
        return False  # it ended meanwhile, or belongs to another user


def _describe(holder: Path) -> str:
    try:
        running = json.loads(holder.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return "it is just starting"
    return f"{running['url']} (process {running['pid']})"


HOST = "127.0.0.1"
START_TIMEOUT_S = 120.0
_CHECK_S = 0.5
_ROOT = Path(__file__).resolve().parents[2]


def run_services(port: int, service_port: int | None, config: Path | None) -> Exit:
    """Start Dagster and the service and keep them running until the user stops them.

    They also stop when a program of Dagster's ends. The service is restarted instead: runs can do without it.

    Args:
        port: Port of the UI, which answers this machine only.
        service_port: In place of service.port.
        config: Settings file.

    Raises:
        WrongUsage: A port is taken, or the home folder is in use by another `yivideo up`.
        YivideoError: The settings are wrong, or open the service to others without a key, or the home
            folder can't be written.
    """
    from yivideo_pipeline.service.middleware import require_safe

    if service_port is not None:
        os.environ["YIVIDEO_SERVICE__PORT"] = str(service_port)  # for all programs that are started, too
    settings = load_settings(config)
    require_safe(settings.service, insecure=False)
    open_log(settings.home)
    apply_environment(settings)
    console = open_console()
    hurry = threading.Event()
    with (
        single_instance(settings.home, url_of(port)),
        StopRequest(on_repeat=hurry.set).listening((*STOP_SIGNALS, signal.SIGHUP)) as stop,
        tempfile.TemporaryDirectory(prefix="yivideo-") as folder,
    ):
        leftovers = end_leftovers(settings.home)
        if leftovers:
            console.print(f"Ended processes that a killed yivideo up had left running: {leftovers}")
        ledger_of(settings.home)  # migrates it, or refuses a newer program's, before anything is started
        require_free_port(HOST, port)
        require_free_port(settings.service.host, settings.service.port, "--service-port")
        console.print(f"Starting Dagster; its state is in {show_path(settings.home / 'dagster')}")
        _prepare_instance(settings, console)
        _make_inbox(settings)
        running: list[SupervisedProgram] = []
        programs = Programs(settings, config, port, Path(folder))
        supervisor = Supervisor(programs.service, console.print)
        try:
            return _start_and_watch(programs, running, supervisor, stop, console)
        finally:
            _stop_all([*running, supervisor.program], hurry, console)


def url_of(port: int) -> str:
    """Return the UI's address."""
    return f"http://{HOST}:{port}"


class Programs:
    """The programs of `yivideo up`: how each is started, and whether it answers.

    Args:
        settings: They name the home folder and the address of the service.
        config: Settings file, which the code location and the service read too.
        port: Port of the UI.
        folder: A temporary folder for the code server's socket.
    """

    def __init__(self, settings: Settings, config: Path | None, port: int, folder: Path) -> None:
        self.url = url_of(port)
        self.service_url = address_of(settings.service)
        self.logs = settings.home / "logs"
        self._port = port
        self._socket = folder / "code.sock"
        self._environment = _environment(settings, config) | self._addresses(settings)
        # Like `workspace.yaml` of the checkout, but with one code server for both the UI and the daemon.
        self._workspace = folder / "workspace.yaml"
        server = {"grpc_server": {"socket": str(self._socket), "location_name": LOCATION}}
        self._workspace.write_text(yaml.safe_dump({"load_from": [server]}), encoding="utf-8")

    def service(self) -> SupervisedProgram:
        """Start the service, which keeps the models loaded."""
        return self._start("service", "yivideo_pipeline", "serve")

    def code_server(self) -> SupervisedProgram:
        """Start the code server, which loads the definitions and starts the runs."""
        where = ["--socket", str(self._socket), "--location-name", LOCATION]
        what = ["--module-name", f"{LOCATION}.definitions", "--working-directory", str(_ROOT)]
        return self._start("code-server", "dagster", "code-server", "start", *where, *what)

    def webserver(self) -> SupervisedProgram:
        """Start the UI."""
        where = ["--host", HOST, "--port", str(self._port), "--workspace", str(self._workspace)]
        return self._start("webserver", "dagster_webserver", *where)

    def daemon(self) -> SupervisedProgram:
        """Start the daemon, which runs schedules, sensors, backfills and the queue."""
        from yivideo_pipeline.defs.dagster_internals import DAEMON_MODULE

        return self._start("daemon", DAEMON_MODULE, "run", "--workspace", str(self._workspace))

    def code_server_answers(self) -> bool:
        """Return whether the definitions are loaded."""
        from yivideo_pipeline.defs.dagster_internals import code_server_answers

        return code_server_answers(self._socket)

    def webserver_answers(self) -> bool:
        """Return whether the UI can be used."""
        try:
            with urlopen(f"{self.url}/server_info", timeout=2) as response:
                return response.status == 200
        except (URLError, TimeoutError, ConnectionError):
            return False

    def service_answers(self) -> bool:
        """Return whether the service answers."""
        from yivideo_pipeline.remote.client import ServiceClient

        return ServiceClient(self.service_url).answers()

    def _addresses(self, settings: Settings) -> dict[str, str]:
        """Return where the programs find each other, unless the user's settings say so themselves."""
        by_field = {
            "speech.service_url": ("YIVIDEO_SPEECH__SERVICE_URL", self.service_url),
            "service.dagster_url": ("YIVIDEO_SERVICE__DAGSTER_URL", self.url),
        }
        return dict(pair for field, pair in by_field.items() if settings.origin(field) == "default")

    def _start(self, name: str, module: str, *arguments: str) -> SupervisedProgram:
        command = [sys.executable, "-m", module, *arguments]
        return SupervisedProgram(name, command, self._environment, self.logs)


def _environment(settings: Settings, config: Path | None) -> dict[str, str]:
    environment = {**os.environ, "YIVIDEO_HOME": str(settings.home), MARK: str(settings.home)}
    environment["DAGSTER_HOME"] = str(settings.home / "dagster")
    if config:
        environment["YIVIDEO_CONFIG"] = str(config.absolute())
    # Without compiled files each process would take a second longer to import Dagster.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    return environment


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
        console.print(f"Closed runs whose process is gone: {len(closed)}. Dagster retries them.")
    if has_older_defaults(settings.home):
        file = show_path(settings.home / "dagster" / "dagster.yaml")
        console.print(
            f"{file} is of an earlier version: delete it, and the next start writes the current one"
        )


def _uses_service(settings: Settings) -> bool:
    """Return whether runs use a service's model: that of ours, unless the user's settings say otherwise."""
    return bool(settings.speech.service_url) or settings.origin("speech.service_url") == "default"


def _make_inbox(settings: Settings) -> None:
    """Make the default library root; those that the user named may be disks that are not mounted."""
    if settings.origin("library.roots") == "default":
        for root in settings.library.roots.values():
            require_writable(root, "Name a folder with your videos in library.roots of the settings")


def _start_and_watch(
    programs: Programs,
    running: list[SupervisedProgram],
    supervisor: Supervisor,
    stop: StopRequest,
    console: Console,
) -> Exit:
    """Start one program after the other, then wait; `running` gets each as soon as it runs."""
    running.append(programs.code_server())
    if _wait_for(programs.code_server_answers, running, stop):
        # Both call the code server at their start, and hardly ever again.
        running.append(programs.webserver())
        running.append(programs.daemon())
        if _wait_for(programs.webserver_answers, running, stop):
            _wait_for(programs.service_answers, [*running, supervisor.program], stop)  # runs can do without
            console.print(
                f"Dagster's UI: {programs.url}, the service: {programs.service_url}"
                f" (logs in {show_path(programs.logs)}; Ctrl-C stops all)"
            )
            while not stop.wait(_CHECK_S) and not _ended(running):
                supervisor.check()
    if stop.received:
        return Exit.DONE
    _report_end(running)
    return Exit.FAILED


def _wait_for(answers: Callable[[], bool], running: Sequence[SupervisedProgram], stop: StopRequest) -> bool:
    """Wait until a program answers; False if it can't any more, or the user asks to stop."""
    wait_until(lambda: answers() or stop.received or bool(_ended(running)), START_TIMEOUT_S)
    return answers() and not stop.received and not _ended(running)


def _ended(programs: Sequence[SupervisedProgram]) -> list[SupervisedProgram]:
    return [program for program in programs if program.exit_code is not None]


def _report_end(running: Sequence[SupervisedProgram]) -> None:
    """Print which programs ended, or did not answer, with their last lines."""
    ended = _ended(running)
    if not ended:
        print_problem(f"The {running[-1].name} did not answer within {START_TIMEOUT_S:.0f} s.")
    for program in ended or running[-1:]:
        if program in ended:
            print_problem(f"The {program.name} ended with exit code {program.exit_code}, so all are stopped.")
        print_problem(f"Its last lines, from {show_path(program.log)}:")
        for line in program.last_lines():
            print_problem(f"  {printable(line)}")


def _stop_all(programs: Sequence[SupervisedProgram], hurry: threading.Event, console: Console) -> None:
    try:
        console.print("Stopping.")
    finally:  # the terminal or the reader of the pipe may be gone
        killed = stop_programs(programs, hurry)
    names = ", ".join(program.name for program in killed)
    console.print(f"Stopped; {names} had to be killed." if killed else "Stopped.")
