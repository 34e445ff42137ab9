"""What this machine, or its container, has: processors, memory, disks and GPUs; read here alone."""
