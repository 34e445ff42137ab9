"""How every registered video stands: finished, failed, set aside, or not made yet."""

from typing import TYPE_CHECKING

import dagster as dg

from yivideo_pipeline.history.tables import FINISHED
from yivideo_pipeline.ledger.ledger import Ledger
from yivideo_pipeline.stages import VIDEOS

if TYPE_CHECKING:
    import pandas as pd

KEPT = [
    "ended_at", "audio_s", "wall_s", "rtfx", "model", "device", "language", "score", "words",
    "low_confidence_words", "warnings", "stage", "kind", "message", "hint",
]  # fmt: skip
STATES = ("finished", "failed", "quarantined", "missing")


def standing_table(instance: dg.DagsterInstance, ledger: Ledger, videos: "pd.DataFrame") -> "pd.DataFrame":
    """Return a row for each registered video, sorted by its key, which is the index.

    `state` is `quarantined` where nothing takes it up again, else `failed` where its last run failed, else
    `finished` where it has subtitles, else `missing`. The other columns are of its last work in `videos` that
    came to an end, good or bad, as `history.tables.video_table` says them.
    """
    import pandas as pd

    registered = pd.Index(sorted(instance.get_dynamic_partitions(VIDEOS)), name="video", dtype=object)
    ended = videos[videos["outcome"] != "partly"].drop_duplicates("key", keep="last").set_index("key")
    table = ended[KEPT].reindex(registered)
    finished = instance.get_materialized_partitions(dg.AssetKey(FINISHED))
    failed = set(ended.index[ended["outcome"] == "failed"])
    state = pd.Series("missing", index=registered, dtype=object)
    state[state.index.isin(finished)] = "finished"
    state[state.index.isin(failed)] = "failed"
    for key, one in ledger.failures.quarantined().items():
        if key in state.index:
            state[key] = "quarantined"
            table.loc[key, ["stage", "kind", "message", "hint"]] = [
                one.failed.stage, one.failed.kind, one.failed.message, one.failed.hint,
            ]  # fmt: skip
    table.insert(0, "state", state)
    return table.astype(dict.fromkeys(("words", "low_confidence_words"), "Int64"))
