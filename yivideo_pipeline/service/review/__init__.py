"""Review: a video with its subtitles, which a user corrects."""
