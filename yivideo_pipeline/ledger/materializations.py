"""What each stage made last of each video, by which recipe, and how fast it was made."""

from collections.abc import Collection

from sqlalchemy import Engine, delete, func, or_, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from yivideo_pipeline.ledger.database import Base, upsert

MEASURED = ("measured_at", "wall_s", "rtfx", "model", "compute_type", "device")
"""Columns about the last making; finding what was made before leaves them as they are."""


class Materialization(Base):
    """What a stage made last of a video.

    `recipe` is of `defs.cache_keys`; `chosen`: the user asked for other options than the settings'. `made_at`
    is when it was made or found (`reused`), `measured_at` when it was made and measured, both Unix seconds.
    `rtfx` is seconds of sound by second of work, `revision` that of the model's weights.
    """

    __tablename__ = "materializations"

    key: Mapped[str] = mapped_column(primary_key=True)
    stage: Mapped[str] = mapped_column(primary_key=True)
    stage_key: Mapped[str]
    recipe: Mapped[str]
    chosen: Mapped[bool]
    video_hash: Mapped[str]
    made_at: Mapped[float]
    run_id: Mapped[str]
    reused: Mapped[bool]
    audio_s: Mapped[float | None] = mapped_column(default=None)
    measured_at: Mapped[float | None] = mapped_column(default=None)
    wall_s: Mapped[float | None] = mapped_column(default=None)
    rtfx: Mapped[float | None] = mapped_column(default=None)
    model: Mapped[str | None] = mapped_column(default=None)
    compute_type: Mapped[str | None] = mapped_column(default=None)
    device: Mapped[str | None] = mapped_column(default=None)
    revision: Mapped[str | None] = mapped_column(default=None)


class MaterializationLedger:
    """One row for each video and stage."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def note(self, materialization: Materialization) -> None:
        """Note what a stage made, or found made; then what was measured of the making stays."""
        with self._engine.begin() as connection:
            upsert(connection, [materialization], kept=MEASURED if materialization.reused else ())

    def of(self, key: str) -> dict[str, Materialization]:
        """Return what is made of a video, by stage."""
        with Session(self._engine) as session:
            found = session.scalars(select(Materialization).where(Materialization.key == key))
            return {one.stage: one for one in found}

    def own_contents(self, key: str) -> set[str]:
        """Return the content hashes that a video was made from and no other video of the ledger has."""
        mine = select(Materialization.video_hash).where(Materialization.key == key)
        others = select(Materialization.video_hash).where(Materialization.key != key)
        with self._engine.connect() as connection:
            hashes = set(connection.execute(mine).scalars())
            shared = connection.execute(others.where(Materialization.video_hash.in_(hashes))).scalars()
            return hashes - set(shared)

    def forget(self, key: str) -> None:
        """Forget what was made of a video."""
        with self._engine.begin() as connection:
            connection.execute(delete(Materialization).where(Materialization.key == key))

    def made_between(self, stage: str, after: float, before: float, limit: int) -> list[Materialization]:
        """Return what a stage made or found between two Unix times, the oldest first."""
        at = Materialization.made_at
        found = select(Materialization).where(Materialization.stage == stage, at > after, at < before)
        with Session(self._engine) as session:
            return list(session.scalars(found.order_by(at).limit(limit)))

    def other_recipes(self, stage: str, *recipes: str) -> list[str]:
        """Return the videos that a stage made by another recipe than these, sorted.

        What the user chose differs from the settings by intention: such a video is among them only where the
        code of the stage is another, which is what stands before a recipe's dot.

        Args:
            stage: The stage's name.
            recipes: One or several, all of the same code.
        """
        code = f"{recipes[0].partition('.')[0]}."
        other_code = ~Materialization.recipe.startswith(code, autoescape=True)
        found = select(Materialization.key).where(
            Materialization.stage == stage,
            Materialization.recipe.not_in(recipes),
            or_(~Materialization.chosen, other_code),
        )
        with self._engine.connect() as connection:
            return sorted(connection.execute(found).scalars())

    def made_by(self, stage: str, keys: Collection[str]) -> dict[str, Materialization]:
        """Return what a stage made last of some videos, by their keys."""
        asked = set(keys)
        with Session(self._engine) as session:
            found = session.scalars(select(Materialization).where(Materialization.stage == stage))
            return {one.key: one for one in found if one.key in asked}

    def speeds(self, stage: str, model: str | None, device: str | None, limit: int) -> list[float]:
        """Return how fast a stage was lately (seconds of sound by second of work), the newest first.

        Args:
            stage: The stage's name.
            model: Of this model; None: of those that need none.
            device: On this device; None likewise.
            limit: No more than so many.
        """
        found = select(Materialization.rtfx).where(
            Materialization.stage == stage,
            Materialization.rtfx.is_not(None),
            Materialization.model == model,  # SQLAlchemy writes IS NULL for None
            Materialization.device == device,
        )
        with self._engine.connect() as connection:
            rows = connection.execute(found.order_by(Materialization.measured_at.desc()).limit(limit))
            return [rtfx for rtfx in rows.scalars() if rtfx is not None]

    def last_device(self, model: str) -> str | None:
        """Return the device on which a model made its latest transcript; None where it made none."""
        found = select(Materialization.device).where(
            Materialization.stage == "transcript",
            Materialization.model == model,
            Materialization.measured_at.is_not(None),
        )
        with self._engine.connect() as connection:
            return connection.execute(found.order_by(Materialization.measured_at.desc()).limit(1)).scalar()

    def durations(self, keys: Collection[str]) -> dict[str, float]:
        """Return the length of each video's sound in seconds; of those that are not known, nothing."""
        asked = set(keys)
        longest = select(Materialization.key, func.max(Materialization.audio_s))
        longest = longest.where(Materialization.audio_s.is_not(None)).group_by(Materialization.key)
        with self._engine.connect() as connection:
            lengths = connection.execute(longest).tuples().all()
        return {key: audio_s for key, audio_s in lengths if audio_s is not None and key in asked}
