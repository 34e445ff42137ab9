"""The history as pandas tables: a row a stage, a row a video, and a row a day, model and device."""

from collections.abc import Sequence
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from yivideo_pipeline.ledger.samples import Columns, SampleLedger
from yivideo_pipeline.stages import LAST_STAGE

if TYPE_CHECKING:
    import pandas as pd

TRANSCRIPT = "transcript"
"""The stage that costs most of the time: nothing is said of the speed where its result was reused."""
NUMBERS = (
    "at", "wall_s", "cpu_s", "rtfx", "rss_peak_mb", "gpu_memory_peak_mb", "gpu_utilization_mean_pct",
    "duration_s", "score", "confidence", "attempts", "batch_size", "words", "low_confidence_words", "cues",
    "run_created_at", "run_started_at",
)  # fmt: skip
COSTS = ("wall_s", "cpu_s", "rss_peak_mb", "gpu_memory_peak_mb", "gpu_utilization_mean_pct", "batch_size")
UNKNOWN = "unknown"
BY = ("day", "model", "device")
"""What `day_table` sums up by, where the caller does not say."""


def sample_table(ledger: SampleLedger, since: float = 0.0) -> "pd.DataFrame":
    """Return a row for each stage of each video, the oldest first, with the columns of `Sample`.

    Numbers are floats, NaN where there is none; texts are None there.

    Args:
        ledger: Where the samples are.
        since: Only what ended at or after this Unix time.
    """
    return frame_of(ledger.samples(since))


def frame_of(data: Columns) -> "pd.DataFrame":
    """Return samples as a table: numbers are floats, NaN where there is none; texts are None there."""
    import numpy as np
    import pandas as pd

    columns = {}
    for name, values in data.items():
        if name in NUMBERS:
            columns[name] = np.array(values, dtype=float)
        elif name in ("success", "reused"):
            columns[name] = np.array(values, dtype=float) == 1
        else:
            columns[name] = np.array(values, dtype=object)
    return pd.DataFrame(columns, copy=False)


def video_table(samples: "pd.DataFrame") -> "pd.DataFrame":
    """Return a row for each piece of work on a video: what one run, launched again or not, did for it.

    Columns, beside `root_id` and `key`:
        ended_at: Unix time of its last stage.
        outcome: `finished` (the subtitles are there), `failed`, or `partly` (other stages were asked for).
        transcribed: whether the transcript was made in it, not reused.
        audio_s, wall_s, cpu_s: seconds of sound, and of work in all stages that were made.
        rtfx: `audio_s / wall_s` where it is finished and transcribed, else NaN.
        rss_peak_mb, gpu_memory_peak_mb, gpu_utilization_mean_pct: the highest of its stages.
        retries: attempts beyond each stage's first, and runs beyond the first.
        model, compute_type, device, language: the transcript's, `unknown` without one; the model then is what
            the run was launched with, where it says so.
        score, confidence, cues, words, low_confidence_words, warnings: of what it made; the score is that of
            readability.
        stage, kind, message, hint: of the last failure; missing where it did not fail.
    """
    samples = number_work(samples)
    videos = sum_work(samples).rename(columns={"duration_s": "audio_s"}).drop(columns="batch_size")
    works = samples.groupby("work", sort=False)
    for name in ("root_id", "key", "run_model"):
        videos[name] = works[name].first()
    videos["ended_at"] = works["at"].max()
    videos["retries"] = videos["retries"].astype(int)
    done = samples[samples["success"]].drop_duplicates(["work", "stage"], keep="last")
    transcripts = done[done["stage"] == TRANSCRIPT].set_index("work")
    finished = done[done["stage"] == LAST_STAGE].set_index("work")
    failed = samples[~samples["success"]].drop_duplicates("work", keep="last").set_index("work")
    for name in ("model", "compute_type", "device", "language"):
        videos[name] = transcripts[name].reindex(videos.index)
    videos["model"] = videos["model"].fillna(videos.pop("run_model"))
    videos = videos.fillna(dict.fromkeys(("model", "compute_type", "device", "language"), UNKNOWN))
    for name in ("words", "low_confidence_words"):
        videos[name] = transcripts[name].reindex(videos.index)
    for name in ("score", "confidence", "cues"):
        videos[name] = finished[name].reindex(videos.index)
    for name in ("stage", "kind", "message", "hint"):
        videos[name] = failed[name].reindex(videos.index)
    videos["warnings"] = _warnings(done).reindex(videos.index)
    videos["transcribed"] = videos.index.isin(transcripts.index[~transcripts["reused"].astype(bool)])
    videos["outcome"] = "partly"
    videos.loc[finished.index, "outcome"] = "finished"
    # A check may refuse what a stage has made: the failure comes after it then.
    is_last = failed["at"] >= finished["at"].reindex(failed.index).fillna(0.0)
    videos.loc[failed.index[is_last], "outcome"] = "failed"
    is_timed = (videos["outcome"] == "finished") & videos["transcribed"] & (videos["wall_s"] > 0)
    videos["rtfx"] = (videos["audio_s"] / videos["wall_s"]).where(is_timed)
    return videos.sort_values("ended_at", kind="stable").reset_index(drop=True)


