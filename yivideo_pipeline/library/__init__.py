"""The library: the roots' files, and which of them are videos to work on, each with its reason."""
