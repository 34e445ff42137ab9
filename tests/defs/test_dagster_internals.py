"""What the pipeline uses of Dagster's internals was seen to work on this version alone."""

import re
from pathlib import Path

import dagster as dg

import yivideo_pipeline
from yivideo_pipeline.defs import dagster_internals, run_internals

PRIVATE = re.compile(r"dagster\w*\._")
PACKAGE = Path(yivideo_pipeline.__file__).parent


def test_dagster_is_of_the_minor_version_on_which_its_internals_were_seen_to_work():
    assert dg.__version__.startswith(f"{dagster_internals.SEEN_ON}."), (
        f"Dagster is {dg.__version__} now, and yivideo_pipeline/defs/dagster_internals.py was seen to work on"
        f" {dagster_internals.SEEN_ON}: run the tests that it names, do what it says where one fails, and"
        " raise SEEN_ON"
    )


def test_few_modules_alone_use_dagsters_internals():
    users = {path.name for path in PACKAGE.rglob("*.py") if PRIVATE.search(path.read_text(encoding="utf-8"))}
    storages = {"history_move.py", "postgres_storage.py", "sqlite_storage.py"}
    storages |= {"pool_claims.py", "queued_runs.py"}  # parts of the latter two
    assert users == {"dagster_internals.py", "run_internals.py"} | storages


def test_the_tests_that_it_names_exist():
    sources = [
        Path(module.__file__).read_text(encoding="utf-8") for module in (dagster_internals, run_internals)
    ]
    named = re.findall(r"tests/[\w/]+\.py", "".join(sources))
    assert named
    assert [name for name in named if not (PACKAGE.parent / name).is_file()] == []
