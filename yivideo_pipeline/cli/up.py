"""`yivideo up`: Dagster's UI, daemon and code location and the service, started and stopped together."""

import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import URLError
from urllib.request import urlopen

import yaml
from rich.console import Console

from yivideo_pipeline.cli.console import Exit, open_console, print_problem, printable, show_path
from yivideo_pipeline.cli.folders import ledger_of, make_inbox
from yivideo_pipeline.cli.logs import open_log
from yivideo_pipeline.cli.ray_nodes import RayNodes, prepare_cluster
from yivideo_pipeline.cli.serve import address_of, require_free_port
from yivideo_pipeline.cli.signals import STOP_SIGNALS, StopRequest
from yivideo_pipeline.cli.single import MARK, end_leftovers, single_for_database, single_for_home
from yivideo_pipeline.cli.supervisor import SupervisedProgram, Supervisor, stop_programs, wait_until
from yivideo_pipeline.ledger import open_ledger
from yivideo_pipeline.ledger.postgres import describe
from yivideo_pipeline.settings.database import publish_database
from yivideo_pipeline.settings.load import apply_environment, load_settings
from yivideo_pipeline.settings.settings import Settings
from yivideo_pipeline.stages import LOCATION

if TYPE_CHECKING:
    from dagster import DagsterRun

HOST = "127.0.0.1"
ANY_HOST = "0.0.0.0"
START_TIMEOUT_S = 120.0
_CHECK_S = 0.5
_ROOT = Path(__file__).resolve().parents[2]


def run_services(
    port: int,
    service_port: int | None,
    config: Path | None,
    *,
    publish_ui: bool = False,
    cluster: bool = False,
) -> Exit:
    """Start Dagster and the service and keep them running until the user stops them.

    A program that ends is restarted. All stop when one of Dagster's ends while they start, or again and
    again; they go on without the service, since runs can do without it.

    Args:
        port: Port of the UI, which answers this machine only.
        service_port: In place of service.port.
        config: Settings file.
        publish_ui: Whether the UI listens on all interfaces, as it must where a container's port is published
            on this machine. It still answers no request that names another host.
        cluster: Whether replicas on Ray hold the models, in place of the service itself.

    Raises:
        WrongUsage: A port is taken, or the home folder is in use by another `yivideo up`.
        YivideoError: The settings are wrong, or open the service to others without a key, or the home
            folder can't be written.
    """
    if service_port is not None:
        os.environ["YIVIDEO_SERVICE__PORT"] = str(service_port)  # for all programs that are started, too
    settings = _read_settings(config, cluster)
    console = open_console()
    hurry = threading.Event()
    with (
        single_for_home(settings.home, url_of(port), address_of(settings.service)),
        StopRequest(on_repeat=hurry.set).listening((*STOP_SIGNALS, signal.SIGHUP)) as stop,
        tempfile.TemporaryDirectory(prefix="yivideo-") as folder,
        ExitStack() as turn,
    ):
        leftovers = end_leftovers(settings.home)
        if leftovers:
            console.print(f"Ended processes that a killed yivideo up had left running: {leftovers}")
        ui_host = ANY_HOST if publish_ui else HOST
        require_free_port(ui_host, port)
        require_free_port(settings.service.host, settings.service.port, "--service-port")
        turn.enter_context(_claim_state(settings, stop, console))
        _prepare_instance(settings, console)
        make_inbox(settings)
        programs = Programs(settings, config, (ui_host, port), Path(folder))
        ray = RayNodes(settings, programs.environment, console.print) if cluster else None
        services = Services(programs, stop, console, ray)
        try:
            return services.run()
        finally:
            services.stop_all(hurry)


def _read_settings(config: Path | None, cluster: bool) -> Settings:
    """Return the settings, which hold for this process and all that it starts, its log among them."""
    from yivideo_pipeline.service.middleware import require_safe

    settings = load_settings(config)
    require_safe(settings.service, insecure=False)
    if cluster:
        prepare_cluster(settings)
        settings = load_settings(config)
    open_log(settings.home)
    apply_environment(settings)
    publish_database(settings.storage.read_database_url())
    return settings


@contextmanager
def _claim_state(settings: Settings, stop: StopRequest, console: Console) -> Generator[None]:
    """Open what Dagster and the ledger keep: migrate it, or refuse a newer program's, or another host's."""
    ledger, database = ledger_of(settings), settings.storage.read_database_url()
    state = describe(database) if database else show_path(settings.home / "dagster")
    with single_for_database(ledger.leases, state, stop, console) if database else nullcontext():
        console.print(f"Starting Dagster; its state is in {state}")
        yield


