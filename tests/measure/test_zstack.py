"""The optics recovered from z-stacks: of exact blurs, and of rendered images as measured."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pitflow.config import ChangeConfig
from pitflow.errors import UserError
from pitflow.measure.zstack import fit_stack, follow_particles, without_size
from pitflow.segment.classical.still import measure_still
from pitflow.simulate.optics import darkening

SIGMA0, K = 1.1, 0.3


def blurs(z, *, sizes=(0.0,), noise=0.0, seed=0, focus=0.0):
    """The blur of particles of several sizes at each height."""
    rng = np.random.default_rng(seed)
    parts = [
        pd.DataFrame(
            {
                "particle": number,
                "z_um": z,
                "blur_px": np.sqrt(SIGMA0**2 + size**2 + (K * (z - focus)) ** 2),
            }
        )
        for number, size in enumerate(sizes)
    ]
    table = pd.concat(parts, ignore_index=True)
    return table.assign(blur_px=table["blur_px"] * np.exp(rng.normal(0, noise, len(table))))


def rendered_stack(z, *, n=9, side=200, seed=0, noise=2.0, drift=0.0):
    """Images of irregular particles on an even plate, 8 bit, through the simulator's optics."""
    rng = np.random.default_rng(seed)
    across = int(np.ceil(np.sqrt(n)))
    cell = side / across
    place = [
        ((i % across + 0.5) * cell + rng.uniform(-3, 3), (i // across + 0.5) * cell)
        for i in range(n)
    ]
    images = []
    for step, height in enumerate(z):
        light = np.full((side, side), 0.82, dtype=np.float64)
        for i, (x, y) in enumerate(place):
            sigma = float(np.hypot(SIGMA0, K * height))
            mass = 0.7 * np.pi * (1.2 + 0.1 * i) ** 2
            left, top, patch = darkening(
                i, 1.2 + 0.1 * i, mass, 40.0 * i, sigma, (x + drift * step, y)
            )
            rows = slice(max(top, 0), min(top + patch.shape[0], side))
            columns = slice(max(left, 0), min(left + patch.shape[1], side))
            light[rows, columns] *= (
                1
                - patch[
                    rows.start - top : rows.stop - top, columns.start - left : columns.stop - left
                ]
            )
        grey = 255 * light + rng.normal(0, noise, light.shape)
        images.append(np.clip(np.rint(grey), 0, 255).astype(np.uint8))
    return images


def detections(images):
    return pd.concat(
        [measure_still(number, image, ChangeConfig()) for number, image in enumerate(images)],
        ignore_index=True,
    )


def test_exact_blurs_give_the_exact_optics_whatever_the_sizes():
    z = np.arange(-10.0, 11.0, 2.0)
    fit = fit_stack(blurs(z, sizes=(0.0, 0.5, 1.0), focus=1.3))
    assert fit.k_px_per_um.value == pytest.approx(K, rel=1e-6)
    assert fit.focus_um.value == pytest.approx(1.3, abs=1e-6)
    mean = np.mean([np.hypot(SIGMA0, size) for size in (0.0, 0.5, 1.0)])
    assert fit.sigma0_px.value == pytest.approx(mean, rel=1e-6)
    spread = np.std([np.hypot(SIGMA0, size) for size in (0.0, 0.5, 1.0)], ddof=1)
    assert fit.sigma0_px.spread == pytest.approx(spread, rel=1e-3)
    assert fit.sigma0_one_px > fit.sigma0_px.error


def test_intervals_cover_the_truth_as_often_as_they_say():
    z = np.linspace(-12, 12, 13)
    hits = 0
    for seed in range(60):
        table = blurs(z, sizes=(0.0,) * (1 + seed % 3), noise=0.06, seed=seed)
        low, high = fit_stack(table).k_px_per_um.interval()
        hits += low <= K <= high
    # 95 %, and a little more for the accuracy of the measure, which these blurs do not lack.
    assert 54 <= hits <= 60


def test_outliers_and_a_strange_particle_do_not_count():
    z = np.arange(-10.0, 11.0, 1.0)
    table = blurs(z, sizes=(0.0,) * 6, noise=0.01)
    table.loc[[3, 30, 55], "blur_px"] *= 2.0
    strange = blurs(z).assign(particle=9, blur_px=lambda rows: 0.5 * rows["blur_px"])
    fit = fit_stack(pd.concat([table, strange], ignore_index=True))
    assert fit.k_px_per_um.value == pytest.approx(K, rel=0.01)
    used = fit.measurements["is_used"]
    assert not used[[3, 30, 55]].any()
    assert not fit.particles.set_index("particle").loc[9, "is_used"]


def test_a_focus_that_is_elsewhere_is_refused():
    table = blurs(np.arange(-15.0, 16.0, 1.5), noise=0.005)
    assert fit_stack(table, focus_um=1.0).focus_um.value == 1.0
    for wrong in (8.0, 500.0):
        with pytest.raises(UserError, match="the particles are sharpest at"):
            fit_stack(table, focus_um=wrong)


def test_a_known_focus_serves_a_stack_on_one_side():
    z = np.arange(4.0, 20.0, 1.5)
    table = blurs(z, noise=0.005)
    fit = fit_stack(table, focus_um=0.0)
    assert fit.k_px_per_um.value == pytest.approx(K, rel=0.02)
    assert fit.focus_um.value == 0.0
    assert fit.focus_um.error < 1e-9


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (blurs(np.arange(4.0)), "4 heights only"),
        (blurs(np.arange(10.0)).assign(blur_px=2.0), "hardly changes"),
        (blurs(np.arange(10.0)).assign(blur_px=lambda t: 10 - 0.1 * t["z_um"] ** 2), "away from"),
        (blurs(np.arange(12.0, 40.0, 2.0), noise=0.001), "outside the stack"),
    ],
)
def test_useless_stacks_are_told_apart(table, message):
    with pytest.raises(UserError, match=message):
        fit_stack(table)


