"""Samples are written when a stage ends, and say what is known of their run.

Before, they were copied from Dagster's event log, with the runs in a table of their own and a place up to
which each source was read. What was not copied yet is imported later, by `history.import_events`: the flag
`import_events` keeps those places. Two tables get the names of what they hold, and `at_work` takes in
`progress`.
"""

import json
import time

import sqlalchemy as sa
from alembic import op

revision = "2"
down_revision = "1"

NUMBERS = (
    "wall_s", "cpu_s", "rtfx", "rss_peak_mb", "gpu_memory_peak_mb", "gpu_utilization_mean_pct",
    "duration_s", "score",
)  # fmt: skip
COUNTS = ("attempts", "batch_size", "words", "low_confidence_words", "cues")
TEXTS = ("model", "compute_type", "device", "language", "warnings", "kind", "message", "hint")


def upgrade() -> None:
    """Bring version 1 to version 2."""
    op.rename_table("made", "materializations")
    op.rename_table("marks", "flags")
    _keep_places()
    _rebuild_samples()
    _rebuild_work()
    for table in ("sampled_runs", "sample_cursors", "progress"):
        op.drop_table(table)


def _run_columns() -> list[sa.Column]:
    texts = (sa.Column(name, sa.Text) for name in ("job", "trigger", "run_model", "backfill_id"))
    times = (sa.Column(name, sa.Float) for name in ("run_created_at", "run_started_at"))
    return [
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("root_id", sa.Text, nullable=False),
        *texts,
        *times,
    ]


def _keep_places() -> None:
    """Keep how far Dagster's event log was read, where it was: a home that has none has no history."""
    connection = op.get_bind()
    places = dict(connection.execute(sa.text("SELECT source, place FROM sample_cursors")).tuples().all())
    connection.execute(
        sa.text("INSERT INTO flags (name, value, since) VALUES ('import_events', :value, :since)"),
        {"value": json.dumps(places), "since": time.time()},
    )


def _rebuild_samples() -> None:
    op.rename_table("samples", "old_samples")
    op.drop_index("ix_samples_at", "old_samples")
    op.create_table(
        "samples",
        sa.Column("id", sa.Integer, primary_key=True),
        *_run_columns(),
        sa.Column("stage", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("success", sa.Boolean, nullable=False),
        sa.Column("at", sa.Float, nullable=False),
        *(sa.Column(name, sa.Float) for name in NUMBERS),
        *(sa.Column(name, sa.Integer) for name in COUNTS),
        sa.Column("reused", sa.Boolean),
        *(sa.Column(name, sa.Text) for name in TEXTS),
        sa.UniqueConstraint("run_id", "stage", "key", "success"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_samples_at", "samples", ["at"])
    same = ", ".join(f"old_samples.{name}" for name in ("stage", "key", "success", "at", *_measured()))
    op.execute(
        f"""
        INSERT INTO samples (
            run_id, root_id, job, "trigger", run_model, backfill_id, run_created_at, run_started_at,
            stage, key, success, at, {", ".join(_measured())}
        )
        SELECT old_samples.run_id, coalesce(root_id, old_samples.run_id), job, "trigger", sampled_runs.model,
            backfill_id, created_at, started_at, {same}
        FROM old_samples LEFT JOIN sampled_runs ON sampled_runs.run_id = old_samples.run_id
        ORDER BY old_samples.at
        """
    )
    op.drop_table("old_samples")


def _measured() -> tuple[str, ...]:
    return (*NUMBERS, *COUNTS, "reused", *TEXTS)


def _rebuild_work() -> None:
    op.rename_table("at_work", "old_at_work")
    op.create_table(
        "at_work",
        *_run_columns(),
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("worker", sa.Text, primary_key=True),
        sa.Column("stage", sa.Text, nullable=False),
        sa.Column("since", sa.Float, nullable=False),
        sa.Column("fraction", sa.Float),
    )
    op.execute(
        """
        INSERT INTO at_work (run_id, root_id, key, worker, stage, since, fraction)
        SELECT run_id, run_id, old_at_work.key, old_at_work.worker, stage, since, fraction
        FROM old_at_work LEFT JOIN progress
        ON progress.key = old_at_work.key AND progress.worker = old_at_work.worker
        """
    )
    op.drop_table("old_at_work")
