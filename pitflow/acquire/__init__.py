"""Files to frames: index, read, check, store, and the background of every block."""
