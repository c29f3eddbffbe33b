"""Labelling images in the browser: the masks that models are trained on."""
