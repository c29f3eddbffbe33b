import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import lfilter
from scipy.stats import false_discovery_control
from small_worlds import as_detections, still_frames

from pitflow.config import FocusConfig
from pitflow.errors import UserError
from pitflow.measure.focus import (
    calibrate_focus,
    compute_ballistics,
    compute_flights,
    compute_height,
    estimate_blur_error,
    judge_focus,
    learn_size_share,
    remove_size,
)
from pitflow.measure.tracks import sort_tracks

CALIBRATED = FocusConfig(sigma0_px=1.2, k_px_per_um=0.3)


@given(st.floats(0, 60))
def test_height_inverts_the_blur(z):
    blur = np.array([np.hypot(1.2, 0.3 * z)])
    found, error = compute_height(blur, np.zeros(1), CALIBRATED)
    assert found[0] == pytest.approx(z, abs=1e-5)
    assert error[0] == pytest.approx(0.0, abs=1e-5)


def test_height_error_is_that_of_simulation_and_finite_in_focus():
    rng = np.random.default_rng(0)
    for z in (0.0, 10.0, 30.0):
        blur = np.hypot(1.2, 0.3 * z)
        drawn, _ = compute_height(blur + rng.normal(0, 0.1, 20000), np.zeros(20000), CALIBRATED)
        _, error = compute_height(np.array([blur]), np.array([0.1]), CALIBRATED)
        assert error[0] == pytest.approx(drawn.std(), rel=0.7 if z == 0 else 0.05)


def test_the_calibrations_own_error_counts():
    config = FocusConfig(sigma0_px=1.2, k_px_per_um=0.3, k_err_px_per_um=0.03)
    z, error = compute_height(np.array([9.0]), np.zeros(1), config)
    assert error[0] == pytest.approx(0.1 * z[0])


def test_what_is_sharper_than_in_focus_has_an_error_too():
    z, error = compute_height(np.array([0.5, 0.9]), np.array([0.1, 0.1]), CALIBRATED)
    assert (z[0], error[0] > 0) == (0.0, True)
    # A blur without an error gives no height.
    z, error = compute_height(np.array([2.0]), np.array([np.nan]), CALIBRATED)
    assert np.isnan(z).all()
    assert np.isnan(error).all()


def test_no_calibration_no_height():
    z, error = compute_height(np.array([2.0]), np.array([0.1]), FocusConfig())
    assert np.isnan(z).all()
    assert np.isnan(error).all()


def test_calibration_finds_what_made_the_stack():
    rng = np.random.default_rng(2)
    z = np.repeat(np.arange(-20.0, 21.0, 4.0), 5)
    blur = np.hypot(1.4, 0.25 * (z - 3.0)) * (1 + rng.normal(0, 0.04, z.size))
    found = calibrate_focus(pd.DataFrame({"z_um": z, "blur_px": blur}))
    assert abs(found.sigma0_px - 1.4) < 4 * found.sigma0_err_px < 0.3
    assert abs(found.k_px_per_um - 0.25) < 4 * found.k_err_px_per_um < 0.05
    assert abs(found.focus_um - 3.0) < 4 * found.focus_err_um < 1.5


def test_where_the_blur_hardly_changes_errors_are_infinite_and_nothing_is_warned():
    blur = [0.97, 0.88, 1.11, 1.07, 1.05]
    found = calibrate_focus(pd.DataFrame({"z_um": [0, 1, 2, 3, 4], "blur_px": blur}))
    assert np.isinf([found.k_err_px_per_um, found.focus_err_um]).all()


@pytest.mark.parametrize(
    ("z", "blur", "message"),
    [
        ([0, 1, 2], [1, 2, 3], "3 measurements"),
        ([0, 0, 0, 0, 1, 1], [1, 1, 1, 1, 2, 2], "2 heights"),
        ([-2, -1, 0, 1, 2], [1, 2, 2.2, 2, 1], "does not grow"),
    ],
)
def test_useless_stacks_are_refused(z, blur, message):
    with pytest.raises(UserError, match=message):
        calibrate_focus(pd.DataFrame({"z_um": z, "blur_px": blur}))


def test_blur_error_is_read_from_the_tracks():
    rng = np.random.default_rng(1)
    t = np.tile(np.arange(40), 60)
    true = 6.0 - 0.1 * t
    contrast = np.where(np.repeat(np.arange(60), 40) % 2, 0.05, 0.5)
    spread = np.where(contrast < 0.1, 0.1, 0.02)
    table = as_detections(
        pd.DataFrame({"particle": np.repeat(np.arange(60), 40), "frame": t, "x": 1.0 * t, "y": 0.0})
    ).assign(blur_px=true * np.exp(rng.normal(0, spread)))
    tracks = sort_tracks(table, still_frames(40))
    error = estimate_blur_error(tracks, table["blur_px"].to_numpy()[tracks.row], contrast)
    for own in (0.02, 0.1):
        relative = np.median((error / true)[spread == own])
        assert relative == pytest.approx(own, rel=0.15)
    alone = sort_tracks(table.head(2), still_frames(40))
    assert np.isnan(estimate_blur_error(alone, np.ones(2), np.ones(2))).all()


