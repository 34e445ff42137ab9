"""Work on many videos: which need it, how long it takes, how a backfill is launched, and by what schedule."""
