"""Reports as assets: the state of the library, and how fast videos are processed."""
