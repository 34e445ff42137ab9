"""The ledger: what is known of each video's file, work and failures, in one database under the home folder.

Dagster remembers runs and materializations; this remembers what it has no place for. Whoever deletes it
loses no subtitles: files are looked at anew, and finished work is found by its content.
"""
