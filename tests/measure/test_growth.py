import numpy as np
import pandas as pd
import pytest
from small_worlds import disc_pit

from pitflow.config import GrowthConfig
from pitflow.measure.circular import wrap_difference
from pitflow.measure.growth import compute_current, compute_growth, find_stable
from pitflow.measure.pits import adjust_p, compute_pit_geometry
from pitflow.measure.rim import trace_rims


def grow(pixels, last_frame=200):
    geometry = compute_pit_geometry(pixels, um_per_px=0.5)
    return geometry, compute_growth(pixels, geometry, last_frame=last_frame)


def test_geometry_of_a_disc():
    geometry, _ = grow(disc_pit(3, 40, 30, 20, onset=7))
    pit = geometry.iloc[0]
    assert (pit["pit"], pit["x"], pit["y"], pit["onset_frame"]) == (3, 40, 30, 7)
    assert pit["area_px"] == pytest.approx(np.pi * 20**2, rel=0.02)
    assert pit["area_um2"] == pytest.approx(0.25 * pit["area_px"])
    assert pit["perimeter_px"] == pytest.approx(2 * np.pi * 20, rel=0.05)


def test_area_counts_every_pixel_once():
    pixels = pd.concat([disc_pit(0, 40, 40, 12, onset=3), disc_pit(1, 90, 40, 9, onset=50)])
    geometry, growth = grow(pixels)
    for pit, rows in growth.groupby("pit"):
        assert rows["new_px"].sum() == (pixels["pit"] == pit).sum()
        assert list(rows["frame"]) == list(range(int(rows["frame"].iloc[0]), 201))
        np.testing.assert_allclose(rows["area_px"], rows["new_px"].cumsum())
    assert list(growth.groupby("pit")["frame"].first()) == [3, 50]
    assert len(geometry) == 2


@pytest.mark.parametrize("towards", [0.0, 90.0, 200.0])
def test_growth_points_to_the_side_that_grows(towards):
    turn = np.radians(towards)
    t = np.arange(1, 60)
    # A strip that advances from the onset in one direction, three pixels wide.
    along, across = np.repeat(t, 3), np.tile([-1.0, 0.0, 1.0], t.size)
    x = np.rint(100 + along * np.cos(turn) - across * np.sin(turn)).astype(int)
    y = np.rint(100 + along * np.sin(turn) + across * np.cos(turn)).astype(int)
    strip = pd.DataFrame({"pit": 0, "frame": np.repeat(t, 3), "x": x, "y": y})
    onset = pd.DataFrame({"pit": 0, "frame": 0, "x": [100], "y": [100]})
    pixels = pd.concat([onset, strip]).drop_duplicates(["x", "y"])
    _, growth = grow(pixels)
    assert np.isnan(growth["angle_deg"].iloc[0])
    late = growth[(growth["frame"] > 20) & growth["angle_deg"].notna()]
    assert np.abs(wrap_difference(late["angle_deg"] - towards)).max() < 4
    assert late["resultant_length"].between(0.99, 1.0).all()
    assert growth["angle_deg"].iloc[100:].isna().all()


def test_pits_that_stop_are_not_stable():
    pixels = pd.concat(
        [
            disc_pit(0, 40, 40, 15, grows_until=200),
            disc_pit(1, 90, 40, 15, grows_until=120),
            disc_pit(2, 140, 40, 8, onset=170, grows_until=200),
        ]
    )
    _, growth = grow(pixels)
    assert list(find_stable(growth)) == [True, False, True]


def test_the_last_frames_do_not_tell_whether_a_pit_grows():
    """What becomes pit there is not known."""
    pixels = disc_pit(0, 40, 40, 15, onset=189, grows_until=200)
    _, growth = grow(pixels[pixels["frame"] <= 196])
    assert list(find_stable(growth)) == [True]
    pixels = disc_pit(0, 40, 40, 15, grows_until=180)
    sudden = pixels.assign(frame=pixels["frame"].where(pixels["frame"] < 90, 199))
    _, growth = grow(sudden)
    assert list(find_stable(growth)) == [False]


def test_the_error_of_an_area_holds_an_outline_that_is_off_as_a_whole():
    _, growth = grow(disc_pit(0, 60, 60, 30, grows_until=180))
    final = growth.iloc[-1]
    off = np.pi * (30.3**2 - 30.0**2)
    assert off < 1.96 * final["area_err_px"] < 2 * off
    assert final["area_noise_px"] == pytest.approx(np.sqrt(2 * np.pi * 30 / 12), rel=0.05)


