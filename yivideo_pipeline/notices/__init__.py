"""Notices to people by webhook and mail, each sent once."""
