"""Ray beneath `yivideo cluster up`: a head, nodes beside it, and what Ray Serve shall run there."""

import os
import secrets
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from yivideo_pipeline.cli.console import WrongUsage
from yivideo_pipeline.cli.serve import require_free_port
from yivideo_pipeline.cli.supervisor import SupervisedProgram, Supervisor, stop_programs
from yivideo_pipeline.errors.tree import ServiceUnreachable
from yivideo_pipeline.remote.ray_dashboard import TOKEN_FILE, RayDashboard, ServeState
from yivideo_pipeline.settings.settings import Settings

HOST = "127.0.0.1"
POLL_S = 1.0
_AGENT_PORTS = (
    "--dashboard-agent-grpc-port",
    "--dashboard-agent-listen-port",
    "--runtime-env-agent-port",
    "--metrics-export-port",
)
"""Where a node's agents listen. Left to them, the node waits for 15 s until they say it, and fails else."""
_WITHOUT = ("--no-monitor", "--include-log-monitor", "false")
"""Two programs that nobody uses, and that a start waits for: Ray's own autoscaler, and the one that shows
drivers what workers print."""
RESTART_DELAYS_S = (1.0, 1.0, 5.0, 5.0, 25.0, 60.0)
"""On a busy machine the first starts may fail, each after a wait of 30 s of its own."""
HUNG_S = 180.0
"""A head that runs but has not answered for so long is started again. A start on a busy machine takes up to
60 s, and the gateway's requests wait for `replica_engine.PATIENCE_S`."""
OBJECT_STORE_BYTES = 128 * 2**20
"""Ray's shared memory on each node, which by default is a third of the machine's: replicas don't use it."""