def flights(curve, n=40, noise=0.3):
    rng = np.random.default_rng(3)
    t = np.arange(n)
    parts = [
        pd.DataFrame({"particle": k, "frame": 10 + t, "z_um": curve(t / 15.0)}) for k in range(50)
    ]
    table = pd.concat(parts, ignore_index=True)
    return table.assign(z_um=table["z_um"] + rng.normal(0, noise, len(table)))


def test_a_parabola_is_told_from_a_line():
    fit = compute_ballistics(flights(lambda t: 5 + 12 * t - 4.5 * t**2), fps=15.0)
    assert (fit["p"] < 1e-6).all()
    pull = (fit["rate"] - 12.0) / fit["rate_err"]
    assert abs(pull.mean()) < 0.5
    assert 0.75 < pull.std() < 1.3
    pull = (fit["acceleration"] + 9.0) / fit["acceleration_err"]
    assert abs(pull.mean()) < 0.5
    assert 0.75 < pull.std() < 1.3
    assert (fit["r2_parabola"] > fit["r2_line"]).all()


def test_a_line_is_no_parabola_more_often_than_the_level():
    fit = compute_ballistics(flights(lambda t: 5 + 2 * t), fps=15.0)
    assert (fit["p"] < 0.05).sum() <= 9
    np.testing.assert_allclose(
        compute_ballistics(flights(lambda t: 5 + 2 * t, noise=0.0), fps=15.0)["rate"], 2.0
    )


@pytest.mark.parametrize("lengths", [(8, 16), (20, 80)])
def test_errors_that_persist_bend_no_line(lengths):
    """A wide smear of the steel under a particle lasts for frames, and looks like a bend."""
    rng = np.random.default_rng(5)
    parts = []
    for k in range(600):
        t = np.arange(rng.integers(*lengths))
        error = lfilter([1.0], [1.0, -0.5], rng.normal(0, 0.3, t.size + 30))[30:]
        parts.append(pd.DataFrame({"particle": k, "frame": t, "z_um": 9.0 - 0.1 * t + error}))
    fit = compute_ballistics(pd.concat(parts, ignore_index=True), fps=15.0)
    assert (fit["p"] <= 0.05).mean() < 0.075
    pull = fit["acceleration"] / fit["acceleration_err"]
    assert pull.std() < 1.4


def test_ballistics_agree_with_numpy_and_skip_short_tracks():
    table = flights(lambda t: 5 + 12 * t - 4.5 * t**2)
    table = table[(table["frame"] % 3 != 0) & ((table["particle"] != 4) | (table["frame"] < 14))]
    fit = compute_ballistics(table, fps=15.0).set_index("particle")
    assert 4 not in fit.index
    one = table[table["particle"] == 7]
    t = (one["frame"] - one["frame"].min()) / 15.0
    bend, rate, _ = np.polyfit(t, one["z_um"], 2)
    assert fit["rate"][7] == pytest.approx(rate)
    assert fit["acceleration"][7] == pytest.approx(2 * bend)
    for degree, name in ((1, "r2_line"), (2, "r2_parabola")):
        left = one["z_um"] - np.polyval(np.polyfit(t, one["z_um"], degree), t)
        assert fit[name][7] == pytest.approx(1.0 - np.var(left) / np.var(one["z_um"]))
    assert compute_ballistics(table.head(0), fps=15.0).empty


def landing(share, n_tracks=120, length=30, seed=0):
    """Tracks that come down to the steel, of masses from 1 to 20 px^2, as wide as they are seen."""
    rng = np.random.default_rng(seed)
    mass = np.repeat(np.exp(rng.uniform(0, 3, n_tracks)), length)
    z = np.tile(np.linspace(20, 0, length), n_tracks)
    blur = np.hypot(0.9, 0.25 * z)
    particles = pd.DataFrame(
        {
            "particle": np.repeat(np.arange(n_tracks), length),
            "frame": np.tile(np.arange(length), n_tracks),
            "x": 0.0,
            "y": 0.0,
        }
    )
    return (
        sort_tracks(as_detections(particles), still_frames(50)),
        np.sqrt(blur**2 + share * mass),
        mass,
        blur,
    )


@pytest.mark.parametrize("opacity", [1.0, 0.65, 0.45])
def test_the_size_of_particles_is_learnt_where_they_are_sharp(opacity):
    share = 1 / (4 * np.pi * opacity)
    tracks, width, mass, blur = landing(share)
    found = learn_size_share(tracks, width, mass)
    assert found == pytest.approx(share, rel=0.1)
    # What is left is the blur of the optics, whatever the mass.
    left, _ = remove_size(width, np.zeros(width.size), mass, found)
    np.testing.assert_allclose(left, blur, rtol=0.2)


