"""Notices: what people are told of by webhook and mail, each once."""
