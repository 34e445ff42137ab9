"""The programs of `yivideo up`: how each is started, and when it answers."""

import os
import sys
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import yaml

from yivideo_pipeline.cli.alone import MARK
from yivideo_pipeline.cli.serve import address_of
from yivideo_pipeline.cli.supervisor import Service
from yivideo_pipeline.settings.model import Settings

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
