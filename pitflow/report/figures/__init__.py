"""The figures, one per file.

Each file has functions that draw on axes and return the numbers drawn, and ``make``, which turns
the run into a finished ``Panel``, or says in a sentence why there is nothing to draw.
"""
