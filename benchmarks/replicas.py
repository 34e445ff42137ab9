"""Throughput of 1, 2, 4 replicas whose engine sleeps as a GPU would compute: `python -m benchmarks.replicas`.

One `yivideo cluster up` has its bounds changed from one number to the next. Clients keep `REQUESTS` sounds in
work for each replica. In the end there are none, and the autoscaler removes the replicas but one.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from benchmarks.ports import free_port
from benchmarks.services import load_line
from yivideo_pipeline.media.audio import SAMPLE_RATE_HZ, wav_header
from yivideo_pipeline.remote.ray_dashboard import APPLICATION

BATCH = 8
BATCH_S = float(os.environ.get("SLEEPING_BATCH_S", "4"))
"""A device that sleeps takes so long for a batch of up to `BATCH` windows: about what a GPU does."""
WINDOW_S = float(os.environ.get("SLEEPING_WINDOW_S", "30"))
"""Shorter ones have less sound to carry: what is left is the work of the replicas alone."""
LOG = "SLEEPING_LOG"
"""Environment variable: a file to which each load and each batch adds a line."""
MODEL = "tiny.en"
BUILDER = "benchmarks.sleeping_replicas:build"
DASHBOARD_URL = "YIVIDEO_CLUSTER__DASHBOARD_URL"
REPLICAS_PORT = "YIVIDEO_CLUSTER__REPLICAS_PORT"
REQUESTS = 8
WINDOWS = 8
"""In each sound."""
WARM_UP_S = 20.0
START_S = 300.0


@dataclass
class SleepingCluster:
    """A running `yivideo cluster up` whose replicas sleep."""

    home: Path
    url: str
    environment: dict[str, str]
    program: subprocess.Popen[str]
    printed: list[str]

    @property
    def dashboard_port(self) -> int:
        """Where Ray's dashboard listens."""
        return int(self.environment[DASHBOARD_URL].rpartition(":")[2])

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `yivideo cluster …` on its home."""
        command = [Path(sys.executable).with_name("yivideo"), "cluster", *arguments]
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)

    def transcribe(self, sound: Path, model: str = MODEL) -> dict:
        """Return the gateway's answer to a sound, as OpenAI's API gives it."""
        client = httpx.Client(base_url=self.url, timeout=600, trust_env=False)
        with sound.open("rb") as file, client:
            path, form = "/v1/audio/transcriptions", {"model": model}
            return client.post(path, data=form, files={"file": file}).raise_for_status().json()

    def set_bounds(self, least: int, most: int) -> None:
        """Have Ray Serve keep the number of replicas between these, and not wait before it changes it."""
        bounds = {"min_replicas": least, "max_replicas": most, "target_ongoing_requests": 4}
        delays = {"upscale_delay_s": 1.0, "downscale_delay_s": 5.0}
        replicas = {"name": "replicas", "autoscaling_config": {**bounds, **delays}}
        application = {"name": APPLICATION, "route_prefix": "/", "import_path": BUILDER, "args": {}}
        config = {
            "proxy_location": "HeadOnly",
            "http_options": {"host": "127.0.0.1", "port": int(self.environment[REPLICAS_PORT])},
            "applications": [{**application, "deployments": [replicas]}],
        }
        token = (self.home / "cluster" / "token").read_text()
        httpx.put(
            f"{self.environment[DASHBOARD_URL]}/api/serve/applications/",
            json=config,
            headers={"Authorization": f"Bearer {token}"},
            timeout=60,
            trust_env=False,
        ).raise_for_status()

    def log(self, what: str) -> list[list[str]]:
        """Return the words of each `load` or `batch`: process, what, and which model or how many windows."""
        lines = Path(self.environment[LOG]).read_text().splitlines()
        return [words for words in map(str.split, lines) if words[1] == what]

    def cpu_s(self) -> float:
        """Return the processor time that its programs have taken, those that run now."""
        total = 0.0
        for process in psutil.Process(self.program.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                total += sum(process.cpu_times()[:2])
        return total

    def wait_for_line(self, text: str, timeout_s: float = START_S, *, anew: bool = False) -> float:
        """Wait until it prints a line with this text, or has done so; returns how many seconds that took."""
        started, seen = time.monotonic(), len(self.printed) if anew else 0
        while not any(text in line for line in self.printed[seen:]):
            assert self.program.poll() is None, self.printed
            assert time.monotonic() < started + timeout_s, self.printed
            time.sleep(0.1)
        return time.monotonic() - started


@contextmanager
def run_cluster(home: Path, **cluster: object) -> Generator[SleepingCluster]:
    """Run a cluster with these settings of the section `cluster` until the block ends."""
    service_port = free_port()
    environment = {
        **os.environ,
        "YIVIDEO_HOME": str(home),
        "YIVIDEO_SERVICE__PORT": str(service_port),
        "YIVIDEO_SPEECH__MODEL_NAME": MODEL,
        DASHBOARD_URL: f"http://127.0.0.1:{free_port()}",
        "YIVIDEO_CLUSTER__HEAD_PORT": str(free_port()),
        REPLICAS_PORT: str(free_port()),
        "YIVIDEO_CLUSTER__CPUS_PER_REPLICA": "0.01",
        **{f"YIVIDEO_CLUSTER__{name.upper()}": str(value) for name, value in cluster.items()},
        LOG: str(home.with_name("sleeping.log")),
    }
    program = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.sleeping_replicas", "cluster", "up", "--port", str(free_port())],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=Path(__file__).resolve().parents[1],
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    printed: list[str] = []
    reader = threading.Thread(target=lambda: printed.extend(program.stdout or ()), daemon=True)
    reader.start()
    found = SleepingCluster(home, f"http://127.0.0.1:{service_port}", environment, program, printed)
    try:
        yield found
    finally:
        program.send_signal(signal.SIGINT)
        program.wait(120)
        reader.join()
        if program.stdout:
            program.stdout.close()


def write_silence(path: Path, seconds: float) -> Path:
    """Write a sound of this length; what it says is all the same to an engine that sleeps."""
    samples = round(seconds * SAMPLE_RATE_HZ)
    path.write_bytes(wav_header(samples) + bytes(2 * samples))
    return path


def measure(cluster: SleepingCluster, sound: Path, replicas: int, seconds: float) -> tuple[float, float]:
    """Return what is finished once all clients have sounds in work.

    Returns:
        Windows a second, and seconds of processor time of all of the cluster's programs a sound.
    """
    is_over = threading.Event()

    def ask() -> None:
        while not is_over.is_set():
            cluster.transcribe(sound)

    def finished() -> int:
        return sum(int(size) for *_, size in cluster.log("batch"))

    clients = [threading.Thread(target=ask) for _ in range(replicas * REQUESTS)]
    for client in clients:
        client.start()
    time.sleep(WARM_UP_S)
    started, before, cpu_s = time.monotonic(), finished(), cluster.cpu_s()
    time.sleep(seconds)
    windows = finished() - before
    rate = windows / (time.monotonic() - started)
    cpu_s = cluster.cpu_s() - cpu_s
    is_over.set()
    for client in clients:
        client.join()
    return rate, cpu_s / (windows / WINDOWS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--replicas", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--seconds", type=float, default=40.0)
    given = parser.parse_args()
    print(f"A device alone: {BATCH / BATCH_S:.0f} windows a second; {load_line()}")
    print("replicas  windows/s  of N times one  of the devices  CPU s a sound  model loads", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        sound = write_silence(Path(folder, "sound.wav"), WINDOWS * WINDOW_S)
        with run_cluster(Path(folder, "home")) as cluster:
            cluster.wait_for_line("Replicas: 1 of 1 running")
            cluster.wait_for_line("the service: http://")
            one, now = 0.0, 1
            for replicas in given.replicas:
                if replicas != now:
                    cluster.set_bounds(replicas, replicas)
                    cluster.wait_for_line(f"Replicas: {replicas} of {replicas} running", anew=True)
                    now = replicas
                rate, cpu_s = measure(cluster, sound, replicas, given.seconds)
                one = one or rate / replicas
                shares = f"{rate / (replicas * one):14.2f}  {rate * BATCH_S / BATCH / replicas:14.2f}"
                loads = sum(psutil.pid_exists(int(pid)) for pid, *_ in cluster.log("load"))
                print(f"{replicas:8}  {rate:9.1f}  {shares}  {cpu_s:13.2f}  {loads:11}", flush=True)
            cluster.set_bounds(1, now)
            cluster.wait_for_line("Replicas: 1 of 1 running", anew=True)
            print(f"{load_line()}; the cluster said:\n{''.join(cluster.printed)}")


if __name__ == "__main__":
    main()
