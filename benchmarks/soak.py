"""Kills the programs of a running system one after the other, and says what became of each video.

`yivideo up` runs as for a user, with PostgreSQL where it is installed. Every few seconds something of it is
killed: a run's worker, the service, the daemon, the code server, the UI, or the database is restarted. One
video is poisoned: whoever works on it is killed each time. In the end each video must be done or failed with
a reason, once, and nothing may be held any more; else the exit status is 1.
"""

import argparse
import random
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import dagster as dg
import psutil
from pydantic import SecretStr
from rich.console import Console
from sqlalchemy import select

from benchmarks.services import MODELS, load_line
from tests.cli.command import settings
from tests.cli.up.running_services import RunningServices, speech
from tests.media.media_files import Sound, write_media
from tests.postgres import PostgresServer, run_postgres
from yivideo_pipeline.defs.instance import open_instance
from yivideo_pipeline.defs.runs import UNFINISHED
from yivideo_pipeline.ledger import Ledger, open_ledger
from yivideo_pipeline.ledger.leases import Lease
from yivideo_pipeline.ledger.workers import AtWork

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
    """A running `yivideo up`, its database, and what is read of both."""

    def __init__(self, folder: Path, postgres: PostgresServer | None) -> None:
        self.postgres = postgres
        self.url: SecretStr | None = postgres.make_database() if postgres else None
        more = {"YIVIDEO_STORAGE__DATABASE_URL": self.url.get_secret_value()} if self.url else {}
        environment = settings(folder / "home", MODELS, YIVIDEO_LIBRARY__SETTLE_S="0", **more)
        self.up = RunningServices(environment)
        self.home, self.inbox = self.up.home, self.up.home / "inbox"

    def ledger(self) -> Ledger:
        return open_ledger(self.home, self.url)

    def runs(self, statuses: list[dg.DagsterRunStatus] | None = None) -> list[dg.DagsterRun]:
        with open_instance(self.home, self.url) as instance:
            return list(instance.get_runs(dg.RunsFilter(statuses=statuses)))

    def kill(self, what: str) -> None:
        """Kill -9 what a name of `ORDER` says, as far as it runs."""
        if what == "database":
            if self.postgres:
                self.postgres.stop()
                self.postgres.start()
            return
        whole = (
            {"worker", *WORDS} - {"service"} if what.startswith("everything") else set(what.split(" and "))
        )
        for process in [one for kind in whole for one in self._find(kind)]:
            with suppress(psutil.NoSuchProcess):
                process.kill()

    def _find(self, kind: str) -> Iterator[psutil.Process]:
        for process in self.up.processes():
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
    parser.add_argument("--sqlite", action="store_true", help="without PostgreSQL")
    parser.add_argument("--keep", type=Path, help="a folder for the logs")
    given = parser.parse_args()
    console = Console(highlight=False, soft_wrap=True)
    began = time.monotonic()

    def say(text: str) -> None:
        console.print(f"{time.monotonic() - began:6.1f} {text}", markup=False)

    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="yivideo-soak-")))
        system = System(folder, None if given.sqlite else stack.enter_context(run_postgres()))
        names = _make_videos(folder / "made", given.videos)
        stack.enter_context(system.up)
        threading.Thread(target=_print_lines, args=(system.up, say), daemon=True).start()
        over = threading.Event()
        threading.Thread(target=_poison, args=(system, over, say), daemon=True).start()
        for name in names:
            (folder / "made" / name).rename(system.inbox / name)
        killed = _kill(system, given.seconds, given.every, say)
        _wait_for_rest(system, names, given.patience, say)
        over.set()
        say(f"killed {dict(killed)}; {load_line()}")
        wrong = list(_judge(system, names, say))
        for line in wrong:
            say(f"WRONG {line}")
        if given.keep:
            _copy_logs(system.home, given.keep)
    return 1 if wrong else 0


def _make_videos(folder: Path, count: int) -> list[str]:
    folder.mkdir()
    names = [*(f"v{number:02}.mkv" for number in range(count - 1)), POISONED]
    for number, name in enumerate(names):
        write_media(folder / name, [Sound(speech((number * 1.4) % 40, 12 + number % 5))])
    return names


def _print_lines(up: RunningServices, say: Callable[[str], None]) -> None:
    for line in up.program.stdout or ():
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
        what = ORDER[number % len(ORDER)]
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


def _copy_logs(home: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for log in (home / "logs").glob("*"):
        (folder / log.name).write_bytes(log.read_bytes())


if __name__ == "__main__":
    sys.exit(main())
