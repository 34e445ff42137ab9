"""Dagster's sensors: new videos are found, and notices are sent."""
