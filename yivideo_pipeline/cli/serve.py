"""`yivideo serve`: the models and the gateway API, until somebody stops it."""

import logging
import socket
from pathlib import Path

from yivideo_pipeline.cli.exits import Exit, WrongUsage
from yivideo_pipeline.cli.logs import open_log
from yivideo_pipeline.cli.text import open_console
from yivideo_pipeline.settings.environment import apply_environment
from yivideo_pipeline.settings.load import load_settings

GRACE_S = 30
"""How long requests may go on after somebody asked for the stop."""


def serve(config: Path | None, host: str | None, port: int | None, insecure: bool) -> Exit:
    """Answer requests until SIGINT or SIGTERM.

    Args:
        config: Settings file.
        host: In place of service.host.
        port: In place of service.port.
        insecure: Whether other machines may ask without a key.

    Raises:
        WrongUsage: the port is taken.
        YivideoError: the settings are wrong, or open the service to others without a key.
    """
    import uvicorn

    from yivideo_pipeline.service.app import create_app

    settings = load_settings(config)
    given = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    settings = settings.model_copy(update={"service": settings.service.model_copy(update=given)})
    open_log(settings.home)
    apply_environment(settings)
    service = settings.service
    _require_free(service.host, service.port)
    app = create_app(settings, config, insecure)
    console = open_console()
    shown = f"[{service.host}]" if ":" in service.host else service.host
    console.print(f"yivideo serves http://{shown}:{service.port} (Ctrl-C stops it)", markup=False)
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    uvicorn.run(
        app,
        host=service.host,
        port=service.port,
        log_config=None,  # into our own log
        access_log=False,
        timeout_graceful_shutdown=GRACE_S,
        server_header=False,
    )
    return Exit.DONE


def _require_free(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise WrongUsage(
                f"{host} port {port} can't be used ({error.strerror})", f"Choose another: --port {port + 1}"
            ) from error
