"""Workflows as users of the old service request them: each is one run of Dagster, and that run's retries.

Dagster's own storage is the record: a run carries its workflow's id as a tag, and so do its retries. Only
callbacks that are still to be sent are kept elsewhere (`ledger.callbacks`).
"""
