"""The library: scans its roots and decides which files are videos to process, each with a reason."""
