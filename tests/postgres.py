"""A PostgreSQL server of the tests' own, and pgbouncer in front of it, as Debian's packages have them.

Both refuse root: there they run as the user `postgres`, whom the package makes. Missing programs skip a test.
"""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Generator
from configparser import ConfigParser
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import create_engine, text

from benchmarks.ports import free_port
from tests.waiting import wait_for

PGBOUNCER = Path(__file__).resolve().parents[1] / "deploy" / "pgbouncer" / "pgbouncer.ini"
USER, PASSWORD = "yivideo", "geheim/1"
_AS_POSTGRES = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []


def find_program(name: str) -> str:
    """Return the path of a program of the packages; skips the test where it is missing."""
    newest = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    found = str(newest[-1]) if newest else shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
    if not found:
        pytest.skip(f"needs {name}: apt-get install postgresql pgbouncer")
    return found


class PostgresServer:
    """A server on a port and a folder of its own, with one user, who may make databases."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self._numbers = count(1)
        secret = folder / "password"
        secret.write_text(PASSWORD)
        own(secret)
        self._run(
            "initdb", "-D", self._data, "-U", USER, "--pwfile", str(secret), "-A", "scram-sha-256",
            "--no-sync", "-E", "UTF8", "--locale", "C.UTF-8",
        )  # fmt: skip

    @property
    def _data(self) -> str:
        return str(self.folder / "data")

    def start(self) -> None:
        # Nothing of it is kept, so that the disk is not waited for.
        options = f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        options += " -c full_page_writes=off -c shared_buffers=16MB -c timezone=Asia/Shanghai"
        self._run("pg_ctl", "-D", self._data, "-w", "-l", str(self.folder / "log"), "-o", options, "start")

    def stop(self) -> None:
        self._run("pg_ctl", "-D", self._data, "-w", "-m", "immediate", "stop")

    def address(self, database: str, port: int | None = None, password: str = PASSWORD) -> SecretStr:
        quoted = password.replace("/", "%2F")
        return SecretStr(f"postgresql+psycopg2://{USER}:{quoted}@127.0.0.1:{port or self.port}/{database}")

    def make_database(self) -> SecretStr:
        """Return the address of a new and empty database."""
        name = f"home{next(self._numbers)}"
        self.query("postgres", f"CREATE DATABASE {name}")
        return self.address(name)

    def query(self, database: str, statement: str) -> list[tuple]:
        engine = create_engine(self.address(database).get_secret_value(), isolation_level="AUTOCOMMIT")
        try:
            with engine.connect() as connection:
                answer = connection.execute(text(statement))
                return [tuple(row) for row in answer] if answer.returns_rows else []
        finally:
            engine.dispose()

    def dump(self, url: SecretStr, file: Path) -> None:
        """Write a database to a file, as docs/deploy.md says."""
        self._tool("pg_dump", "--format", "custom", "--file", str(file), _plain(url))

    def restore(self, url: SecretStr, file: Path) -> None:
        """Fill an empty database from a dump."""
        self._tool("pg_restore", "--no-owner", "--exit-on-error", "--dbname", _plain(url), str(file))

    def _tool(self, name: str, *arguments: str) -> None:
        done = subprocess.run([find_program(name), *arguments], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    @contextmanager
    def bouncer(self, connections: int) -> Generator[int]:
        """Run pgbouncer as in `deploy/`, with so many connections to the server; yields its port."""
        port, folder = free_port(), self.folder / "bouncer"
        folder.mkdir(exist_ok=True)
        (folder / "users").write_text(f'"{USER}" "{PASSWORD}"\n')
        settings = ConfigParser()
        settings.read(PGBOUNCER)
        settings["databases"]["*"] = f"host=127.0.0.1 port={self.port}"
        own_here = {"listen_addr": "127.0.0.1", "listen_port": port, "auth_file": folder / "users"}
        sizes = dict.fromkeys(("default_pool_size", "max_db_connections"), connections)
        settings["pgbouncer"].update({name: str(value) for name, value in {**own_here, **sizes}.items()})
        with (folder / "bouncer.ini").open("w") as file:
            settings.write(file)
        own(folder, *folder.iterdir())
        with subprocess.Popen(
            [*_AS_POSTGRES, find_program("pgbouncer"), "-q", folder / "bouncer.ini"]
        ) as run:
            try:
                wait_for(lambda: not _is_free(port), poll_s=0.02)
                yield port
            finally:
                run.terminate()

    def _run(self, name: str, *arguments: str) -> None:
        command = [*_AS_POSTGRES, find_program(name), *arguments]
        done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        assert done.returncode == 0, done.stderr


def _plain(url: SecretStr) -> str:
    """The address as PostgreSQL's own programs take it."""
    return url.get_secret_value().replace("+psycopg2", "")


def own(*paths: Path) -> None:
    """Give files to the user whom the server runs as."""
    if _AS_POSTGRES:
        for path in paths:
            os.chown(path, pwd.getpwnam("postgres").pw_uid, -1)


def _is_free(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) != 0


@contextmanager
def run_postgres() -> Generator[PostgresServer]:
    find_program("initdb")
    # Not in pytest's own folder, which other users can't enter.
    with tempfile.TemporaryDirectory(prefix="yivideo-postgres-") as name:
        own(Path(name))
        server = PostgresServer(Path(name))
        server.start()
        try:
            yield server
        finally:
            server.stop()
