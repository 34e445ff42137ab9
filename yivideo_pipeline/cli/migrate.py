"""`yivideo migrate`: moves a home's ledger and Dagster's history from SQLite's files into PostgreSQL.

All of it is one transaction: it is moved, or the database stays empty. The files stay as they are, so that
nothing is lost by going back. Artifacts and edits are files, or objects, at `storage.root`: they are copied
first, where another root is named.
"""

import os
from collections import Counter
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter

from filelock import FileLock, Timeout
from pydantic import SecretStr
from rich.console import Console
from rich.progress import Progress
from sqlalchemy import Connection, Table, select

from yivideo_pipeline.cli.console import Exit, WrongUsage, open_console, print_problem, show_path
from yivideo_pipeline.cli.folders import require_home
from yivideo_pipeline.cli.logs import open_log
from yivideo_pipeline.errors.tree import ConfigError
from yivideo_pipeline.ledger.database import Base, copy_rows, open_database
from yivideo_pipeline.ledger.postgres import describe, open_pool, take_turn
from yivideo_pipeline.plurals import plural
from yivideo_pipeline.settings.database import VARIABLE
from yivideo_pipeline.settings.load import config_places, find_config, load_settings
from yivideo_pipeline.settings.sections import check_database
from yivideo_pipeline.settings.settings import Settings
from yivideo_pipeline.storage.copying import copy_files
from yivideo_pipeline.storage.file_store import FileStore

SECRET_FILE = "database_url"
"""The file in the home folder that the address is written to, for `storage.database_url_file`."""


def migrate(to: str | None, root: str | None, config: Path | None) -> Exit:
    """Move a home into a database, and say how it is used from there.

    Args:
        to: The database's address; None: the one of the settings.
        root: Folder or URL that artifacts and edits are copied to; None: they stay.
        config: Settings file.

    Raises:
        WrongUsage: No database is named, it is not empty, or the home is in use.
        YivideoError: The settings are wrong, or a database can't be read or written.
    """
    settings = load_settings(config)
    require_home(settings.home)
    open_log(settings.home)
    url = _target(to, settings)
    console = open_console()
    started = perf_counter()
    try:
        with _alone(settings.home):
            _require_rest(settings.home)
            if root:
                _copy_artifacts(settings, root, console)
            copied = _move(settings.home, url, console)
    except KeyboardInterrupt:
        print_problem("Stopped: nothing was moved, and the home is as it was.")
        return Exit.INTERRUPTED
    rows = sum(copied[table.name] for table in Base.metadata.sorted_tables)
    console.print(
        f"Moved {plural(copied['runs'], 'run')} with {plural(copied['event_logs'], 'event')}"
        f" and {plural(rows, 'row')} of the ledger to {describe(url)} in {perf_counter() - started:.1f} s."
        f" The files in {show_path(settings.home)} stay as they are."
    )
    _say_how_to_use(settings, url, root, config, console)
    return Exit.DONE


def _target(to: str | None, settings: Settings) -> SecretStr:
    """Return the database to move to: the one that is named, by the command or by the settings."""
    known = settings.storage.read_database_url()
    try:
        url = check_database(SecretStr(to)) if to else known
    except ValueError as error:
        raise WrongUsage(f"--to {error}") from None
    if url is None:
        raise WrongUsage("No database is named", "Give --to URL, or set storage.database_url")
    if known not in (None, url):
        raise WrongUsage(
            f"The settings say that this home is in the database {describe(known)}",
            "pg_dump and pg_restore move that; without storage.database_url the files of the home are moved",
        )
    return url


@contextmanager
def _alone(home: Path) -> Generator[None]:
    """Keep `yivideo up` from this home, by its own lock."""
    folder = home / "dagster"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / "up.lock", timeout=0):
            yield
    except Timeout as error:
        raise WrongUsage(
            f"yivideo up, or another move, is at work in {show_path(home)}", "Stop it first"
        ) from error


