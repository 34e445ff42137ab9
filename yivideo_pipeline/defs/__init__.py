"""Dagster's side of the pipeline: assets, checks, jobs, schedules, sensors, resources, the instance.

Domain code is in the other packages: a stage's asset loads, calls it, stores and describes.
"""
