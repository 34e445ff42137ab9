"""Performance: what runs and requests cost, how the system is now, and when the user should act."""
