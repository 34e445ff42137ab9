"""Review: a video with its subtitles, which a person corrects."""
