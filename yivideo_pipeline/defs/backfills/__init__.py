"""Backfills: which videos need work, how long it takes, and how it is launched by hand or by a schedule."""
