"""Training networks: one loop, losses, samples."""
