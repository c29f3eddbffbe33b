"""What each stage does in a run directory: which files it reads, computes in parts, and leaves.

The stages' own code knows no run directory; this is where tables and pixels are opened for it.
"""
