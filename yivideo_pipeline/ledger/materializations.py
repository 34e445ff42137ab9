"""What each stage made last of each video, by which recipe, and how fast it was made."""

from collections.abc import Collection
from dataclasses import asdict, dataclass, fields

from sqlalchemy import Boolean, Column, Engine, Float, Row, Table, Text, func, or_, select
from sqlalchemy.dialects.sqlite import insert

from yivideo_pipeline.ledger.database import tables

MADE = Table(
    "made",
    tables,
    Column("key", Text, primary_key=True),
    Column("stage", Text, primary_key=True),
    Column("stage_key", Text, nullable=False),
    Column("recipe", Text, nullable=False),
    Column("chosen", Boolean, nullable=False),
    Column("video_hash", Text, nullable=False),
    Column("made_at", Float, nullable=False),
    Column("run_id", Text, nullable=False),
    Column("reused", Boolean, nullable=False),
    Column("audio_s", Float),
    Column("measured_at", Float),
    Column("wall_s", Float),
    Column("rtfx", Float),
    Column("model", Text),
    Column("compute_type", Text),
    Column("device", Text),
)
MEASURED = ("measured_at", "wall_s", "rtfx", "model", "compute_type", "device")
"""Said of the last making; finding what was made before leaves them as they are."""


@dataclass(frozen=True)
class Made:
    """What a stage made last of a video.

    `recipe` is of `defs.recipes`; `chosen`: a person asked for other options than the settings'. `made_at` is
    when it was made or found (`reused`), `measured_at` when it was made and measured, both Unix seconds.
    `rtfx` is seconds of sound by second of work.
    """

    key: str
    stage: str
    stage_key: str
    recipe: str
    chosen: bool
    video_hash: str
    made_at: float
    run_id: str
    reused: bool
    audio_s: float | None = None
    measured_at: float | None = None
    wall_s: float | None = None
    rtfx: float | None = None
    model: str | None = None
    compute_type: str | None = None
    device: str | None = None


class MadeLedger:
    """One row for each video and stage."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def note(self, made: Made) -> None:
        """Note what a stage made, or found made; what was measured stays where it was found."""
        values = asdict(made)
        kept = MEASURED if made.reused else ()
        changed = {name: value for name, value in values.items() if name not in kept}
        with self._engine.begin() as connection:
            connection.execute(insert(MADE).values(values).on_conflict_do_update(set_=changed))

    def of(self, key: str) -> dict[str, Made]:
        """Return what is made of a video, by stage."""
        with self._engine.connect() as connection:
            rows = connection.execute(select(MADE).where(MADE.c.key == key))
            return {row.stage: _made(row) for row in rows}

    def other_recipes(self, stage: str, recipe: str) -> list[str]:
        """Return the videos that a stage made by another recipe than this one, sorted.

        What a person chose differs from the settings by intention: such a video is among them only where the
        code of the stage is another, which is what stands before the recipe's dot.
        """
        code = f"{recipe.partition('.')[0]}."
        other_code = ~MADE.c.recipe.startswith(code, autoescape=True)
        found = select(MADE.c.key).where(
            MADE.c.stage == stage, MADE.c.recipe != recipe, or_(~MADE.c.chosen, other_code)
        )
        with self._engine.connect() as connection:
            return sorted(connection.execute(found).scalars())

    def speeds(self, stage: str, model: str | None, device: str | None, limit: int) -> list[float]:
        """Return how fast a stage was lately (seconds of sound by second of work), the newest first.

        Args:
            stage: The stage's name.
            model: Of this model; None: of those that need none.
            device: On this device; None likewise.
            limit: No more than so many.
        """
        found = select(MADE.c.rtfx).where(
            MADE.c.stage == stage,
            MADE.c.rtfx.is_not(None),
            MADE.c.model.is_(model) if model is None else MADE.c.model == model,
            MADE.c.device.is_(device) if device is None else MADE.c.device == device,
        )
        with self._engine.connect() as connection:
            rows = connection.execute(found.order_by(MADE.c.measured_at.desc()).limit(limit))
            return list(rows.scalars())

    def durations(self, keys: Collection[str]) -> dict[str, float]:
        """Return the length of each video's sound in seconds; of those that are not known, nothing."""
        asked = set(keys)
        longest = select(MADE.c.key, func.max(MADE.c.audio_s)).where(MADE.c.audio_s.is_not(None))
        with self._engine.connect() as connection:
            rows = connection.execute(longest.group_by(MADE.c.key))
            return {key: audio_s for key, audio_s in rows if key in asked}


def _made(row: Row) -> Made:
    return Made(**{field.name: getattr(row, field.name) for field in fields(Made)})
