import numpy as np
import pandas as pd
import pytest
from scipy.optimize import curve_fit
from small_worlds import still_frames, straight_tracks

from pitflow.config import FlowConfig
from pitflow.measure.flow import _fit_falls, compute_flow, fit_radial_profile
from pitflow.measure.tracks import sort_tracks

CONFIG = FlowConfig(cell_px=50.0)


def test_cells_hold_means_counts_and_domains():
    starts = [(0, 0, 10, 5.0, 5.0, 4.0, 0.0), (1, 0, 10, 5.0, 20.0, 4.0, 0.0)]
    starts += [(2, 0, 5, 5.0, 30.0, 0.0, 2.0), (3, 0, 5, 130.0, 130.0, 0.0, -3.0)]
    tracks = sort_tracks(straight_tracks(starts), still_frames(20))
    speed = {0: (4.0, 0.0), 1: (6.0, 0.0), 2: (0.0, 2.0), 3: (0.0, -3.0)}
    vx = np.array([speed[t][0] for t in tracks.track])
    vy = np.array([speed[t][1] for t in tracks.track])
    flow = compute_flow(tracks, vx, vy, np.array([5, 5, 1, -1]), config=CONFIG)
    assert list(zip(flow["x"], flow["y"], strict=True)) == [(24.5, 24.5), (124.5, 124.5)]
    first, second = flow.iloc[0], flow.iloc[1]
    assert (first["n"], first["n_tracks"], first["domain"]) == (25, 3, 5)
    # Of the tracks, not of the detections: a slow one stays long in the cell.
    assert first["vx_um_s"] == pytest.approx((4 + 6 + 0) / 3)
    assert first["vy_um_s"] == pytest.approx(2 / 3)
    assert first["vx_err_um_s"] == pytest.approx(np.std([4, 6, 0], ddof=1) / np.sqrt(3))
    assert (second["vy_um_s"], second["domain"]) == (-3.0, -1)
    assert np.isnan(second["vy_err_um_s"])


def test_no_velocity_no_cell():
    tracks = sort_tracks(straight_tracks([(0, 0, 5, 1.0, 1.0, 1.0, 0.0)]), still_frames(20))
    nothing = np.full(5, np.nan)
    flow = compute_flow(tracks, nothing, nothing, np.array([0]), config=CONFIG)
    assert flow.empty
    assert flow["n_tracks"].dtype == "int64"


def tracks_from(speed_at, n=30, *, spread=0.3, seed=0):
    """Detections of tracks that each go at their own share of ``speed_at(r)``, um/s, from 25 px."""
    rng = np.random.default_rng(seed)
    parts = []
    for particle in range(n):
        pace, r, rows = max(rng.normal(1.0, spread), 0.3), 25.0, []
        while r < 250:
            speed = pace * speed_at(r)
            rows.append((2, particle, r, speed + rng.normal(0, 0.5)))
            r += speed / 3.6
        parts.append(pd.DataFrame(rows, columns=["pit", "particle", "distance_px", "speed_um_s"]))
    return pd.concat(parts, ignore_index=True)


def test_errors_of_the_fall_of_speed_are_those_between_recordings():
    """Fast particles are so in every bin, which a scatter about the curve does not show."""
    fits = [
        fit_radial_profile(tracks_from(lambda r: 30.0 / (1.0 + r / 80.0), seed=seed)).loc[2]
        for seed in range(25)
    ]
    for name, error, true in (
        ("flow_speed_um_s", "flow_speed_err_um_s", 30.0),
        ("flow_half_px", "flow_half_err_px", 80.0),
    ):
        pull = np.array([(fit[name] - true) / fit[error] for fit in fits])
        assert abs(pull.mean()) < 0.9
        assert 0.6 < pull.std() < 1.6


def test_many_falls_at_once_are_those_of_scipy():
    rng = np.random.default_rng(1)
    r = np.tile(np.arange(10.0, 410.0, 20.0), (6, 1))
    speed = 36.0 / (1.0 + r / 80.0) + rng.normal(0, 1.0, r.shape)
    weight = rng.uniform(0.2, 3.0, r.shape)
    weight[:, 4] = 0.0
    v0, half = _fit_falls(r, np.where(weight > 0, speed, 0.0), weight)
    for k in range(len(r)):
        used = weight[k] > 0
        best, _ = curve_fit(
            lambda r, v0, half: v0 / (1.0 + r / half),
            r[k, used],
            speed[k, used],
            p0=(30.0, 100.0),
            sigma=weight[k, used] ** -0.5,
        )
        np.testing.assert_allclose((v0[k], half[k]), best, rtol=1e-4)


def test_a_slow_track_counts_once_in_a_bin():
    quick = tracks_from(lambda r: 30.0 / (1.0 + r / 80.0))
    slow = quick["particle"] < 10
    again = pd.concat([quick, quick[slow], quick[slow]])
    pd.testing.assert_frame_equal(fit_radial_profile(quick), fit_radial_profile(again))


def test_a_speed_that_does_not_fall_or_is_hardly_known_has_no_fit():
    falling = tracks_from(lambda r: 30.0 / (1.0 + r / 80.0))
    rising = tracks_from(lambda r: 10.0 + r / 20.0)
    few = falling[falling["distance_px"] < 50]
    pair = falling[falling["particle"] < 2]
    hardly = tracks_from(lambda r: 10.0 - r / 1000.0, n=8)
    for seen in (rising, few, pair, hardly):
        assert fit_radial_profile(seen).loc[2].isna().all()
    assert fit_radial_profile(falling.assign(pit=-1)).empty
    assert fit_radial_profile(falling.head(0)).empty
