"""The Dagster edge: partitions, assets, resources, jobs, the instance. Nothing here is domain code."""
