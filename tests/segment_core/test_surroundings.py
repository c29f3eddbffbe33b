"""Windows around pixels, against an image with a border of its own."""

from __future__ import annotations

import numpy as np
import pytest

from pitflow.segment.surroundings import windows_around


@pytest.mark.parametrize(("beyond", "mode"), [("mirrored", "reflect"), ("nothing", "constant")])
@pytest.mark.parametrize("shape", [(40, 31), (9, 30), (8, 8)])
def test_windows_show_the_image_and_what_is_beyond(beyond, mode, shape) -> None:
    rng = np.random.default_rng(5)
    image = rng.normal(size=shape).astype(np.float32)
    row, column = (rng.integers(0, size, 200) for size in shape)
    padded = np.pad(image, 4, mode)
    expected = [padded[y : y + 9, x : x + 9] for y, x in zip(row, column, strict=True)]
    windows = windows_around(image, row, column, 4, beyond)
    np.testing.assert_array_equal(windows, expected)
    # The image itself is not shown, but copied.
    windows[:] = 0
    assert image.any()


def test_no_pixel_has_no_window() -> None:
    nowhere = np.empty(0, np.intp)
    assert windows_around(np.ones((20, 20)), nowhere, nowhere, 2, "nothing").shape == (0, 5, 5)
