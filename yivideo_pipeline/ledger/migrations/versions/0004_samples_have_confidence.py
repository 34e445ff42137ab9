"""Samples have the mean confidence of the words, which is shown beside readability."""

import sqlalchemy as sa
from alembic import op

revision = "4"
down_revision = "3"


def upgrade() -> None:
    """Add the column; it is unknown of older samples."""
    op.add_column("samples", sa.Column("confidence", sa.Float))
