"""History: what Dagster recorded of all runs and materializations, as tables."""