def url_of(port: int) -> str:
    """Return the UI's address."""
    return f"http://{HOST}:{port}"


class Programs:
    """The programs of `yivideo up`: how each is started, and whether it answers.

    Args:
        settings: They name the home folder and the address of the service.
        config: Settings file, which the code location and the service read too.
        ui: Address and port that the UI listens on.
        folder: A temporary folder for the code server's socket.
    """

    def __init__(self, settings: Settings, config: Path | None, ui: tuple[str, int], folder: Path) -> None:
        self.url = url_of(ui[1])
        self.service_url = address_of(settings.service)
        self.logs = settings.home / "logs"
        self._home, self._database = settings.home, settings.storage.read_database_url()
        self._ui = ui
        self._socket = folder / "code.sock"
        self.environment = _environment(settings, config) | self._addresses(settings)
        # Like `workspace.yaml` of the checkout, but with one code server for both the UI and the daemon.
        self._workspace = folder / "workspace.yaml"
        server = {"grpc_server": {"socket": str(self._socket), "location_name": LOCATION}}
        self._workspace.write_text(yaml.safe_dump({"load_from": [server]}), encoding="utf-8")

    def service(self) -> SupervisedProgram:
        """Start the service, which keeps the models loaded."""
        return self._start("service", "yivideo_pipeline", "serve")

    def code_server(self) -> SupervisedProgram:
        """Start the code server, which loads the definitions and starts the runs.

        Not by `dagster code-server start`: that goes on without noticing when the server behind it is killed.
        """
        where = ["--socket", str(self._socket), "--location-name", LOCATION]
        what = ["--module-name", f"{LOCATION}.definitions", "--working-directory", str(_ROOT)]
        return self._start("code-server", "yivideo_pipeline.cli.code_server", *where, *what)

    def webserver(self) -> SupervisedProgram:
        """Start the UI."""
        host, port = self._ui
        where = ["--host", host, "--port", str(port), "--workspace", str(self._workspace)]
        return self._start("webserver", "yivideo_pipeline.cli.webserver", *where)

    def daemon(self) -> SupervisedProgram:
        """Start the daemon, which runs schedules, sensors, backfills and the queue."""
        from yivideo_pipeline.defs.dagster_internals import DAEMON_MODULE

        return self._start("daemon", DAEMON_MODULE, "run", "--workspace", str(self._workspace))

    def find_abandoned_runs(self) -> "list[DagsterRun]":
        """Return the runs whose process is gone, while no code server runs."""
        from yivideo_pipeline.defs.instance import find_abandoned_runs, open_instance

        # Of a database other hosts may have workers; a home of files has this host's alone.
        workers = open_ledger(self._home, self._database).workers if self._database else None
        with open_instance(self._home, self._database) as instance:
            return find_abandoned_runs(instance, alone=True, ledger=workers)

    def close_runs(self, abandoned: "list[DagsterRun]") -> int:
        """Close abandoned runs; returns how many there were."""
        from yivideo_pipeline.defs.instance import close_runs, open_instance

        with open_instance(self._home, self._database) as instance:
            return len(close_runs(instance, abandoned))

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
            "notices.ui_url": ("YIVIDEO_NOTICES__UI_URL", self.url),
        }
        return dict(pair for field, pair in by_field.items() if settings.origin(field) == "default")

    def _start(self, name: str, module: str, *arguments: str) -> SupervisedProgram:
        command = [sys.executable, "-m", module, *arguments]
        return SupervisedProgram(name, command, self.environment, self.logs)


def _environment(settings: Settings, config: Path | None) -> dict[str, str]:
    environment = {**os.environ, "YIVIDEO_HOME": str(settings.home), MARK: str(settings.home)}
    environment["DAGSTER_HOME"] = str(settings.home / "dagster")
    if config:
        environment["YIVIDEO_CONFIG"] = str(config.absolute())
    # Without compiled files each process would take a second longer to import Dagster.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    return environment


def _prepare_instance(settings: Settings, console: Console) -> None:
    """Write the instance's configuration where it is missing, and limit how many steps use a model."""
    from yivideo_pipeline.defs.instance import SERVED, has_older_defaults, limit_models, open_instance

    with open_instance(settings.home, settings.storage.read_database_url()) as instance:
        limit_models(instance, SERVED if _uses_service(settings) else settings.runs.gpu_slots)
    if has_older_defaults(settings.home):
        file = show_path(settings.home / "dagster" / "dagster.yaml")
        console.print(
            f"{file} is of an earlier version: delete it, and the next start writes the current one"
        )