def test_with_few_tracks_particles_are_taken_as_opaque():
    tracks, width, mass, _ = landing(0.2, n_tracks=30)
    assert learn_size_share(tracks, width, mass) == pytest.approx(1 / (4 * np.pi))


def test_a_disc_has_a_quarter_of_its_squared_radius_as_variance():
    """An opaque disc of radius 3, unblurred but for pixels: its size leaves no blur to speak of."""
    y, x = np.mgrid[-10:11, -10:11] / 2.0
    inside = np.hypot(x, y) <= 3.0
    mass = inside.sum() / 4.0
    width = np.sqrt((x[inside] ** 2).mean())
    blur, _ = remove_size(np.array([width]), np.zeros(1), np.array([mass]), 1 / (4 * np.pi))
    assert blur[0] < 0.3 * width


def test_error_of_the_blur_is_that_of_the_width_and_of_the_size():
    width, error, mass = np.full(1, 3.0), np.full(1, 0.2), np.full(1, 10.0)
    blur, by_width = remove_size(width, error, np.zeros(1), 0.1)
    assert (blur[0], by_width[0]) == pytest.approx((3.0, 0.2))
    blur, both = remove_size(width, error, mass, 0.1)
    assert blur[0] == pytest.approx(np.sqrt(8.0))
    assert both[0] == pytest.approx(np.hypot(2 * 3.0 * 0.2, 0.45) / (2 * np.sqrt(8.0)))
    # Of what the size alone explains, a twentieth of the variance is blur.
    assert remove_size(width, error, 100.0 * mass, 0.1)[0][0] == pytest.approx(np.sqrt(9.0 / 20.0))


def test_a_width_is_no_height_where_the_mass_or_the_outline_is_odd():
    mass = np.array([10.0, 25.0, 4.0, 10.0, 10.0])
    typical = np.array([10.0, 10.0, 10.0, 10.0, np.nan])
    eccentricity = np.array([0.3, 0.3, 0.3, 0.97, 0.3])
    assert judge_focus(mass, typical, eccentricity).tolist() == [True, *4 * [False]]


def test_flights_are_of_the_blur_until_there_is_a_height():
    t = np.arange(20)
    table = pd.DataFrame({"particle": 0, "frame": t, "blur_px": 9.0 - 0.02 * t**2, "z_um": np.nan})
    flights = compute_flights(table, fps=10.0)
    assert flights["quantity"].tolist() == ["blur_px"]
    assert flights["acceleration"][0] == pytest.approx(-0.04 * 100)
    assert flights["r2_parabola"][0] == pytest.approx(1.0)
    assert flights[["p", "q"]].isna().all(axis=None)
    height = 5.0 - 0.1 * t + 50.0 * (t == 12)
    known = table.assign(z_um=height, z_err_um=0.1, z_is_valid=t != 12)
    calibrated = compute_flights(known, fps=10.0)
    assert calibrated["quantity"].tolist() == ["z_um"]
    assert calibrated["rate"][0] == pytest.approx(-1.0)
    assert calibrated["n"][0] == 19
    assert compute_flights(table.head(0), fps=10.0).empty


def test_p_of_flights_is_adjusted_over_them():
    table = flights(lambda t: 5 + 2 * t).assign(z_is_valid=True, blur_px=1.0, z_err_um=0.3)
    found = compute_flights(table, fps=15.0)
    np.testing.assert_allclose(found["q"], false_discovery_control(found["p"]))


@pytest.mark.parametrize(
    ("height", "ballistic"),
    [(lambda t: np.maximum(12 - 0.3 * t, 0), False), (lambda t: 12 - (t / 30 - 1) ** 2 * 12, True)],
    ids=["falls evenly and stays on the steel", "rises and falls"],
)
def test_landing_is_no_ballistic_flight(height, ballistic):
    rng = np.random.default_rng(1)
    t = np.tile(np.arange(60.0), 40)
    blur = np.hypot(CALIBRATED.sigma0_px, CALIBRATED.k_px_per_um * height(t))
    z, error = compute_height(blur * rng.normal(1, 0.05, t.size), 0.05 * blur, CALIBRATED)
    track = np.repeat(np.arange(40), 60)
    table = pd.DataFrame({"particle": track, "frame": t.astype(int), "z_um": z, "z_err_um": error})
    found = compute_flights(table.assign(z_is_valid=True, blur_px=blur), fps=15.0)
    assert len(found) == 40
    assert ((found["q"] <= 0.05).mean() > 0.9) == ballistic
    assert ballistic or (found["q"] <= 0.05).sum() <= 2
    if ballistic:
        assert (found["acceleration"] < 0).all()
