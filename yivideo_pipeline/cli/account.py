"""All that the ledger knows of one video: what was made of it, what failed, what is at work on it."""

from collections.abc import Mapping
from dataclasses import dataclass

from yivideo_pipeline.ledger.failures import Failed, Quarantined
from yivideo_pipeline.ledger.ledger import Ledger
from yivideo_pipeline.ledger.materializations import Made
from yivideo_pipeline.ledger.workers import AtWork
from yivideo_pipeline.settings.model import Settings


@dataclass(frozen=True)
class StageAccount:
    """What a stage made last, and why it would be made otherwise now; None: it would not, or who knows."""

    made: Made
    stale: str | None


@dataclass(frozen=True)
class RunAccount:
    """The latest run that did something about the video; times are Unix seconds."""

    run_id: str
    outcome: str
    at: float
    url: str


@dataclass(frozen=True)
class Account:
    """One video's account; `streak` is how many runs failed one after the other."""

    key: str
    stages: tuple[StageAccount, ...]
    last_run: RunAccount | None
    at_work: AtWork | None
    failed: Failed | None
    streak: int
    quarantined: Quarantined | None


def account_of(key: str, ledger: Ledger, settings: Settings) -> Account:
    """Read a video's account; Dagster is not asked, so that it takes no time."""
    made, failed = ledger.made.of(key), ledger.failures.last(key)
    return Account(
        key,
        stages=_stages(made, settings),
        last_run=_last_run(made, failed, settings),
        at_work=ledger.workers.at_work(key),
        failed=failed,
        streak=ledger.failures.streak(key),
        quarantined=ledger.failures.find_quarantined(key),
    )


def _stages(made: Mapping[str, Made], settings: Settings) -> tuple[StageAccount, ...]:
    if not made:
        return ()
    from yivideo_pipeline.defs.cache_keys import recipes

    revision = _revision(settings)
    now = recipes(settings, revision or "")
    content = made["video"].video_hash if "video" in made else None
    accounts = []
    for stage, recipe in now.items():
        if stage in made:
            # Without its weights the recipe of the transcript can't be told.
            known = None if stage == "transcript" and revision is None else recipe
            accounts.append(StageAccount(made[stage], _why_stale(made[stage], known, content)))
    return tuple(accounts)


def _why_stale(made: Made, recipe: str | None, content: str | None) -> str | None:
    if content and made.video_hash != content:
        return "the video was changed since"
    if recipe is None or made.recipe == recipe:
        return None
    if made.recipe.partition(".")[0] != recipe.partition(".")[0]:
        return "the program makes it otherwise now"
    return None if made.chosen else "the settings are others now"


def _revision(settings: Settings) -> str | None:
    """Return the revision of the weights that the settings name; None where they are not on this machine."""
    from yivideo_pipeline.speech.weights import find_weights, weights_status

    name, folder = settings.speech.model_name, settings.cache.model_dir
    if weights_status(name, folder, offline=True).state != "present":
        return None
    return find_weights(name, folder, offline=True).revision


def _last_run(made: Mapping[str, Made], failed: Failed | None, settings: Settings) -> RunAccount | None:
    latest = max(made.values(), key=lambda one: one.made_at, default=None)
    if failed and (latest is None or failed.at >= latest.made_at):
        run_id, outcome, at = failed.run_id, f"failed at the {failed.stage}", failed.at
    elif latest:
        done = "subtitles" in made and made["subtitles"].run_id == latest.run_id
        outcome = "subtitles were made" if done else f"came as far as the {latest.stage}"
        run_id, at = latest.run_id, latest.made_at
    else:
        return None
    return RunAccount(run_id, outcome, at, f"{settings.notices.ui_url.rstrip('/')}/runs/{run_id}")
