"""Measurements that print their figures: `make bench` for speed and memory, `make score` for accuracy."""
