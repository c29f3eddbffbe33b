"""Frames to class maps, detections and instances: the core that all domains share.

``classical`` holds the segmenters without a network and what they are made of; ``networks`` the
architectures, ``training`` how they learn. The rest is for both: pits, objects, tiles, devices,
predictors, checkpoints, scores.
"""
