"""How far the measurements can be trusted: claims tested on simulated truth, many times over.

No pixel is rendered: worlds are simulated as tables, detected as imperfectly as a segmenter does on
rendered recordings, linked and measured.
"""
