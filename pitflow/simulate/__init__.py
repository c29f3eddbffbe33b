"""Recordings whose truth is known: a world, its images, and both written to disk."""
