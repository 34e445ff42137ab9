"""History: what Dagster's event log and runs say about the work done, as tables.

`collect.collect` brings the ledger's cache up to date, reading only what is new; `tables` gives it as pandas
tables, a row a stage or a row a video; `days` sums up the videos by day, model and device.
"""
