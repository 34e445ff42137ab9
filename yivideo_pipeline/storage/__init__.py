"""Artifacts on disk or object storage, written whole or not at all."""
