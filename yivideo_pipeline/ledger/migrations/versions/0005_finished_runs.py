"""What a complete run was asked for and delivered is noted, so that the same need not be run again."""

import sqlalchemy as sa
from alembic import op

revision = "5"
down_revision = "4"


def upgrade() -> None:
    """Add the table; what was finished before is run once more."""
    op.create_table(
        "finished_runs",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("asked", sa.Text, nullable=False),
        sa.Column("states", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
    )
