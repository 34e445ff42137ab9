"""History: the work done so far, as tables, and how Dagster's queue and daemon are now.

`samples` makes the ledger's samples of what Dagster knows; `tables` gives them as pandas tables, a row a
stage, a video, or a day, model and device; `instance` opens Dagster's instance as a reader.
"""
