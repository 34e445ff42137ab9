import sqlite3
from contextlib import closing

import pytest

from yivideo_pipeline.machine import databases
from yivideo_pipeline.machine.databases import find_damage


@pytest.fixture
def file(tmp_path, monkeypatch):
    """A database of a few pages; a file may be new for no time at all."""
    monkeypatch.setattr(databases, "_NEW_FOR_S", 0.0)
    path = tmp_path / "some #1?.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE things (name)")
        connection.executemany("INSERT INTO things VALUES (?)", [("x" * 500,)] * 100)
        connection.commit()
    return path


def test_a_database_has_no_damage_nor_has_one_that_is_missing_or_in_use(file):
    assert find_damage(file, everywhere=True) is None
    assert find_damage(file.with_name("other.db")) is None
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        assert find_damage(file, everywhere=True) is None


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda data: b"", "file is empty"),
        (lambda data: b"this is no database, only text", "file is not a database"),
        (lambda data: bytes(len(data)), "file is not a database"),
        (lambda data: data[: len(data) // 2], "malformed"),
        (lambda data: data[:50], "malformed"),
    ],
    ids=["empty", "text", "zeros", "half", "50 bytes"],
)
def test_what_is_no_database_is_found_by_its_beginning(file, damage, words):
    file.write_bytes(damage(file.read_bytes()))
    assert words in (find_damage(file) or "")


def test_damage_inside_is_found_where_all_is_read(file):
    data = bytearray(file.read_bytes())
    data[4096:8192] = b"\xff" * 4096
    file.write_bytes(data)
    assert find_damage(file) is None
    assert "Page 2" in (find_damage(file, everywhere=True) or "")
