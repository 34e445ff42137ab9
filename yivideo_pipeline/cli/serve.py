"""`yivideo serve`: the models and the gateway API, until somebody stops it."""

import logging
import os
import signal
import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from yivideo_pipeline.cli.console import (
    Exit,
    WrongUsage,
    complain,
    log_path,
    open_console,
    open_log,
    show_path,
)
from yivideo_pipeline.settings.load import apply_environment, load_settings
from yivideo_pipeline.settings.model import ServiceSettings, Settings
from yivideo_pipeline.speech.runtime import limit_arenas

if TYPE_CHECKING:
    from uvicorn import Server

GRACE_S = 30
"""How long requests may go on after somebody asked for the stop."""
_POLL_S = 0.1


def serve(config: Path | None, host: str | None, port: int | None, insecure: bool) -> Exit:
    """Answer requests until SIGINT or SIGTERM; a second one ends at once.

    Args:
        config: Settings file.
        host: In place of service.host.
        port: In place of service.port.
        insecure: Whether other machines may ask without a key.

    Raises:
        WrongUsage: the port is taken.
        YivideoError: the settings are wrong, or open the service to others without a key.
    """
    limit_arenas()
    with _stop_signals() as stop:
        # As variables they hold too when the settings are read again.
        given = {"YIVIDEO_SERVICE__HOST": host, "YIVIDEO_SERVICE__PORT": port}
        os.environ.update({name: str(value) for name, value in given.items() if value is not None})
        settings = load_settings(config)
        open_log(settings.home)
        apply_environment(settings)
        require_free(settings.service.host, settings.service.port)
        return _run(_build_server(settings, config, insecure), settings.service, stop, open_console())


def address_of(service: ServiceSettings) -> str:
    """Return the address at which this machine's programs reach the service."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(service.host, service.host)
    return f"http://[{host}]:{service.port}" if ":" in host else f"http://{host}:{service.port}"


def require_free(host: str, port: int, option: str = "--port") -> None:
    """Refuse a port that another program has.

    Raises:
        WrongUsage: it can't be used.
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

    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    return Server(
        Config(
            create_app(settings, config, insecure),
            host=settings.service.host,
            port=settings.service.port,
            log_config=None,  # into our own log
            access_log=False,
            timeout_graceful_shutdown=GRACE_S,
            server_header=False,
        )
    )


def _run(server: "Server", service: ServiceSettings, stop: "_Stop", console: Console) -> Exit:
    """Run the server in a thread of its own, where it leaves signals to this one."""
    thread = threading.Thread(target=server.run, name="server")
    thread.start()
    while thread.is_alive() and not (server.started or stop.asked):
        thread.join(_POLL_S)
    if server.started:
        console.print(f"yivideo serves {address_of(service)} (Ctrl-C stops it)")
    while thread.is_alive() and not stop.asked:
        thread.join(_POLL_S)
    if not stop.asked:
        complain(f"The service ended by itself; {show_path(log_path() or Path('its log'))} says why.")
        return Exit.FAILED
    if server.server_state.tasks:
        console.print(f"Stopping; requests in work have {GRACE_S} s (Ctrl-C once more ends at once)")
    server.should_exit = True
    thread.join()
    console.print("Stopped.")
    _leave_threads()
    return Exit.DONE


def _leave_threads() -> None:
    """End here and now if work goes on: its threads must not meet an interpreter half taken down."""
    if any(thread.name in ("request", "speech") for thread in threading.enumerate()):
        logging.shutdown()
        os._exit(Exit.DONE)


class _Stop:
    """Whether somebody asked to stop, by a signal; asked once more, the program ends where it stands.

    Files are renamed into place, so none is left half-written.
    """

    def __init__(self) -> None:
        self.asked = False

    def note(self, _number: int, _frame: object) -> None:
        """Handle a signal; takes no lock, since the thread that it interrupts may hold any."""
        if self.asked:
            os._exit(Exit.INTERRUPTED)
        self.asked = True


@contextmanager
def _stop_signals() -> Generator[_Stop]:
    """Handle SIGINT and SIGTERM; without a handler what a shell starts in the background hears no SIGINT."""
    stop = _Stop()
    before = {number: signal.signal(number, stop.note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
