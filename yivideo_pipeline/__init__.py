"""From video files to word-aligned subtitles."""