def _uses_service(settings: Settings) -> bool:
    """Return whether runs use a service's model: that of ours, unless the user's settings say otherwise."""
    return bool(settings.speech.service_url) or settings.origin("speech.service_url") == "default"


class Services:
    """What `yivideo up` keeps running, from the first start to the end.

    Args:
        programs: How each is started.
        stop: Whether the user asked to stop.
        console: Where users read what happens.
        ray: The nodes whose replicas hold the models; None: the service does.
    """

    def __init__(
        self, programs: Programs, stop: StopRequest, console: Console, ray: RayNodes | None = None
    ) -> None:
        self._programs = programs
        self._ray = ray
        self._stop = stop
        self._console = console
        if ray:
            ray.start()
        without = "runs wait for it" if ray else "runs load the model themselves"
        self._service = self._supervise(programs.service, without)
        self._dagster: list[Supervisor] = []
        self._abandoned: list[DagsterRun] = []

    def run(self) -> Exit:
        """Start one program after the other, then watch them until the user stops them or one can't run."""
        programs = self._programs
        self._dagster.append(self._supervise(self._start_code_server, "no run starts"))
        if self._wait_for(programs.code_server_answers):
            self._close_abandoned()
            # Both load the definitions at their start: a daemon that can't gives up the retries that are due.
            there = programs.code_server_answers
            self._dagster.append(self._supervise(programs.webserver, "Dagster's UI does not answer", there))
            self._dagster.append(self._supervise(programs.daemon, "no run starts by itself", there))
            if self._wait_for(programs.webserver_answers):
                self._wait_for(programs.service_answers, self._service)  # runs can do without
                self._watch()
        if self._stop.received:
            return Exit.DONE
        self._report_end()
        return Exit.FAILED

    def stop_all(self, hurry: threading.Event) -> None:
        """End all programs; once `hurry` is set, what still runs is killed."""
        programs = [one.program for one in (*self._dagster, self._service)]
        try:
            self._console.print("Stopping.")
        finally:  # the terminal or the reader of the pipe may be gone
            killed = stop_programs(programs, hurry)
            if self._ray:
                self._ray.stop()
        names = ", ".join(program.name for program in killed)
        self._console.print(f"Stopped; {names} had to be killed." if killed else "Stopped.")

    def _start_code_server(self) -> SupervisedProgram:
        """Start the code server; the runs of the one before ended with it."""
        self._abandoned = self._programs.find_abandoned_runs()
        return self._programs.code_server()

    def _close_abandoned(self) -> None:
        """Close the abandoned runs once the code server answers; without it Dagster could not retry them."""
        if self._abandoned and self._programs.code_server_answers():
            closed = self._programs.close_runs(self._abandoned)
            self._abandoned = []
            if closed:
                self._console.print(f"Closed runs whose process is gone: {closed}. Dagster retries them.")

    def _supervise(
        self,
        start: Callable[[], SupervisedProgram],
        without: str,
        ready: Callable[[], bool] = lambda: True,
    ) -> Supervisor:
        return Supervisor(start, without, self._console.print, ready=ready)

    def _watch(self) -> None:
        if self._stop.received:
            return
        programs = self._programs
        self._console.print(
            f"Dagster's UI: {programs.url}, the service: {programs.service_url}"
            f" (logs in {show_path(programs.logs)}; Ctrl-C stops all)"
        )
        while not self._stop.wait(_CHECK_S) and not any(one.has_given_up for one in self._dagster):
            for one in (*self._dagster, self._service):
                one.check()
            self._close_abandoned()
            if self._ray:
                self._ray.check()

    def _wait_for(self, answers: Callable[[], bool], *others: Supervisor) -> bool:
        """Wait until a program answers; False if it can't any more, or the user asks to stop."""

        def is_hopeless() -> bool:
            return self._stop.received or not all(one.is_running for one in (*self._dagster, *others))

        wait_until(lambda: answers() or is_hopeless(), START_TIMEOUT_S)
        return answers() and not is_hopeless()

    def _ended(self) -> list[SupervisedProgram]:
        return [one.program for one in self._dagster if not one.is_running]

    def _report_end(self) -> None:
        """Print which of Dagster's programs ended, or did not answer, with their last lines."""
        ended = self._ended()
        last = self._dagster[-1].program
        if not ended:
            print_problem(f"The {last.name} did not answer within {START_TIMEOUT_S:.0f} s.")
        for program in ended or [last]:
            if program in ended:
                print_problem(
                    f"The {program.name} ended with exit code {program.exit_code}, so all are stopped."
                )
            print_problem(f"Its last lines, from {show_path(program.log)}:")
            for line in program.last_lines():
                print_problem(f"  {printable(line)}")
