"""Speech to words: engines, aligners, and the manager that owns the loaded models."""