def number_work(samples: "pd.DataFrame") -> "pd.DataFrame":
    """Return the samples with a column `work`, which numbers the pieces of work.

    One piece of work is what one run, launched again or not, did for one video.
    """
    import pandas as pd

    # Numbers instead of texts: grouping by two long texts takes ten times as long.
    roots, _ = pd.factorize(samples["root_id"])
    keys, found = pd.factorize(samples["key"])
    return samples.assign(work=pd.factorize(roots * max(1, len(found)) + keys)[0])


def sum_work(samples: "pd.DataFrame") -> "pd.DataFrame":
    """Return a row for each `work`, see `number_work`.

    `wall_s` and `cpu_s` are sums over the stages that were made, `retries` counts the attempts after each
    stage's first and the runs after the first; the other columns are the highest values of its stages.
    """
    works = (
        without_reused_cost(samples)
        .assign(retries=samples["attempts"].fillna(1) - 1)
        .groupby("work", sort=True)
    )
    sums = works[["wall_s", "cpu_s", "retries"]].sum()
    peaks = works[
        ["duration_s", "rss_peak_mb", "gpu_memory_peak_mb", "gpu_utilization_mean_pct", "batch_size"]
    ].max()
    runs = samples.drop_duplicates(["work", "run_id"]).groupby("work").size()
    return sums.join(peaks).assign(retries=sums["retries"] + runs - 1)


def without_reused_cost(samples: "pd.DataFrame") -> "pd.DataFrame":
    """Return the samples without the cost of those that only found an earlier result."""
    return samples.assign(**{name: samples[name].where(~samples["reused"]) for name in COSTS})


def _warnings(done: "pd.DataFrame") -> "pd.Series":
    warned = done[done["warnings"].notna()]
    return warned.groupby("work")["warnings"].agg(
        lambda texts: "\n".join(dict.fromkeys("\n".join(texts).split("\n")))
    )


def with_days(videos: "pd.DataFrame", time_zone: str | None) -> "pd.DataFrame":
    """Return the videos with a column `day`: midnight of the day on which each ended, in the time zone.

    Args:
        videos: As `video_table` makes them.
        time_zone: Such as Europe/Berlin; None: UTC.
    """
    return videos.assign(day=_local(videos["ended_at"], time_zone).dt.tz_localize(None).dt.normalize())


def with_times(videos: "pd.DataFrame", time_zone: str | None) -> "pd.DataFrame":
    """Return the videos with `ended_at` as a time of the time zone (None: UTC), to the second."""
    return videos.assign(ended_at=_local(videos["ended_at"], time_zone).dt.floor("s"))


def _local(unix: "pd.Series", time_zone: str | None) -> "pd.Series":
    import pandas as pd

    return pd.to_datetime(unix, unit="s", utc=True).dt.tz_convert(ZoneInfo(time_zone or "UTC"))


def by_weeks(videos: "pd.DataFrame") -> "pd.DataFrame":
    """Return the videos with the Monday of their week in place of each `day`."""
    import pandas as pd

    return videos.assign(day=videos["day"] - pd.to_timedelta(videos["day"].dt.day_of_week, unit="D"))


def day_table(videos: "pd.DataFrame", by: Sequence[str] = BY) -> "pd.DataFrame":
    """Sum up videos that have a `day`: a row for each day, model and device, in this order.

    Columns, beside those that it is summed up by:
        videos: finished ones whose transcript was made; speed and time below are of these.
        rendered_again: finished ones whose transcript was there already.
        failures: runs of one video that ended in failure; retries: second and further attempts.
        audio_h: hours of sound in `videos`; work_h: hours of work for them.
        rtfx_mean: audio by work of all of them; rtfx_p5, rtfx_p50, rtfx_p95: of the single videos, from slow
            to fast.
        wall_p50_s, wall_p95_s, wall_p99_s: seconds of work a video.
        rss_peak_mb, gpu_memory_peak_mb: the highest; NaN without a GPU.
    """
    is_timed = videos["rtfx"].notna()
    finished = videos["outcome"] == "finished"
    marked = videos.assign(
        videos=is_timed,
        rendered_again=finished & ~is_timed,
        failures=videos["outcome"] == "failed",
        audio_h=videos["audio_s"].where(is_timed) / 3600,
        work_h=videos["wall_s"].where(is_timed) / 3600,
        wall_s=videos["wall_s"].where(is_timed),
    )
    counts = ["videos", "rendered_again", "failures", "retries"]
    sums = [*counts, "audio_h", "work_h"]
    peaks = ["rss_peak_mb", "gpu_memory_peak_mb"]
    groups = marked.groupby(list(by), sort=True)
    table = groups[sums].sum().astype(dict.fromkeys(counts, int))
    table["rtfx_mean"] = (table["audio_h"] / table["work_h"]).where(table["work_h"] > 0)
    for percent in (5, 50, 95):
        table[f"rtfx_p{percent}"] = groups["rtfx"].quantile(percent / 100)
    for percent in (50, 95, 99):
        table[f"wall_p{percent}_s"] = groups["wall_s"].quantile(percent / 100)
    return table.join(groups[peaks].max()).reset_index()
