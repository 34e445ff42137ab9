"""Dagster and the service side by side, both real, for tests of workflows."""

import os
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from shutil import copyfile
from typing import Any

import httpx
import yaml

from benchmarks.ports import free_port
from tests.cli.command import settings
from tests.service.server import PATIENCE_S, SAMPLES, Server, run_server, wait_until
from yivideo_pipeline.defs.dagster_internals import DAEMON_MODULE, code_server_answers
from yivideo_pipeline.defs.instance import open_instance
from yivideo_pipeline.stages import LOCATION

ROOT = SAMPLES.parents[1]
KEY = "a key that both sides know"
FINAL = ("succeeded", "failed", "cancelled")


@dataclass
class Stack:
    """A home with a running Dagster and a running service, which can be killed and started again."""

    home: Path
    dagster_url: str
    port: int
    model_dir: Path
    environment: dict[str, str]
    servers: list[Any] = field(default_factory=list)

    @property
    def asked(self) -> Path:
        """A folder of the library that the watch ignores."""
        return self.home / "inbox" / "asked"

    @property
    def server(self) -> Server:
        return self.servers[-1][1]

    def serve(self) -> None:
        running = run_server(self.home, self.model_dir, self.port, **self.environment)
        self.servers.append((running, running.__enter__()))

    def kill_service(self) -> None:
        self.server.process.kill()
        self.server.process.wait()

    def close(self) -> None:
        for running, _ in self.servers:
            running.__exit__(None, None, None)

    def video(self, name: str, sample: str = "harbour-15s.mp4") -> Path:
        copyfile(SAMPLES / sample, self.asked / name)
        return self.asked / name

    def ask(self, method: str, path: str, **options) -> httpx.Response:
        with self.server.client() as client:
            return client.request(method, path, **options)

    def create(self, body: dict, **headers: str) -> dict:
        answer = self.ask("POST", "/v1/workflows", json=body, headers=headers)
        assert answer.status_code == 202, answer.text
        return answer.json()

    def status(self, workflow: str) -> dict:
        answer = self.ask("GET", f"/v1/workflows/status/{workflow}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def wait(self, workflow: str) -> dict:
        """Return the status as soon as it is final."""
        return wait_until(
            lambda: (status := self.status(workflow))["state"] in FINAL and status, PATIENCE_S, every_s=0.3
        )

    def graphql(self, query: str, **variables: object) -> dict:
        body = {"query": query, "variables": variables}
        answer = httpx.post(f"{self.dagster_url}/graphql", json=body, timeout=60, trust_env=False).json()
        assert "errors" not in answer, answer
        return answer["data"]


@contextmanager
def run_stack(home: Path, model_dir: Path, **environment: str) -> Generator[Stack]:
    (home / "inbox" / "asked").mkdir(parents=True)
    dagster, port = free_port(), free_port()
    more = {
        "YIVIDEO_LIBRARY__IGNORE": "asked/**",
        "YIVIDEO_SERVICE__DAGSTER_URL": f"http://127.0.0.1:{dagster}",
        "YIVIDEO_SERVICE__CALLBACK_HOSTS": "127.0.0.1",
        "YIVIDEO_SERVICE__CALLBACK_KEY": KEY,
        **environment,
    }
    stack = Stack(home, f"http://127.0.0.1:{dagster}", port, model_dir, more)
    with run_dagster(home, dagster, settings(home, model_dir, **more)):
        try:
            stack.serve()
            yield stack
        finally:
            stack.close()


@contextmanager
def run_dagster(home: Path, port: int, environment: dict[str, str]) -> Generator[None]:
    """Run Dagster by itself: `yivideo up` has a service of its own, which would end with all others.

    At the end all its processes are killed, those too whose parent has ended: nothing of it is to be kept,
    and a good end takes ten seconds.
    """
    open_instance(home).dispose()
    socket, workspace, log = home / "code.sock", home / "workspace.yaml", home / "dagster.log"
    server = {"grpc_server": {"socket": str(socket), "location_name": LOCATION}}
    workspace.write_text(yaml.safe_dump({"load_from": [server]}))
    code = ["--module-name", f"{LOCATION}.definitions", "--location-name", LOCATION]
    programs: list[subprocess.Popen] = []

    def start(*command: str | Path) -> None:
        with log.open("a") as output:
            program = subprocess.Popen(
                [sys.executable, "-m", *command],
                env={**environment, "DAGSTER_HOME": str(home / "dagster")},
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
                start_new_session=True,  # by which those are found whose program has ended
            )
        programs.append(program)

    def webserver_answers() -> bool:
        assert all(program.poll() is None for program in programs), log.read_text()
        try:
            return httpx.get(f"http://127.0.0.1:{port}/server_info", trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False

    try:
        start("yivideo_pipeline.cli.code_server", "--socket", socket, *code)
        wait_until(lambda: code_server_answers(socket), PATIENCE_S, every_s=0.1)
        start("dagster_webserver", "--host", "127.0.0.1", "--port", str(port), "--workspace", workspace)
        start(DAEMON_MODULE, "run", "--workspace", workspace)
        wait_until(webserver_answers, PATIENCE_S, every_s=0.1)
        yield
    finally:
        for program in programs:
            with suppress(ProcessLookupError):
                os.killpg(program.pid, signal.SIGKILL)
            program.wait()
