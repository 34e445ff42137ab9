"""What can go wrong: a picklable error tree, a classifier for what libraries raise, and retries."""