def test_a_recording_in_which_few_particles_change_is_no_stack():
    """Specks of the steel, and two particles that rise; of as many as there are specks, a stack."""
    z = np.arange(-9.0, 9.1, 1.5)
    rising = blurs(z, sizes=(0.2, 0.4), noise=0.005)
    speck = rising[rising["particle"] == 0].assign(blur_px=1.2)
    specks = [speck.assign(particle=number) for number in (7, 8, 9)]
    assert fit_stack(pd.concat([rising, *specks[:2]])).k_px_per_um.value == pytest.approx(
        K, rel=0.03
    )
    with pytest.raises(UserError, match="blur of 3 of 5 particles hardly changes"):
        fit_stack(pd.concat([rising, *specks]))


def test_optics_are_recovered_from_images():
    z = np.arange(-9.0, 9.1, 1.5)
    followed = follow_particles(detections(rendered_stack(z)), z)
    fit = fit_stack(followed)
    assert fit.particles["is_used"].sum() >= 8
    low, high = fit.k_px_per_um.interval()
    assert low <= K <= high
    assert fit.k_px_per_um.error < 0.03 * K
    assert abs(fit.focus_um.value) < 0.2
    # A footprint of area pi R^2 adds about R^2 / 4 to the squared blur.
    sizes = np.hypot(SIGMA0, (1.2 + 0.1 * np.arange(9)) / 2)
    assert fit.sigma0_px.value == pytest.approx(sizes.mean(), rel=0.08)
    freed = fit_stack(without_size(followed))
    assert freed.k_px_per_um.value == pytest.approx(K, rel=0.05)
    assert abs(freed.sigma0_px.value - SIGMA0) < 1.5 * freed.sigma0_one_px


def test_particles_are_followed_through_drift_and_any_order_of_heights():
    z = np.array([3.0, -3.0, 0.0, 6.0, -6.0])
    order = np.argsort(z)
    images = rendered_stack(z[order], drift=1.5)
    shuffled = [images[int(np.flatnonzero(order == number)[0])] for number in range(5)]
    followed = follow_particles(detections(shuffled), z)
    counts = followed.groupby("particle").size()
    assert (counts == 5).sum() >= 8
    spread = followed.groupby("particle")["y"].std()
    assert spread.max() < 1.0
    assert follow_particles(detections(shuffled).head(0), z).empty


def test_neighbours_that_run_into_each_other_are_left_out():
    z = np.arange(-8.0, 8.1, 2.0)
    images = rendered_stack(z, n=25, side=45)
    followed = follow_particles(detections(images), z)
    wide = followed[followed["z_um"].abs() > 7]
    assert len(wide) < 5


@pytest.mark.parametrize("share", [0.0, 1 / (4 * np.pi), 2 / (4 * np.pi)])
def test_the_particles_themselves_tell_their_size(share):
    """Points are no wider for being dark; discs are, the more the less opaque they are."""
    rng = np.random.default_rng(5)
    z, rows = np.arange(-8.0, 8.1, 2.0), []
    for particle in range(15):
        mass = rng.uniform(2.0, 12.0)
        blur = np.sqrt(0.9**2 + share * mass + (0.25 * z) ** 2)
        blur = blur * np.exp(rng.normal(0.0, 0.01, z.size))
        rows.append(pd.DataFrame({"particle": particle, "z_um": z, "blur_px": blur, "mass": mass}))
    fit = fit_stack(without_size(pd.concat(rows, ignore_index=True)))
    assert fit.sigma0_px.value == pytest.approx(0.9, abs=3 * fit.sigma0_one_px)
    assert fit.sigma0_px.value == pytest.approx(0.9, abs=0.06)


def test_a_slope_within_its_errors_is_no_calibration():
    """By chance the blur of a few particles seems to change, but they do not agree on how."""
    rng = np.random.default_rng(3)
    z = np.linspace(-20, 20, 21)
    parts = []
    for number, slope in enumerate((0.02, 0.30, 0.05)):
        blur = np.sqrt(SIGMA0**2 + (slope * z) ** 2) * np.exp(rng.normal(0, 0.01, z.size))
        parts.append(pd.DataFrame({"particle": number, "z_um": z, "blur_px": blur}))
    with pytest.raises(UserError, match="hardly changes"):
        fit_stack(pd.concat(parts, ignore_index=True))
