"""Workflows: what users of the old service ask for, each of them one run of Dagster and its retries.

Dagster's own storage is the record: a run carries its workflow's id as a tag, and so do its retries. Only
callbacks that are still to be sent have no place there (`ledger.workflows`).
"""
