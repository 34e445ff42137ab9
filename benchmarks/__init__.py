"""Measurements that print what they find: `make bench` for speed and memory, `make score` for accuracy."""
