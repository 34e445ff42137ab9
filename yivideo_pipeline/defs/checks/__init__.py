"""Dagster's asset checks: claims about what each stage makes, judged as it is made, for every video.

How checks of partitioned assets behave on Dagster 1.13.27 (1.13.29 is the same), and what follows:

- `AssetCheckSpec(partitions_def=…)`, a preview, keeps a state for each partition. But with dynamic
  partitions the webserver fails to compute it (`partitionStatuses`: "The instance is not available to
  load partitions"), and the UI asks for it on every asset's Checks tab. So our specs have none; a test
  fails once Dagster has mended that.
- Without it, the UI shows the last result of a check, whichever video that was about. So every result
  begins with its video's name; and the materialization of each video carries a table of its results
  (`check_metadata`), which is the place to look for the latest state of one video.
- In a run of one video, an `AssetCheckResult` after the `MaterializeResult` is all it takes: it points to
  the video's own materialization.
- In a run of several, an evaluation is logged for each video with its partition key (`evaluations`);
  `assetCheckExecutions(partition: …)` of the GraphQL API finds them. Dagster plans one more for the run
  as a whole, and its step fails unless there is an output for each check: `conclude`.
- A check that a run planned and never logged (all its videos failed, or the worker died) is shown as not
  executed once the run has ended, which is true.
- Dagster itself stops the rest of a run of one video after a failed blocking check, with a message that
  helps nobody; in a run of several only its video may stop. `blocked_by` gives the execution the error to
  raise or to record, the same in both kinds of run.
"""
