"""Kills the programs of a running system one after the other, and says what became of each video.

`yivideo up` runs as for a user. Every few seconds something of it is killed: a run's worker, the service, the
daemon, the code server, the UI. One video is poisoned: whoever works on it is killed each time. In the end
each video must be done or failed with a reason, once, and nothing may be held any more; else the exit status
is 1.

With PostgreSQL, which is restarted too, by Debian's own programs:

    pg_virtualenv sh -c '.venv/bin/python -m benchmarks.soak \
      --database-url postgresql://$PGUSER:$PGPASSWORD@localhost:$PGPORT/postgres \
      --restart-database "pg_ctlcluster -m immediate $PGVERSION regress restart"'
"""

import argparse
import random
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import dagster as dg
import psutil
from rich.console import Console
from sqlalchemy import select

from benchmarks.clips import cut_clips, load_samples, write_flac
from benchmarks.contenders import environment_of
from benchmarks.ports import free_port
from benchmarks.services import MODELS, load_line, run_program
from yivideo_pipeline.defs.instance import open_instance
from yivideo_pipeline.defs.runs import UNFINISHED
from yivideo_pipeline.ledger import Ledger, open_ledger
from yivideo_pipeline.ledger.leases import Lease
from yivideo_pipeline.ledger.workers import AtWork
from yivideo_pipeline.settings.load import load_settings

POISONED = "poisoned.mkv"
DAGSTER = {
    "code server": "yivideo_pipeline.cli.code_server",
    "webserver": "yivideo_pipeline.cli.webserver",
    "daemon": "dagster._daemon",
}
WORDS = {"service": "serve", **DAGSTER}
"""A word in the command of each program of `yivideo up`."""
EVERYTHING = "everything of Dagster's"
ORDER = (
    "worker", "service", "daemon", "database", "worker", "code server", "worker and daemon", "webserver",
    "worker and code server", EVERYTHING,
)  # fmt: skip


class System:
    """A `yivideo up` and its database, and what is read of both.

    Args:
        home: Its home folder.
        url: Its database; None: files.
        restart: The command that restarts the database.
    """

    def __init__(self, home: Path, url: str | None, restart: str) -> None:
        self.home, self.inbox, self.log = home, home / "inbox", home.with_name("up.log")
        self._environment = {
            "YIVIDEO_HOME": str(home),
            "YIVIDEO_CACHE__MODEL_DIR": str(MODELS),
            "YIVIDEO_SPEECH__MODEL_NAME": "tiny.en",
            "YIVIDEO_LIBRARY__SETTLE_S": "0",
            **({"YIVIDEO_STORAGE__DATABASE_URL": url} if url else {}),
        }
        self.url = load_settings(None, self._environment).storage.database_url
        self._restart = shlex.split(restart)
        self.program: psutil.Process | None = None

    @contextmanager
    def running(self) -> Generator[None]:
        """Run it until the block ends."""
        environment = environment_of(self._environment)
        port = str(free_port())
        arguments = ["up", "--port", str(free_port()), "--service-port", port]
        with run_program(arguments, environment, f"http://127.0.0.1:{port}/health", self.log) as program:
            self.program = psutil.Process(program.pid)
            yield

    @property
    def order(self) -> list[str]:
        """What is killed one after the other: files need no restart."""
        return [what for what in ORDER if self._restart or what != "database"]

    def ledger(self) -> Ledger:
        return open_ledger(self.home, self.url)

    def runs(self, statuses: list[dg.DagsterRunStatus] | None = None) -> list[dg.DagsterRun]:
        with open_instance(self.home, self.url) as instance:
            return list(instance.get_runs(dg.RunsFilter(statuses=statuses)))

    def kill(self, what: str) -> None:
        """Kill -9 what a name of `ORDER` says, as far as it runs."""
        if what == "database":
            subprocess.run(self._restart, check=True)
            return
        whole = (
            {"worker", *WORDS} - {"service"} if what.startswith("everything") else set(what.split(" and "))
        )
        for process in [one for kind in whole for one in self._find(kind)]:
            with suppress(psutil.NoSuchProcess):
                process.kill()

    def _find(self, kind: str) -> Iterator[psutil.Process]:
        for process in self.program.children(recursive=True) if self.program else ():
            with suppress(psutil.Error):
                command, parent = process.cmdline(), process.parent()
                if kind in WORDS:
                    if WORDS[kind] in command:
                        yield process
                # Forked from the fork server, a worker has its command.
                elif parent and any("forkserver" in word for word in command) and parent.cmdline() == command:
                    yield process


