from __future__ import annotations

import numpy as np
import pytest

from pitflow.acquire.numbering import number_frames


def ints(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


@pytest.mark.parametrize(
    ("positions", "nominal", "numbers", "step"),
    [
        (ints(0, 1, 2, 3), 1.0, [0, 1, 2, 3], 1.0),
        (ints(0, 1, 4, 5), 1.0, [0, 1, 4, 5], 1.0),
        (ints(0, 1001, 2002, 4004), None, [0, 1, 2, 4], 1001.0),
        # Milliseconds of 15 frames per second, with the fourth frame lost.
        (ints(0, 67, 133, 267, 333), None, [0, 1, 2, 4, 5], 333 / 5),
        # The stated rate is wrong by a factor that no distance bears out.
        (ints(0, 10, 20, 30), 25.0, [0, 1, 2, 3], 10.0),
        # Every other frame is lost, as the stated rate tells.
        (ints(0, 2, 4, 5), 1.0, [0, 2, 4, 5], 1.0),
        (ints(7), None, [0], None),
        # No grid.
        (ints(0, 10, 14, 31), None, [0, 1, 2, 3], None),
        (ints(0, 1, 1, 2), 1.0, [0, 1, 2, 3], None),
        # A time stamp out of all proportion is not a million lost frames.
        (ints(0, 1, 2, 1_000_000), 1.0, [0, 1, 2, 3], None),
    ],
)
def test_numbers_and_step(positions, nominal, numbers, step) -> None:
    numbering = number_frames(positions, nominal)
    assert numbering.numbers.tolist() == numbers
    assert numbering.step == (None if step is None else pytest.approx(step))


def test_small_errors_do_not_add_up() -> None:
    positions = np.rint(np.arange(100_000) * 66.6667).astype(np.int64)
    kept = np.delete(positions, [10, 5000, 70_000])
    numbers = number_frames(kept, 66.5).numbers
    assert np.setdiff1d(np.arange(100_000), numbers).tolist() == [10, 5000, 70_000]
