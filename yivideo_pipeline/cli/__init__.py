"""The yivideo command."""
