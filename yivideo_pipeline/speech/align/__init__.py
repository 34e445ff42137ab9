"""Aligners: what gives recognized words their times."""
