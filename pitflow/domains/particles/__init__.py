"""Particles that leave pits, in single frames and in recordings (paper 002)."""
