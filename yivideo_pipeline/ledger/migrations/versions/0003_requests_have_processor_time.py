"""Requests of the service have the processor time that they cost."""

import sqlalchemy as sa
from alembic import op

revision = "3"
down_revision = "2"


def upgrade() -> None:
    """Add the column; it is unknown of older requests."""
    op.add_column("service_requests", sa.Column("cpu_s", sa.Float))
