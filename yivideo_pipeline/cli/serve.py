"""`yivideo serve`: the service with the models, its API and its page, until it is stopped."""

import logging
import os
import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from yivideo_pipeline.cli.console import Exit, WrongUsage, open_console, print_problem, show_path
from yivideo_pipeline.cli.folders import ledger_of, make_inbox
from yivideo_pipeline.cli.logs import log_path, open_log
from yivideo_pipeline.cli.signals import StopRequest
from yivideo_pipeline.machine.heap import share_one_heap
from yivideo_pipeline.machine.openmp import let_waiting_threads_sleep
from yivideo_pipeline.settings.database import publish_database
from yivideo_pipeline.settings.load import apply_environment, load_settings
from yivideo_pipeline.settings.sections import ServiceSettings
from yivideo_pipeline.settings.settings import Settings

if TYPE_CHECKING:
    from uvicorn import Server

GRACE_S = 30
"""How long requests may go on after the service was asked to stop."""
STALE_S = 15
"""Connections on which no request comes are closed after one to two times as long."""
_POLL_S = 0.1
_BRIEF_S = 0.5
"""A request that ends within this is not worth a line."""


def serve(config: Path | None, host: str | None, port: int | None, insecure: bool) -> Exit:
    """Answer requests until SIGINT or SIGTERM; a second signal ends the process at once.

    Args:
        config: Settings file.
        host: In place of service.host.
        port: In place of service.port.
        insecure: Whether other machines may send requests without a key.

    Raises:
        WrongUsage: The port is taken.
        YivideoError: The settings are wrong, or open the service to others without a key.
    """
    share_one_heap()
    let_waiting_threads_sleep()
    with StopRequest().listening() as stop:
        # As environment variables they also hold when the settings are read again.
        given = {"YIVIDEO_SERVICE__HOST": host, "YIVIDEO_SERVICE__PORT": port}
        os.environ.update({name: str(value) for name, value in given.items() if value is not None})
        settings = load_settings(config)
        open_log(settings.home)
        apply_environment(settings)
        publish_database(settings.storage.read_database_url())
        ledger_of(settings)  # a newer program's home is refused before anything is loaded
        make_inbox(settings)
        require_free_port(settings.service.host, settings.service.port)
        return _run(_build_server(settings, config, insecure), settings.service, stop)


def address_of(service: ServiceSettings) -> str:
    """Return the address at which programs on this machine reach the service."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(service.host, service.host)
    return f"http://[{host}]:{service.port}" if ":" in host else f"http://{host}:{service.port}"


def require_free_port(host: str, port: int, option: str = "--port") -> None:
    """Check that no other program uses a port.

    Raises:
        WrongUsage: It can't be used.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise WrongUsage(
                f"Port {port} can't be used on {host} ({error.strerror})",
                f"Choose another: {option} {port + 1}",
            ) from error


def _build_server(settings: Settings, config: Path | None, insecure: bool) -> "Server":
    from uvicorn import Config, Server

    from yivideo_pipeline.service.app import create_app
    from yivideo_pipeline.service.connections import StaleConnections

    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    server = Server(
        Config(
            create_app(settings, config, insecure),
            host=settings.service.host,
            port=settings.service.port,
            log_config=None,  # into our own log
            access_log=False,
            timeout_graceful_shutdown=GRACE_S,
            timeout_notify=STALE_S,
            server_header=False,
        )
    )
    server.config.callback_notify = StaleConnections(server.server_state).close
    return server


def _run(server: "Server", service: ServiceSettings, stop: StopRequest) -> Exit:
    """Run the server in a thread of its own, where it leaves signals to this one."""
    console = open_console()
    thread = threading.Thread(target=server.run, name="server")
    thread.start()
    while thread.is_alive() and not server.started and not stop.received:
        thread.join(_POLL_S)
    if server.started:
        console.print(f"yivideo serves {address_of(service)} (Ctrl-C stops it)")
    while thread.is_alive() and not stop.wait(_POLL_S):
        pass
    if not stop.received:
        log = show_path(log_path() or Path("its log"))
        print_problem(f"The service ended by itself; the reason is in {log}.")
        return Exit.FAILED
    server.should_exit = True
    thread.join(_BRIEF_S)
    if thread.is_alive() and server.server_state.tasks:
        console.print(f"Stopping; running requests have {GRACE_S} s (press Ctrl-C again to end at once)")
    thread.join()
    console.print("Stopped.")
    _abandon_work()
    return Exit.DONE


def _abandon_work() -> None:
    """End at once if work goes on: its threads must not meet an interpreter that is half shut down."""
    if any(thread.name in ("request", "speech") for thread in threading.enumerate()):
        logging.shutdown()
        os._exit(Exit.DONE)
