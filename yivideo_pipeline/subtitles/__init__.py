"""From timed words to cues a person reads with ease, and to files."""
