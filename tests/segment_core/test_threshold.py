"""The threshold of the best F1 over any images, from curves that add up."""

from __future__ import annotations

import numpy as np
import pytest

from pitflow.domains.particles.centres import draw_centres
from pitflow.segment.threshold import Curve, centre_curve, nothing, pixel_curve


def an_image(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities that are higher where the truth is, and known everywhere."""
    rng = np.random.default_rng(seed)
    truth = rng.random((60, 60)) < 0.1
    probability = np.clip(rng.normal(0.3 + 0.35 * truth, 0.12), 0, 1).astype(np.float32)
    return probability, truth, np.ones_like(truth)


def test_the_best_threshold_is_within_a_hundredth_of_the_best_f1() -> None:
    images = [an_image(seed) for seed in range(3)]
    threshold, f1 = sum((pixel_curve(*image) for image in images), nothing()).best()
    probability, truth = (np.stack([image[k] for image in images]) for k in (0, 1))

    def f1_at(cut: float) -> float:
        found = probability >= cut
        return float(2 * (found & truth).sum() / (found.sum() + truth.sum()))

    assert f1 == pytest.approx(f1_at(threshold), abs=1e-6)
    assert f1 >= 0.99 * max(f1_at(cut) for cut in np.arange(1, 200) / 200)


def test_of_equally_good_thresholds_the_middle_is_taken() -> None:
    # 0.2 to 0.6 are as good as one another but for chance, which makes 0.59 the best.
    f1 = np.full(200, 0.5)
    f1[40:121] = 0.8
    f1[118] = 0.804
    f1[150] = 0.7999

    class Drawn(Curve):
        def f1(self) -> np.ndarray:
            return f1

    assert Drawn(np.zeros(200), np.zeros(200), 1.0).best() == (0.4, 0.8)


def test_unknown_pixels_count_nowhere() -> None:
    probability, truth, everywhere = an_image(0)
    left = np.broadcast_to(np.arange(60) < 30, truth.shape)
    lied = pixel_curve(probability, np.where(left, truth, ~truth), left)
    honest = pixel_curve(probability[:, :30], truth[:, :30], everywhere[:, :30])
    assert lied.best() == honest.best()


def test_without_truth_there_is_nothing_to_choose_by() -> None:
    probability, truth, everywhere = an_image(0)
    assert pixel_curve(probability, truth & False, everywhere).best() == (0.5, 0.0)
    assert centre_curve(probability, truth & False, everywhere).best() == (0.5, 0.0)


def test_objects_are_counted_by_their_centres() -> None:
    places = np.array([[10.0, 10.0], [30.0, 12.0], [50.0, 40.0]])
    truth = draw_centres((60, 70), *places.T, np.full(3, 6.0))
    near = places[:2] + np.array([1.0, -1.0])
    sure = draw_centres((60, 70), *near.T, np.full(2, 6.0))
    doubtful = draw_centres((60, 70), np.array([20.0]), np.array([45.0]), np.array([6.0]))
    probability = (0.9 * sure + 0.3 * doubtful).astype(np.float32)
    everywhere = np.ones_like(truth)
    curve = centre_curve(probability, truth, everywhere)
    assert (curve.hits.sum(), curve.predicted.sum(), curve.truth) == (2, 3, 3)
    threshold, f1 = curve.best()
    assert 0.3 < threshold < 0.9
    assert f1 == pytest.approx(2 * 2 / (2 + 3))
    assert centre_curve(probability, truth, ~doubtful).predicted.sum() == 2


def test_one_true_centre_is_hit_once() -> None:
    truth = draw_centres((40, 40), np.array([20.0]), np.array([20.0]), np.array([6.0]))
    two = draw_centres((40, 40), np.array([17.0, 23.0]), np.array([20.0, 20.0]), np.full(2, 5.0))
    curve = centre_curve(two.astype(np.float32), truth, np.ones_like(truth))
    assert (curve.hits.sum(), curve.predicted.sum()) == (1, 2)


def test_curves_add_up() -> None:
    one, other = (pixel_curve(*an_image(seed)) for seed in (1, 2))
    both = one + other
    assert isinstance(both, Curve)
    assert both.truth == one.truth + other.truth
    np.testing.assert_array_equal(both.hits, one.hits + other.hits)