def test_no_pits():
    geometry, growth = grow(disc_pit(0, 9, 9, 3).iloc[:0])
    assert geometry.empty
    assert growth.empty
    assert {"resultant_length", "area_err_px", "area_noise_px"} <= set(growth.columns)
    assert find_stable(growth).empty


def one_pit(radius_um, um_per_px=0.5):
    area_px = np.pi * radius_um**2 / um_per_px**2
    return pd.DataFrame({"pit": 3, "frame": np.arange(radius_um.size), "area_px": area_px})


def current(radius_um, **config):
    return compute_current(
        one_pit(radius_um), config=GrowthConfig(**config), um_per_px=0.5, fps=15.0
    ).to_numpy()


CHARGE_PER_UM3 = 2.19 * 96485 * 7.95e-12 / 55.9


def test_the_current_of_a_hemisphere_is_faradays():
    # dV/dt of 2/3 pi r^3 with r = t / 15: 2 pi r^2 / 15 per frame, 2 pi r^2 um^3/s.
    radius = np.arange(30.0, 150.0) / 15.0
    expected = CHARGE_PER_UM3 * 2 * np.pi * radius**2
    inner = slice(20, -20)
    np.testing.assert_allclose(
        current(radius, geometry="hemisphere")[inner], expected[inner], rtol=0.03
    )
    halved = current(radius, geometry="hemisphere", depth_ratio=0.5)
    np.testing.assert_allclose(2 * halved, current(radius, geometry="hemisphere"))


def test_the_current_of_a_disc_is_constant_where_its_area_grows_evenly():
    # 3 um^2 per frame at a depth of 7 um: exactly a straight line, to the ends.
    radius = np.sqrt((10.0 + 3.0 * np.arange(60)) / np.pi)
    found = current(radius, geometry="disc", disc_depth_um=7.0)
    np.testing.assert_allclose(found, CHARGE_PER_UM3 * 3.0 * 7.0 * 15.0, rtol=1e-9)


def test_pits_do_not_mix_in_the_current():
    growing, still = one_pit(np.sqrt(1.0 + np.arange(40.0))), one_pit(np.full(40, 9.0))
    both = pd.concat([growing, still.assign(pit=4)], ignore_index=True)
    found = compute_current(
        both, config=GrowthConfig(geometry="disc"), um_per_px=0.5, fps=15.0
    ).to_numpy()
    assert (found[:40] > 0).all()
    np.testing.assert_allclose(found[40:], 0.0, atol=1e-18)


def test_without_a_geometry_there_is_no_current():
    assert np.isnan(current(np.arange(1.0, 9.0))).all()


def test_adjusted_p_is_benjamini_hochbergs():
    p = np.array([0.01, np.nan, 0.04, 0.03])
    np.testing.assert_allclose(adjust_p(p), [0.03, np.nan, 0.04, 0.04])
    assert np.isnan(adjust_p(np.array([np.nan]))).all()


def test_the_rim_is_that_of_the_frame():
    (rim,) = trace_rims(disc_pit(0, 100, 100, 30, grows_until=100))
    one = np.ones(1)
    for frame, radius in ((50, 15.0), (200, 30.0)):
        back = rim.distance_along(
            160 * one, 100 * one, one, 0 * one, np.array([frame]), np.array([90.0])
        )
        assert back[0] == pytest.approx(60 - radius, abs=1.5)
    inside = rim.distance_along(
        110 * one, 100 * one, one, 0 * one, np.array([200]), np.array([90.0])
    )
    assert inside[0] == pytest.approx(-20, abs=1.5)
    past = rim.distance_along(160 * one, 150 * one, one, 0 * one, np.array([200]), np.array([90.0]))
    assert np.isnan(past[0])


def test_holes_in_the_cover_are_no_way_in():
    disc = disc_pit(0, 100, 100, 30, grows_until=10)
    holes = (disc["x"] % 7 < 3) & (disc["y"] % 7 < 3) & (disc["frame"] > 3)
    (rim,) = trace_rims(disc[~holes])
    x = np.full(40, 160.0)
    y = np.linspace(90, 110, 40)
    back = rim.distance_along(x, y, np.ones(40), np.zeros(40), np.full(40, 100), np.full(40, 90.0))
    np.testing.assert_allclose(160 - back, 100 + np.sqrt(30**2 - (y - 100) ** 2), atol=2.5)
