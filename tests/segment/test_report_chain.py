from __future__ import annotations

import cv2
import numpy as np
import pytest

from pitflow.config import PitConfig, ReportChainConfig
from pitflow.segment.classical.report_chain import BandedMog2, ReportSegmenter
from pitflow.segment.pit_map import with_rim
from pitflow.segment.pits import find_pits


@pytest.mark.parametrize("bands", [1, 3, 4, 128])
def test_bands_equal_the_whole_frame_exactly(recording, bands):
    config = ReportChainConfig(history=20)
    whole = cv2.createBackgroundSubtractorMOG2(20, config.var_threshold, False)
    with BandedMog2(recording.shape[0], config, bands) as banded:
        for image in recording.images[:40]:
            np.testing.assert_array_equal(banded.apply(image), whole.apply(image))


def test_is_the_papers_chain(recording):
    """Difference to frame 0, equalised, MOG2, opened, contours of allowed size, step by step."""
    config = ReportChainConfig()
    pits = find_pits(recording, PitConfig(), recording.read()[-5:])
    results = list(ReportSegmenter(config, pits).segment(recording.read(), recording))
    mog2 = cv2.createBackgroundSubtractorMOG2(config.history, config.var_threshold, False)
    ellipse = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
    for image, result in zip(recording.images, results, strict=True):
        moving = mog2.apply(cv2.equalizeHist(cv2.absdiff(image, recording.first)))
        moving = cv2.morphologyEx(moving, cv2.MORPH_OPEN, ellipse)
        moving[with_rim(result.classes == 2)] = 0
        _, labels, stats, _ = cv2.connectedComponentsWithStats(moving)
        allowed = stats[:, 4] >= config.min_area_px
        allowed &= stats[:, 4] <= config.max_area_px
        allowed[0] = False
        np.testing.assert_array_equal(result.classes == 1, allowed[labels])