def main() -> int:
    """Fill the inbox, kill for a while, wait until all has come to rest, judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--videos", type=int, default=30)
    parser.add_argument("--seconds", type=float, default=120, help="how long something is killed")
    parser.add_argument("--every", type=float, default=10, help="seconds between two kills")
    parser.add_argument("--patience", type=float, default=600, help="seconds to wait for the rest")
    parser.add_argument("--database-url", help="an empty PostgreSQL database; else SQLite")
    parser.add_argument("--restart-database", default="", help="the command that restarts its server")
    parser.add_argument("--keep", type=Path, help="a folder for the logs")
    given = parser.parse_args()
    console = Console(highlight=False, soft_wrap=True)
    began = time.monotonic()

    def say(text: str) -> None:
        console.print(f"{time.monotonic() - began:6.1f} {text}", markup=False)

    with tempfile.TemporaryDirectory(prefix="yivideo-soak-") as name:
        system = System(Path(name, "home"), given.database_url, given.restart_database)
        system.inbox.mkdir(parents=True)
        names = _make_videos(Path(name, "made"), given.videos)
        with system.running():
            over = threading.Event()
            for watch in (_print_lines, _poison):
                threading.Thread(target=watch, args=(system, over, say), daemon=True).start()
            for video in names:
                Path(name, "made", video).rename(system.inbox / video)
            killed = _kill(system, given.seconds, given.every, say)
            _wait_for_rest(system, names, given.patience, say)
            over.set()
            say(f"killed {dict(killed)}; {load_line()}")
            wrong = list(_judge(system, names, say))
            for line in wrong:
                say(f"WRONG {line}")
        if given.keep:
            shutil.copytree(system.home / "logs", given.keep, dirs_exist_ok=True)
    return 1 if wrong else 0


def _make_videos(folder: Path, count: int) -> list[str]:
    folder.mkdir()
    names = [*(f"v{number:02}.mkv" for number in range(count - 1)), POISONED]
    sounds = cut_clips(load_samples(), (12 + number % 5 for number in range(count)))
    for name, sound in zip(names, sounds, strict=True):
        write_flac(sound, folder / name)
    return names


def _print_lines(system: System, over: threading.Event, say: Callable[[str], None]) -> None:
    with system.log.open() as log:
        while not over.wait(0.5):
            for line in log:
                say(f"  {line.strip()}")


def _poison(system: System, over: threading.Event, say: Callable[[str], None]) -> None:
    """Kill whichever worker is at the poisoned video."""
    ledger = system.ledger()
    while not over.wait(0.1):
        with suppress(Exception):  # the database is away now and then
            if entry := ledger.workers.at_work(POISONED):
                psutil.Process(int(entry.worker.split(":")[1])).kill()
                say("the poisoned video has killed its worker")
                time.sleep(1)


def _kill(system: System, seconds: float, every: float, say: Callable[[str], None]) -> Counter[str]:
    killed: Counter[str] = Counter()
    chance = random.Random(3)
    for number in range(int(seconds / every)):
        time.sleep(every * chance.uniform(0.8, 1.2))
        what = system.order[number % len(system.order)]
        say(f"kills {what}")
        system.kill(what)
        killed[what] += 1
    return killed


def _wait_for_rest(system: System, names: list[str], patience: float, say: Callable[[str], None]) -> None:
    """Wait until no run is open and each video has its subtitles or its reason, or patience has ended."""
    calm = time.monotonic()
    ledger, said = system.ledger(), ""
    while time.monotonic() - calm < patience:
        time.sleep(3)
        open_runs = len(system.runs(UNFINISHED))
        done = sum(1 for name in names if _subtitles(system, name))
        failed = sum(1 for name in names if ledger.failures.last(name))
        state = f"{open_runs} runs open, {done} videos done, {failed} failed"
        if state != said:
            say(said := state)
        if not open_runs and done + failed >= len(names):
            break
    say(f"at rest {time.monotonic() - calm:.0f} s after the last kill")


def _subtitles(system: System, name: str) -> list[str]:
    return sorted(file.name for file in system.inbox.glob(f"{Path(name).stem}*") if file.name != name)


def _judge(system: System, names: list[str], say: Callable[[str], None]) -> Iterator[str]:
    """Say what became of the videos; yield what is wrong."""
    ledger, by_name, results = system.ledger(), defaultdict(list), Counter()
    for run in system.runs():
        by_name[run.tags.get("dagster/partition", "?")].append(run)
    for name in names:
        failure, written = ledger.failures.last(name), _subtitles(system, name)
        succeeded = any(run.status == dg.DagsterRunStatus.SUCCESS for run in by_name[name])
        if succeeded and not failure and written == [f"{Path(name).stem}.en.srt"]:
            results["done once"] += 1
        elif failure and not written:
            results["failed with a reason"] += 1
            say(f"  {name}: {failure.kind}, {failure.message}")
        else:
            runs = [(run.status.value, _retry_tags(run)) for run in by_name[name]]
            yield f"{name}: {written}, {failure and failure.message}, {runs}"
    say(f"videos {dict(results)}; most runs of one {max(map(len, by_name.values()), default=0)}")
    say(f"deaths {ledger.workers.deaths()}, quarantined {[*ledger.failures.quarantined()]}")
    if not ledger.failures.find_quarantined(POISONED):
        yield "the poisoned video is not quarantined"
    yield from _find_held(system, ledger)


def _find_held(system: System, ledger: Ledger) -> Iterator[str]:
    with ledger.engine.connect() as connection:
        leases = [name for name in connection.scalars(select(Lease.name)) if name != "up"]
        at_work = list(connection.scalars(select(AtWork.key)))
    with open_instance(system.home, system.url) as instance:
        slots = instance.event_log_storage.get_concurrency_info("gpu").active_slot_count
    parts = [str(part) for part in (system.home / "artifacts" / "tmp").glob("*")]
    for what, held in (("at work", at_work), ("slots", slots), ("parts", parts)):
        if held:
            yield f"{what}: {held}"
    if leases:
        yield f"leases: {leases}"


def _retry_tags(run: dg.DagsterRun) -> dict[str, str]:
    return {
        tag.partition("/")[2]: value for tag, value in run.tags.items() if "retry" in tag or "reason" in tag
    }


if __name__ == "__main__":
    sys.exit(main())
