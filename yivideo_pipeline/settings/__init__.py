"""Settings and options, validated before anything is loaded."""
