"""The routes of the speech, model and health APIs, a module for each kind of client."""
