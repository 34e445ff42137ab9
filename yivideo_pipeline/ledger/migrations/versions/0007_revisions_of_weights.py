"""What a stage made has the revision of its weights: `yivideo backfill --stale` tells of another one."""

import sqlalchemy as sa
from alembic import op

revision = "7"
down_revision = "6"


def upgrade() -> None:
    """Add the column; it is unknown of what was made before."""
    op.add_column("materializations", sa.Column("revision", sa.Text))
