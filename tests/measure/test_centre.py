"""The centre of a pit: that of its area, unless its particles plainly come from elsewhere."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from small_worlds import disc_pit, still_frames, straight_tracks

from pitflow.config import EjectionConfig, MeasureConfig
from pitflow.measure.centre import find_centres
from pitflow.measure.circular import wrap_difference
from pitflow.measure.ejection import compute_ejections, find_departures, trace_paths
from pitflow.measure.measure import measure_all
from pitflow.measure.pits import compute_pit_geometry
from pitflow.measure.rim import trace_rims
from pitflow.measure.tracks import sort_tracks

SHAPE = (400, 400)
ORIGIN = (200.0, 200.0)
"""The first pixels of the pits below."""


def one_sided_pit():
    """A pit that breaks open at ``ORIGIN`` and grows to the right alone."""
    pixels = disc_pit(0, 200, 200, 26)
    grown = pixels["x"] >= 200 - 3
    return pixels[grown].reset_index(drop=True)


def rays(origin, n, *, turn=0.0, scatter=0.0, noise=0.15, seed=1):
    """Tracks that start 34 px from a place and leave it.

    A side flow turns them by ``turn`` rad, and each is off by ``scatter`` rad.
    """
    rng = np.random.default_rng(seed)
    angle = np.sort(rng.uniform(0, 2 * np.pi, n))
    heading = angle + turn * np.sin(angle) + scatter * rng.normal(size=n)
    starts = [
        (k, 100 + 3 * (k % 20), 30, origin[0] + 34 * np.cos(a), origin[1] + 34 * np.sin(a),
         3 * np.cos(h), 3 * np.sin(h))
        for k, (a, h) in enumerate(zip(angle, heading, strict=True))
    ]  # fmt: skip
    return straight_tracks(starts, noise=noise, seed=seed), np.degrees(angle)


def centred(pixels, particles):
    tracks, rims = sort_tracks(particles, still_frames(300)), trace_rims(pixels)
    geometry = compute_pit_geometry(pixels, um_per_px=0.5)
    departures = find_departures(tracks, rims, config=EjectionConfig(), shape=SHAPE)
    return find_centres(geometry, trace_paths(departures, rims)), tracks, rims


def ejected(found, tracks, rims):
    """The ejections of one pit about the centre that was found."""
    rims, config = [rims[0].about(found.loc[0, "x"], found.loc[0, "y"])], EjectionConfig()
    departures = find_departures(tracks, rims, config=config, shape=SHAPE)
    return compute_ejections(
        tracks, rims, found, departures, config=config, um_per_px=0.5, fps=10.0
    )


def test_particles_from_the_onset_of_a_one_sided_pit_make_it_the_centre() -> None:
    pixels = one_sided_pit()
    particles, angle = rays(ORIGIN, 24)
    found, tracks, rims = centred(pixels, particles)
    pit = found.loc[0]
    assert pit["area_x"] > ORIGIN[0] + 7
    assert pit["centre_of"] == "onset"
    assert np.hypot(pit["x"] - ORIGIN[0], pit["y"] - ORIGIN[1]) < 0.7
    table = ejected(found, tracks, rims)
    error = (table["angle_deg"].to_numpy() - angle[table["particle"]] + 180) % 360 - 180
    assert len(table) == 24
    assert np.abs(error).max() < 4


def test_particles_from_the_onset_may_scatter_but_not_so_those_from_another_place() -> None:
    found, *_ = centred(one_sided_pit(), rays(ORIGIN, 40, scatter=0.06)[0])
    assert found.loc[0, "centre_of"] == "onset"
    found, *_ = centred(one_sided_pit(), rays((206.0, 186.0), 40, scatter=0.06)[0])
    assert found.loc[0, "centre_of"] == "area"


def test_many_paths_that_are_known_badly_tell_the_onset_from_the_middle() -> None:
    """None misses the centre of the area by far, all together they do."""
    pixels = one_sided_pit()
    found, *_ = centred(pixels, rays(ORIGIN, 40, noise=1.0)[0])
    assert (found.loc[0, "centre_of"], found.loc[0, "onset_chance"]) == ("onset", 0)
    middle = pixels["x"].mean(), pixels["y"].mean()
    found, *_ = centred(pixels, rays(middle, 40, noise=1.0)[0])
    assert found.loc[0, "centre_of"] == "area"
    assert found.loc[0, "onset_chance"] < 0.01


def test_while_a_few_paths_leave_it_open_the_error_holds_both() -> None:
    """Both ways round: about the onset or the middle, 95 % lie within their intervals."""
    pixels = one_sided_pit()
    for origin in (ORIGIN, (pixels["x"].mean(), pixels["y"].mean())):
        held, stated = [], []
        for seed in range(12):
            particles, angle = rays(origin, 5, noise=1.0, seed=seed)
            found, tracks, rims = centred(pixels, particles)
            assert found.loc[0, "centre_of"] == "area"
            table = ejected(found, tracks, rims)
            error = wrap_difference(table["angle_deg"] - angle[table["particle"]])
            held += (np.abs(error) <= 1.96 * table["angle_err_deg"]).tolist()
            stated += table["angle_err_deg"].tolist()
        assert len(held) > 50
        assert np.mean(held) >= 0.9
        assert np.median(stated) < 25


def test_where_paths_meet_elsewhere_is_the_centre_if_there_are_enough() -> None:
    place = (206.0, 186.0)
    found, *_ = centred(one_sided_pit(), rays(place, 24)[0])
    assert found.loc[0, "centre_of"] == "paths"
    assert np.hypot(found.loc[0, "x"] - place[0], found.loc[0, "y"] - place[1]) < 1.0
    few, *_ = centred(one_sided_pit(), rays(place, 9)[0])
    assert few.loc[0, "centre_of"] == "area"


@pytest.mark.parametrize("n", [3, 24])
def test_particles_from_the_middle_leave_the_centre_of_the_area(n: int) -> None:
    pixels = one_sided_pit()
    middle = pixels["x"].mean(), pixels["y"].mean()
    found, *_ = centred(pixels, rays(middle, n)[0])
    assert found.loc[0, "centre_of"] == "area"
    assert tuple(found.loc[0, ["x", "y"]]) == middle


def test_paths_that_a_flow_bends_leave_the_centre_of_the_area() -> None:
    """They seem to come from upstream of the pit, but do not meet there."""
    pixels = disc_pit(0, 200, 200, 20)
    found, *_ = centred(pixels, rays(ORIGIN, 24, turn=0.5)[0])
    assert found.loc[0, "centre_of"] == "area"


def test_all_tables_are_about_the_centre_that_was_found() -> None:
    """Pit 0 grows to one side of where its particles come from, pit 1 to all sides."""
    pixels = pd.concat([one_sided_pit(), disc_pit(1, 320, 300, 15)], ignore_index=True)
    particles, angle = rays(ORIGIN, 24)
    others, other_angle = rays((320.0, 300.0), 24, seed=2)
    together = pd.concat([particles, others.assign(particle=others["particle"] + 24)])
    quick = {"ejection": {"bootstrap": 200}, "correlation": {"surrogates": 50, "max_lag": 5}}
    found = measure_all(
        together,
        pixels,
        still_frames(300),
        config=MeasureConfig.model_validate(quick),
        um_per_px=0.5,
        fps=15.0,
        shape=SHAPE,
        seed=0,
    )
    pits, ejections = found["pits"], found["ejections"].set_index("particle")
    assert pits["centre_of"].tolist() == ["onset", "area"]
    assert pits["n_ejected"].tolist() == [24, 24]
    true = np.concatenate([angle, other_angle])[ejections.index]
    assert np.abs(wrap_difference(ejections["angle_deg"] - true)).max() < 4
    seen = found["particles"]
    assert (seen["pit"] == seen["particle"] // 24).all()
    place = pits.set_index("pit").loc[seen["pit"]]
    away = np.hypot(seen["x"] - place["x"].to_numpy(), seen["y"] - place["y"].to_numpy())
    np.testing.assert_allclose(seen["distance_px"], away)


def test_without_particles_or_pits_there_is_nothing_to_move() -> None:
    pixels = disc_pit(0, 200, 200, 20)
    nothing = rays(ORIGIN, 3)[0].iloc[:0]
    found, *_ = centred(pixels, nothing)
    assert (found.loc[0, "x"], found.loc[0, "centre_of"]) == (200.0, "area")
    empty = pd.DataFrame({name: pixels[name].iloc[:0] for name in pixels})
    assert centred(empty, rays(ORIGIN, 5)[0])[0].empty
