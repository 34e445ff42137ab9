"""Where results are kept: artifacts by content, what each partition last made, delivered subtitles."""
