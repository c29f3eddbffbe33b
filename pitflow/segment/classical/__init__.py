"""Segmenters without a network, and what they are made of."""
