"""The tables of homes that have no version: there is nothing to do, since nobody makes them any more."""

revision = "1"
down_revision = None


def upgrade() -> None:
    """Leave everything as it is."""