def _require_rest(home: Path) -> None:
    """Raise where runs are under way, or where Dagster's history is not in this version's files."""
    import dagster as dg

    from yivideo_pipeline.defs.instance import close_abandoned_runs, open_instance
    from yivideo_pipeline.defs.sqlite_storage import in_files

    working = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
    with open_instance(home) as instance:
        if not in_files(instance):
            raise WrongUsage(
                f"{show_path(home / 'dagster' / 'dagster.yaml')} names a `storage:` of its own",
                "Remove it: then yivideo keeps Dagster's history where storage.database_url says",
            )
        close_abandoned_runs(instance, alone=True)
        if count := instance.get_runs_count(dg.RunsFilter(statuses=working)):
            raise WrongUsage(f"Runs are under way: {count}", "Wait for their end, or terminate them")
        versions = [
            storage.alembic_version()
            for storage in (instance.run_storage, instance.event_log_storage, instance.schedule_storage)
            if storage
        ]
    if any(found and found[0] != found[1] for found in versions):
        raise ConfigError(
            "Dagster's files are of an older version",
            f"{VARIABLE}= DAGSTER_HOME={home / 'dagster'} dagster instance migrate",
        )


def _copy_artifacts(settings: Settings, root: str, console: Console) -> None:
    """Copy all files that the other root lacks."""
    source, target = (FileStore(one, settings.home / "tmp") for one in (settings.storage.root, root))
    if source.root == target.root:
        raise WrongUsage(f"The artifacts are in {root} already", "Name another place, or leave --storage out")
    target.require_reachable()
    with _bar(console, "files", len(source.names())) as advance:
        copied = copy_files(source, target, advance)
    console.print(f"Copied {plural(copied, 'file')} of artifacts and edits to {root}")


def _move(home: Path, url: SecretStr, console: Console) -> Counter[str]:
    """Copy everything in one transaction; returns how many rows, by table."""
    from yivideo_pipeline.defs.history_move import count_runs, move_history, tables_of_history
    from yivideo_pipeline.defs.instance import open_instance

    source = open_database(home)
    open_database(home, url)  # makes the ledger's tables, as the instance makes Dagster's
    open_instance(home, url).dispose()
    folder = home / "dagster"
    console.print(f"Moving {plural(runs := count_runs(folder), 'log')} of runs to {describe(url)}")
    with _bar(console, "runs", runs) as advance, source.connect() as files:
        files.exec_driver_sql("BEGIN IMMEDIATE")  # nobody writes to the ledger meanwhile
        with open_pool(url).begin() as target:
            take_turn(target, "migrate")
            _require_empty(target, [*Base.metadata.sorted_tables, *tables_of_history()], describe(url))
            return copy_rows(files, target) + move_history(folder, target, advance)


def _require_empty(target: Connection, tables: Iterable[Table], name: str) -> None:
    filled = [table.name for table in tables if target.execute(select(table).limit(1)).first()]
    if filled:
        raise WrongUsage(
            f"The database {name} is not empty: there are rows in {', '.join(filled)}",
            "Name an empty one: nothing is mixed or replaced",
        )


@contextmanager
def _bar(console: Console, name: str, count: int) -> Generator[Callable[[], None]]:
    """Show a bar of what was copied, on a terminal; yields what moves it."""
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(name, total=count)
        yield lambda: progress.advance(task)


def _say_how_to_use(
    settings: Settings, url: SecretStr, root: str | None, config: Path | None, console: Console
) -> None:
    """Print what to write into the settings; the address itself goes to a file for its owner alone."""
    lines = [f"  root: {root}"] if root else []
    if settings.storage.read_database_url() != url:
        file = settings.home / SECRET_FILE
        file.unlink(missing_ok=True)
        file.touch(0o600, exist_ok=False)
        file.write_text(url.get_secret_value() + "\n", encoding="utf-8")
        console.print(f"Its address is in {show_path(file)}, for your user alone.")
        lines.append(f"  database_url_file: {SECRET_FILE}")
    if not lines:
        console.print("The settings name this database already: the next command uses it.")
        return
    place = find_config(config, os.environ) or config_places(config, os.environ)[0]
    console.print(f"To use it from now on, write into {show_path(place)}:\n\nstorage:")
    console.print("\n".join(lines) + "\n")
