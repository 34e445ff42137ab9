"""Tags of runs, ours and Dagster's: set where a run is launched or begins, read by history and API."""

PARTITION_TAG = "dagster/partition"
BACKFILL_TAG = "dagster/backfill"
MODEL_TAG = "yivideo/model"
TRIGGER_TAG = "yivideo/trigger"
"""Who asked for the run: cli, gateway, sensor, backfill, schedule, automation or ui."""
