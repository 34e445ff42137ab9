"""Reports as assets: how the library stands, and how fast it is made."""