def prepare_cluster(settings: Settings) -> None:
    """Set what all programs of the cluster inherit: its token, where the replicas are, no reports by Ray.

    The token keeps others out, since Ray's ports are open to all that reach this machine.

    Raises:
        WrongUsage: Ray is not installed, or the replicas are somebody else's.
    """
    cluster = settings.cluster
    if find_spec("ray") is None:
        raise WrongUsage("Ray is not installed", "pip install 'yivideo-pipeline[cluster]'")
    if cluster.replicas_url:
        raise WrongUsage(
            f"cluster.replicas_url names replicas that run already: {cluster.replicas_url}",
            "Use them by `yivideo up`, or remove the setting to start others",
        )
    token = settings.home / "cluster" / "token"
    token.parent.mkdir(parents=True, exist_ok=True)
    if not token.exists():
        with os.fdopen(os.open(token, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
            file.write(secrets.token_hex(32))
    os.environ.setdefault(TOKEN_FILE, str(token))
    os.environ.update(
        RAY_AUTH_MODE="token",
        RAY_USAGE_STATS_ENABLED="0",
        YIVIDEO_CLUSTER__REPLICAS_URL=f"http://{HOST}:{cluster.replicas_port}",
    )
    if settings.origin("speech.service_required") == "default":
        os.environ["YIVIDEO_SPEECH__SERVICE_REQUIRED"] = "true"  # a run has no device of its own


def dashboard_port(settings: Settings) -> int:
    """Return the port of Ray's dashboard."""
    return urlsplit(settings.cluster.dashboard_url).port or 8265


class RayNodes:
    """The head and the nodes of this machine, kept running, and the replicas on them.

    Args:
        settings: They say how many there are, and where.
        environment: Of all programs.
        report: Called with one line for the user.

    Raises:
        WrongUsage: A port is taken.
    """

    def __init__(
        self, settings: Settings, environment: Mapping[str, str], report: Callable[[str], object]
    ) -> None:
        self._settings, self._report = settings, report
        for name in ("head_port", "replicas_port"):
            require_free_port(HOST, getattr(settings.cluster, name), f"cluster.{name}:")
        require_free_port(HOST, dashboard_port(settings), "cluster.dashboard_url:")
        self._dashboard = RayDashboard(settings.cluster.dashboard_url)
        # Short, since paths of sockets have at most 107 characters; the logs there outlive this program.
        name = f"yivideo-{zlib.crc32(os.fsencode(settings.home)):08x}"
        self.folder = Path(tempfile.gettempdir()) / name
        # What the head knows is kept in files, so that nodes and replicas go on when it is started again.
        state = settings.home / "cluster" / "gcs"
        for old in (self.folder, state):
            shutil.rmtree(old, ignore_errors=True)
        state.mkdir(parents=True)
        self._environment = {
            **environment,
            "RAY_gcs_storage": "rocksdb",
            "RAY_gcs_storage_path": str(state),
            # By default 15, with which controller, proxy and replicas starve beside the runs of this machine.
            "RAY_worker_niceness": "0",
            # Where dagster-ray's jobs look for `dagster`.
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{environment.get('PATH', os.defpath)}",
        }
        self._supervisors: list[Supervisor] = []
        self._is_up = threading.Event()

    def start(self) -> None:
        """Start the head."""
        self._supervise(self._start_head, "no replica is started or replaced")

    def check(self) -> None:
        """Start the nodes once the head answers, and restart what has ended; to be called again and again."""
        if self._is_up.is_set() and len(self._supervisors) == 1:
            for number in range(1, self._settings.cluster.nodes + 1):
                start = partial(self._start_node, number)
                self._supervise(start, "its replicas are started on other nodes")
        for one in self._supervisors:
            one.check()

    def stop(self) -> None:
        """End everything at once: nothing of it has a state, and who used it has ended before."""
        at_once = threading.Event()
        at_once.set()
        stop_programs([one.program for one in self._supervisors], at_once)

    def _supervise(self, start: Callable[[], SupervisedProgram], without: str) -> None:
        self._supervisors.append(Supervisor(start, without, self._report, delays_s=RESTART_DELAYS_S))

    def _start_head(self) -> SupervisedProgram:
        cluster = self._settings.cluster
        # Else Ray takes a node of this machine, which waits for the head, for another head.
        (self.folder / "ray_current_cluster").unlink(missing_ok=True)
        head = self._start(
            "ray-head",
            *("--head", "--port", str(cluster.head_port)),
            *("--dashboard-port", str(dashboard_port(self._settings))),
            # Else a head whose dashboard can't start goes on without it, and nobody can deploy anything.
            *("--include-dashboard", "true"),
            *("--ray-client-server-port", str(_free_port())),
            *("--temp-dir", str(self.folder)),
        )
        threading.Thread(target=self._deploy, args=(head,), name="deploy", daemon=True).start()
        return head

    def _start_node(self, number: int) -> SupervisedProgram:
        """Start a node that stands for another machine: with a home and a temporary folder of its own."""
        home = self._settings.home / "cluster" / f"node-{number}"
        own = {"YIVIDEO_HOME": str(home), "YIVIDEO_CACHE__MODEL_DIR": str(self._settings.cache.model_dir)}
        address = f"127.0.0.1:{self._settings.cluster.head_port}"
        folder = self.folder.with_name(f"{self.folder.name}-{number}")
        return self._start(f"ray-node-{number}", "--address", address, "--temp-dir", str(folder), **own)

    def _start(self, name: str, *arguments: str, **environment: str) -> SupervisedProgram:
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats"]
        ports = ["--min-worker-port", "0", "--max-worker-port", "0"]
        for port in _AGENT_PORTS:
            ports += [port, str(_free_port())]
        memory = ("--object-store-memory", str(OBJECT_STORE_BYTES))
        logs = self._settings.home / "logs"
        command += [*arguments, *ports, *memory, *_WITHOUT]
        return SupervisedProgram(name, command, {**self._environment, **environment}, logs)

    def _deploy(self, head: SupervisedProgram) -> None:
        """Have the replicas started once the head answers; then report how many there are, and why.

        A head that does not answer any more is killed, so that it is restarted as one that ended by itself.
        """
        pause, told, is_deployed = threading.Event(), "", False
        seen, answered = datetime.now(UTC), time.monotonic()
        while head.exit_code is None:
            try:
                if not is_deployed:
                    self._dashboard.deploy(self._settings.cluster.replicas_port)
                    is_deployed = True
                    self._is_up.set()
                state = self._dashboard.serve_state(with_events=True)
                answered = time.monotonic()
            except ServiceUnreachable as error:
                if time.monotonic() - answered > HUNG_S:
                    self._report(f"The {head.name} has not answered for {HUNG_S:.0f} s: {error}.")
                    head.send(signal.SIGKILL)
                pause.wait(POLL_S)
                continue
            for event in state.events:
                if event.at > seen:
                    seen = event.at
                    self._report(event.text)
            if state.status != "NOT_DEPLOYED" and (line := _summarize(state)) != told:
                self._report(line)
                told = line
            pause.wait(POLL_S)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


def _summarize(state: ServeState) -> str:
    running = sum(one.state == "RUNNING" for one in state.replicas)
    line = f"Replicas: {running} of {state.wanted} running"
    if state.message and state.status != "RUNNING":
        line += f" ({state.message.strip().splitlines()[-1]})"
    return line
