"""The Dagster edge: partitions, assets, resources, jobs."""
