"""Two settings, models or revisions on the same sound: what each makes of it, and where they differ."""
