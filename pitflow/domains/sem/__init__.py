"""Electron micrographs: pits as instances, or materials as classes (paper 001)."""
