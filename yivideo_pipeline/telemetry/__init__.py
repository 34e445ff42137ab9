"""What a stage cost: time, memory, GPU."""
