import numpy as np
import pandas as pd
import pytest
from small_worlds import still_frames, straight_tracks

from pitflow.config import FlowConfig
from pitflow.measure.flow import compute_flow, compute_radial_profile, fit_radial_profile
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


def test_radial_profile_counts_tracks_not_frames():
    table = pd.DataFrame(
        {
            "pit": [0, 0, 0, 0, -1, 0],
            "particle": [1, 1, 1, 2, 3, 1],
            "distance_px": [21.0, 25.0, 39.0, 30.0, 30.0, 45.0],
            "speed_um_s": [6.0, 6.0, 6.0, 2.0, 99.0, 5.0],
        }
    )
    profile = compute_radial_profile(table)
    assert list(profile["distance_px"]) == [30.0, 50.0]
    assert list(profile["n_tracks"]) == [2, 1]
    assert profile["speed_um_s"][0] == pytest.approx(4.0)
    assert profile["speed_err_um_s"][0] == pytest.approx(np.std([6, 2], ddof=1) / np.sqrt(2))
    assert compute_radial_profile(table.head(0)).empty


def profile_of(speed, err, n_tracks=10):
    r = np.arange(10.0, 10.0 + 20.0 * speed.size, 20.0)
    return pd.DataFrame(
        {
            "pit": 2,
            "distance_px": r,
            "speed_um_s": speed,
            "speed_err_um_s": err,
            "n_tracks": n_tracks,
        }
    )


def test_the_fall_of_speed_with_distance_is_fitted():
    rng = np.random.default_rng(0)
    r = np.arange(10.0, 410.0, 20.0)
    true = 36.0 / (1.0 + r / 80.0)
    pulls = []
    for _ in range(60):
        fit = fit_radial_profile(profile_of(true + rng.normal(0, 0.5, r.size), 0.5)).loc[2]
        pulls.append(
            (
                (fit["flow_speed_um_s"] - 36.0) / fit["flow_speed_err_um_s"],
                (fit["flow_half_px"] - 80.0) / fit["flow_half_err_px"],
            )
        )
    assert np.abs(np.mean(pulls, axis=0)).max() < 0.5
    assert 0.8 < np.std(pulls) < 1.3


def test_a_speed_that_does_not_fall_or_is_hardly_known_has_no_fit():
    rising = fit_radial_profile(profile_of(np.linspace(10.0, 30.0, 12), 1.0))
    few = fit_radial_profile(profile_of(np.array([9.0, 7.0, 5.0]), 1.0))
    single = fit_radial_profile(profile_of(np.linspace(30.0, 10.0, 12), 1.0, n_tracks=1))
    for fit in (rising, few, single):
        assert fit.loc[2].isna().all()
