"""Samples as operations: a row for each piece of work that has ended, well or not."""

from typing import TYPE_CHECKING

from yivideo_pipeline.service.performance.operations import HEARD, Operation

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (
    "operation", "key", "run_id", "at", "duration_s", "audio_s", "success", "retries", "memory_mb", "cpu_pct",
    "gpu_memory_mb", "gpu_utilization_pct", "batch_size", "kind", "message", "hint",
)  # fmt: skip
"""Of each table here. `duration_s` and `audio_s` (the sound that was worked on) are NaN where it failed, the
latter also where an earlier result was reused; `at` is the end as Unix time; text is None of nothing."""


def stage_works(samples: "pd.DataFrame") -> "pd.DataFrame":
    """Return each sample as an operation of its own, called as its stage."""
    return samples.assign(
        operation=samples["stage"],
        audio_s=samples["duration_s"].where(samples["success"] & ~samples["reused"]),
        duration_s=samples["wall_s"].where(samples["success"]),
        retries=samples["attempts"].fillna(1) - 1,
        memory_mb=samples["rss_peak_mb"],
        cpu_pct=100 * samples["cpu_s"] / samples["wall_s"].where(samples["wall_s"] > 0),
        gpu_memory_mb=samples["gpu_memory_peak_mb"],
        gpu_utilization_pct=samples["gpu_utilization_mean_pct"],
    )[[*COLUMNS]]


def video_works(samples: "pd.DataFrame", name: str, operation: Operation) -> "pd.DataFrame":
    """Return the operations that take several stages: what one run, launched again or not, did for one video.

    What is still under way is left out: neither is its last stage made, nor did one fail last.

    Args:
        samples: The oldest first, as `history.tables` makes them.
        name: What the operation is called.
        operation: Its stages.
    """
    import pandas as pd

    part = samples[samples["stage"].isin(operation.stages)]
    # Numbers in place of texts: grouping by two long texts takes ten times as long.
    roots, _ = pd.factorize(part["root_id"])
    keys, found = pd.factorize(part["key"])
    part = part.assign(work=pd.factorize(roots * max(1, len(found)) + keys)[0])
    last = part.drop_duplicates("work", keep="last").set_index("work")
    made = part.loc[part["success"] & (part["stage"] == operation.last), "work"]
    ended = last[~last["success"] | last.index.isin(made)]
    sums = _sums(part).loc[ended.index]
    again = part.loc[(part["stage"] == HEARD) & part["reused"], "work"]
    counts = ended["success"] & ~ended.index.isin(again)
    return ended.assign(
        operation=name,
        duration_s=sums["wall_s"].where(ended["success"]),
        audio_s=sums["duration_s"].where(counts),
        retries=sums["retries"],
        memory_mb=sums["rss_peak_mb"],
        cpu_pct=100 * sums["cpu_s"] / sums["wall_s"].where(sums["wall_s"] > 0),
        gpu_memory_mb=sums["gpu_memory_peak_mb"],
        gpu_utilization_pct=sums["gpu_utilization_mean_pct"],
        batch_size=sums["batch_size"],
    )[[*COLUMNS]].reset_index(drop=True)


def request_works(requests: "pd.DataFrame") -> "pd.DataFrame":
    """Return the service's own requests as operations."""
    table = requests.assign(
        key=None,
        run_id=None,
        audio_s=requests["duration_s"].where(requests["success"]),
        duration_s=requests["wall_s"].where(requests["success"]),
        retries=0.0,
        memory_mb=requests["rss_peak_mb"],
        cpu_pct=float("nan"),
        gpu_memory_mb=requests["gpu_memory_peak_mb"],
        gpu_utilization_pct=float("nan"),
        batch_size=float("nan"),
    )
    return table[[*COLUMNS]]


def _sums(part: "pd.DataFrame") -> "pd.DataFrame":
    """Sums over the works: of the times, the attempts beyond the first and the runs; peaks of the rest."""
    groups = part.assign(retries=part["attempts"].fillna(1) - 1).groupby("work", sort=False)
    sums = groups[["wall_s", "cpu_s", "retries"]].sum()
    peaks = groups[
        ["duration_s", "rss_peak_mb", "gpu_memory_peak_mb", "gpu_utilization_mean_pct", "batch_size"]
    ].max()
    runs = part.drop_duplicates(["work", "run_id"]).groupby("work", sort=False).size()
    return sums.join(peaks).assign(retries=sums["retries"] + runs - 1)
