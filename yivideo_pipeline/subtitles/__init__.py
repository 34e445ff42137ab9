"""Subtitles: cues that are easy to read, made of timed words, and the files that hold them."""
