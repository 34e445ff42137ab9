"""Performance: what the work of runs and requests cost, how it goes now, and when somebody should look."""
