"""What the figures draw is what the tables say."""

from __future__ import annotations

import dataclasses

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import EllipseCollection, LineCollection
from matplotlib.figure import Figure
from matplotlib.quiver import Quiver

from pitflow.report.contents import SECTIONS
from pitflow.report.data import ReportData
from pitflow.report.example import example_track
from pitflow.report.figures import (
    angle,
    correlation,
    electrochemistry,
    flow,
    focus,
    growth,
    growth_strip,
    outlier_crops,
    overview,
    particle_strip,
    polar,
    quality,
    segmenters,
    speed,
    trajectories,
)
from pitflow.report.methods import methods
from pitflow.report.panel import Panel
from pitflow.report.style import RC, label_time, pit_colour, scale_bar
from pitflow.report.summary import findings


@pytest.fixture(autouse=True)
def _style():
    with mpl.rc_context(RC):
        yield


def drawn(made: Panel | str) -> dict:
    assert isinstance(made, Panel), made
    return dict(made.drawn)


def axes(projection: str | None = None):
    return Figure().add_subplot(projection=projection)


def test_overview_shows_every_pit_and_every_tracked_particle_of_its_frame(run):
    made = overview.make(run)
    frame = drawn(made)["frame"]
    tracks = run.tracks[run.tracks["frame"] == frame]
    assert drawn(made)["full"]["pits"] == [0, 1, 2]
    assert drawn(made)["full"]["particles"] == len(tracks) > 10
    assert "3 pits" in made.caption
    assert f"{len(tracks)} tracked particles" in made.caption


def test_bubbles_of_the_frame_are_circled_where_they_lie(run):
    ax = axes()
    ax.set_xlim(0, 100)
    ax.set_ylim(80, 0)
    columns = {"frame": [7, 7, 8], "x": [20.0, 300.0, 5.0], "y": [30.0, 40.0, 5.0]}
    table = pd.DataFrame(columns).assign(diameter_px=[44.0, 20.0, 30.0])
    bubbly = dataclasses.replace(run, tables=dict(run.tables) | {"bubbles": table})
    assert overview.draw_bubbles(ax, bubbly, 7) == 1
    (circles,) = ax.collections
    assert circles.get_offsets().tolist() == [[20.0, 30.0]]
    assert circles.get_widths() == pytest.approx([1.2 * 44.0])


def test_tracks_have_the_drift_removed(run):
    tracks = run.tracks.merge(
        run.tables["particles"], on=["particle", "frame"], suffixes=("", "_own")
    )
    late = tracks["frame"] >= 25
    np.testing.assert_allclose((tracks["x_own"] - tracks["x"]), np.where(late, 1.0, 0.0))
    np.testing.assert_allclose((tracks["y_own"] - tracks["y"]), np.where(late, -1.0, 0.0))


def test_overview_moves_the_tables_positions_by_the_frames_drift(run):
    ax = axes()
    frame = 55
    assert run.shift(frame) == (1.0, -1.0)
    ax.set_xlim(-0.5, 319.5)
    ax.set_ylim(239.5, -0.5)
    overview.draw_particles(ax, run, frame, smallest_px=5)
    (circles,) = (c for c in ax.collections if isinstance(c, EllipseCollection))
    tracks = run.tracks[run.tracks["frame"] == frame]
    np.testing.assert_allclose(circles.get_offsets(), tracks[["x", "y"]] + [1.0, -1.0])


def test_a_pit_outline_encloses_the_pits_pixels(run):
    from pitflow.report.outline import pit_outlines

    outlines = pit_outlines(run, 0)
    assert list(outlines) == [0]
    pixels = run.tables["pit_pixels"].query("pit == 0 and frame == 0")
    points = np.concatenate(outlines[0])
    np.testing.assert_array_equal(points.min(axis=0), pixels[["x", "y"]].min())
    np.testing.assert_array_equal(points.max(axis=0), pixels[["x", "y"]].max())


@pytest.mark.parametrize(
    ("particle", "expected"), [((20, 10), 0), ((10, 20), 90), ((0, 10), 180), ((10, 0), 270)]
)
def test_the_angle_runs_clockwise_on_the_screen(particle, expected):
    assert angle.draw_construction(axes(), (10, 10), particle, "red") == pytest.approx(expected)


def test_the_horizontal_of_an_angle_is_named_within_the_picture():
    ax = axes()
    ax.set_xlim(0, 100)
    ax.set_ylim(100, 0)
    angle.draw_construction(ax, (85, 50), (45, 20), "#0072B2")
    label = next(text for text in ax.texts if text.get_text() == "0°")
    assert label.get_position()[0] < 95


def test_the_angle_construction_uses_a_row_of_the_particles_table(run):
    made = drawn(angle.make(run))
    rows = run.tracks[(run.tracks["frame"] == made["frame"]) & (run.tracks["pit"] == made["pit"])]
    assert np.abs(rows["angle_deg"] - made["angle_deg"]).min() < 1e-6


def test_shares_are_percentages_of_the_sectors():
    shares = polar.shares(np.array([0.0, 1.0, 14.9, 359.0, np.nan]))
    assert shares[0] == pytest.approx(75)
    assert shares[-1] == pytest.approx(25)
    assert shares.sum() == pytest.approx(100)


def test_the_rose_is_clockwise_from_the_right_with_the_arrow_at_the_mean():
    ax = axes("polar")
    made = polar.draw_rose(
        ax,
        np.full(10, 100.0),
        np.full(4, 95.0),
        "red",
        mean_deg=95.0,
        interval_deg=(350.0, 20.0),
        resultant_length=0.5,
    )
    assert ax.get_theta_direction() == -1
    assert ax.get_theta_offset() == 0
    (arrow,) = ax.texts
    assert arrow.xy == pytest.approx((np.radians(95), 0.5 * made["top"]))
    arc = ax.lines[0].get_xdata()
    assert np.degrees(arc[-1] - arc[0]) == pytest.approx(30)
    right, down = (ax.transData.transform((np.radians(a), 1.0)) for a in (0, 90))
    centre = ax.transData.transform((0, 0))
    assert right[0] > centre[0] + 1
    assert down[1] < centre[1] - 1


def test_equal_area_makes_the_area_of_a_sector_its_share():
    angles = np.repeat([7.0, 97.0], [4, 1])
    ax = axes("polar")
    made = polar.draw_rose(ax, np.full(0, np.nan), angles, "red", equal_area=True)
    radii = [path.vertices[:, 1].max() for path in ax.collections[1].get_paths()]
    assert made["departures"][[0, 6]] == pytest.approx([80, 20])
    assert radii[0] ** 2 / radii[6] ** 2 == pytest.approx(4)
    assert max(radii) < made["top"]


def test_polar_plots_hold_both_views_of_every_pit(run):
    made = drawn(polar.make(run))
    assert list(made) == ["pit 0", "pit 1", "pit 2"]
    own = run.tables["ejections"].query("pit == 1")["angle_deg"].to_numpy()
    np.testing.assert_allclose(made["pit 1"]["departures"], polar.shares(own))
    every = run.tables["particles"].query("pit == 1")["angle_deg"].to_numpy()
    np.testing.assert_allclose(made["pit 1"]["positions"], polar.shares(every))


def test_polar_plots_are_limited_and_say_so(run):
    few = dataclasses.replace(run, config=run.config.model_copy(update={"max_pits": 2}))
    made = polar.make(few)
    assert len(drawn(made)) == 2
    assert "1 more pit" in made.caption
    pits = run.tables["pits"].assign(n_ejected=[1, 2, 0], rayleigh_p=np.nan)
    made = polar.make(dataclasses.replace(run, tables={**run.tables, "pits": pits}))
    assert "No particle could be traced back to 1 further pit." in made.caption
    words = [text.get_text() for text in made.figure.texts]
    assert "a  Pit 0: 1 particle" in words
    assert all(text.endswith("too few for a test") for text in words[1::2])


def test_growth_strip_steps_by_equal_areas(run):
    made = drawn(growth_strip.make(run))
    areas = np.array(made["areas_px"])
    assert areas[-1] == run.tables["pits"]["area_px"].max()
    assert np.ptp(np.diff(areas)) < 0.35 * areas[-1]


def test_growth_strip_arrow_points_to_the_new_pixels():
    new = pd.DataFrame({"x": [20, 20, 21], "y": [29, 30, 31]})
    direction = growth_strip.draw_change(
        axes(), np.zeros((40, 40)), growth_strip.Window(0, 0, 40, 40), new, (20, 10), "red", 1.0
    )
    assert direction == pytest.approx(90, abs=2)


def test_area_and_ejections_end_at_the_tables_values(run):
    made = drawn(growth.make(run))
    pits = run.tables["pits"].set_index("pit")
    assert made["area_um2"] == pytest.approx(pits["area_um2"].to_dict())
    assert made["ejected"] == pits["n_ejected"].to_dict()


def test_labels_are_spread_out_below_the_top():
    assert growth.spread_out([1.0, 5.0], 1.0, 10.0) == [1.0, 5.0]
    assert growth.spread_out([9.8, 9.9, 10.0], 1.0, 10.0) == pytest.approx([8.0, 9.0, 10.0])


def test_correlation_answers_in_words(run):
    made = correlation.make(run)
    assert drawn(made)["answer"].lag == 10
    assert made.caption.startswith("Ejection follows growth by 10 frames (0.67 s)")
    table = run.tables["correlation"].query("pit == -1")
    np.testing.assert_allclose(drawn(made)["r"], table["r"])


def test_the_lag_axis_ends_where_nothing_could_be_compared(run):
    table = run.tables["correlation"]
    near = table.assign(r=table["r"].where(table["lag"].abs() <= 12))
    made = correlation.make(dataclasses.replace(run, tables={**run.tables, "correlation": near}))
    assert [ax.get_xlim() for ax in made.figure.axes] == [(-12, 12)] * 2


def test_a_rate_is_not_drawn_where_it_is_not_known(run):
    current = run.tables["current"]
    known = current["frame"] < 30
    short = current.assign(ejections_per_s=current["ejections_per_s"].where(known))
    made = electrochemistry.make(dataclasses.replace(run, tables={**run.tables, "current": short}))
    ax = next(ax for ax in made.figure.axes if ax.get_ylabel().startswith("ejections"))
    np.testing.assert_array_equal(np.isfinite(ax.lines[0].get_ydata()), known)


def test_a_small_frame_has_no_second_picture_of_itself(make, run):
    assert len(overview.make(run).figure.axes) == 2
    made = overview.make(make(n_pits=1, shape=(100, 130), per_pit=3))
    assert len(made.figure.axes) == 1
    assert "Right:" not in made.caption


def test_what_goes_with_a_very_wide_frame_is_drawn_below_it(make):
    wide = make(n_pits=2, shape=(200, 900), per_pit=8)
    for maker in (overview, flow):
        made = maker.make(wide)
        frame, other = (ax.get_position() for ax in made.figure.axes[:2])
        assert frame.y0 > other.y1
        assert frame.width > 0.75
        assert "(b)" in made.caption


def test_a_frame_alone_fills_its_figure(make):
    alone = overview.make(make(n_pits=0, shape=(200, 300))).figure
    place = alone.axes[0].get_position()
    assert (place.x0, place.width) == (0.0, 1.0)


def test_every_track_is_one_line_in_its_pits_colour(run):
    ax = axes()
    made = trajectories.draw_trajectories(ax, run, (0.0, 0.0))
    assert made == {"tracks": run.tracks["particle"].nunique(), "no_source": 0}
    without, lines = (c for c in ax.collections if isinstance(c, LineCollection))
    assert len(without.get_segments()) == 0
    segments = lines.get_segments()
    assert sum(len(segment) for segment in segments) == len(run.tracks)
    first = run.tracks[run.tracks["particle"] == run.tracks["particle"].iloc[0]]
    np.testing.assert_allclose(segments[0], first[["x", "y"]])
    assert mpl.colors.same_color(
        lines.get_colors()[0][:3], mpl.colors.to_rgb(pit_colour(int(first["pit"].iloc[0])))
    )


def test_flow_draws_every_cell_and_the_constant_speed(run):
    made = drawn(flow.make(run))
    assert made["cells"] == len(run.tables["flow"])
    for _, mean in made["radial"].values():
        # A ring or two hold bursts.
        np.testing.assert_allclose(np.quantile(mean, [0.0, 0.8]), 2.0 * 0.48 * 15, rtol=0.05)


def test_no_arrow_of_the_flow_is_cut_and_no_empty_axes_are_drawn(make, run):
    small = flow.make(make(n_pits=1, shape=(90, 120), per_pit=3))
    assert len(small.figure.axes) == 1
    assert "no speed is drawn over the distance" in small.caption
    for ax in (small.figure.axes[0], flow.make(run).figure.axes[0]):
        arrows = next(c for c in ax.collections if isinstance(c, Quiver))
        along = np.column_stack([arrows.U, arrows.V]) / arrows.scale / 2
        for ends in (arrows.XY - along, arrows.XY + along):
            assert (ends >= [min(ax.get_xlim()) - 1e-9, min(ax.get_ylim()) - 1e-9]).all()
            assert (ends <= [max(ax.get_xlim()) + 1e-9, max(ax.get_ylim()) + 1e-9]).all()


def test_the_curves_over_distance_say_of_which_pits_they_are(run):
    assert "of each pit over" in flow.make(run).caption
    pits = pd.concat(
        [run.tables["pits"].assign(pit=[3 * k, 3 * k + 1, 3 * k + 2]) for k in range(4)]
    )
    many = dataclasses.replace(run, tables={**run.tables, "pits": pits})
    assert "of each of the 10 pits that ejected most" in flow.make(many).caption


def test_a_particle_counts_once_in_a_ring_and_thin_rings_are_left_out():
    particle = np.array([1, 2, 3, 4, 5, 5, 5, 5, 1, 2])
    distance = np.array([1.0, 2, 3, 4, 5, 6, 7, 8, 25, np.nan])
    speed = np.array([6.0, 7, 8, 9, 1, 1, 1, 1, 9, 9])
    middles, means = flow.radial_speed(particle, distance, speed, 10.0)
    np.testing.assert_allclose(middles, [5.0])
    np.testing.assert_allclose(means, [6.2])


def test_the_example_is_one_particle_in_strip_and_speed(run):
    made = particle_strip.make(run)
    strip, pace = drawn(made), drawn(speed.make(run))
    assert strip["particle"] == pace["particle"]
    track = run.tracks[run.tracks["particle"] == strip["particle"]]
    assert set(strip["frames"]) <= set(track["frame"])
    dots, line = made.figure.axes[-2].lines
    np.testing.assert_allclose(dots.get_ydata(), track["blur_px"])
    np.testing.assert_allclose(line.get_ydata(), strip["blur_px"][1])
    middle, around = 8, track["blur_px"].iloc[4:13]
    assert strip["blur_px"][1][middle] == pytest.approx(around.median())
    np.testing.assert_allclose(pace["speed_px"], track["speed_px"])
    assert list(pace["outliers"]) == list(track.loc[track["is_outlier"], "frame"])


def test_outliers_are_counted_as_events_as_in_the_summary(run):
    number = example_track(run)
    particles = run.tables["particles"]
    of_it = particles[(particles["particle"] == number) & particles["speed_px"].notna()]
    is_outlier = particles.index.isin(of_it.index[:3])
    event = run.tables["outliers"].head(1).assign(particle=number, frame=of_it["frame"].iloc[0])
    tables = {**run.tables, "particles": particles.assign(is_outlier=is_outlier), "outliers": event}
    caption = speed.make(dataclasses.replace(run, tables=tables)).caption
    assert f"particle {number}:" in caption
    assert "the 3 frames of 1 velocity outlier marked with a square" in caption


def test_the_example_is_no_track_that_changes_its_mass(run):
    first = example_track(run)
    particles = run.tables["particles"]
    own = particles["particle"] == first
    mass = 5.0 * np.where(own, 4.0 ** (particles["frame"] % 3 - 1.0), 1.0)
    tables = {**run.tables, "particles": particles.assign(mass=mass)}
    assert example_track(dataclasses.replace(run, tables=tables)) != first


def test_uncalibrated_height_is_never_drawn(run, make):
    made = particle_strip.make(run)
    assert "z_um" not in drawn(made)
    labels = [ax.get_ylabel() for ax in made.figure.axes]
    assert "blur (px)" in labels
    assert not any("height" in label for label in labels)
    calibrated = make(calibrated=True)
    made = particle_strip.make(calibrated)
    assert "height (µm)" in [ax.get_ylabel() for ax in made.figure.axes]
    assert drawn(focus.make(calibrated))["calibrated"]


def test_blur_over_age_follows_the_planted_arc(run):
    made = drawn(focus.make(run))
    np.testing.assert_allclose(
        made["quartiles"][:, 1], 1 + 3 * np.sin(np.pi * (made["age"] + 1) / 42), rtol=1e-6
    )


def test_outliers_are_the_strongest_and_their_arrows_follow_the_motion(run):
    events = drawn(outlier_crops.make(run))["events"]
    strongest = run.tables["outliers"].sort_values("score", ascending=False).head(len(events))
    assert [event[0] for event in events] == list(strongest["particle"])
    for particle, frame, direction in events:
        tracks = run.tracks
        row = tracks[(tracks["particle"] == particle) & (tracks["frame"] == frame)].iloc[0]
        assert direction == pytest.approx(row["angle_deg"], abs=1e-6)


def test_background_free_crop_is_dark_at_the_particle(run):
    row = run.tracks.query("frame == 40").sort_values("contrast").iloc[-1]
    x, y = round(row["x"]), round(row["y"])
    window = outlier_crops.Window(x - 5, y - 5, x + 6, y + 6)
    crop = outlier_crops.background_free(run, 40, window)
    assert crop.shape == (11, 11)
    assert crop[4:7, 4:7].mean() < -10


def test_segmenters_are_counted_on_the_same_crop(run):
    def baselines(frame, window):
        return {"clahe": np.zeros((window.height, window.width), np.uint8)}

    made = drawn(segmenters.make(dataclasses.replace(run, baselines=baselines)))
    assert made["clahe"] == {"particles": 0, "particle_px": 0, "pit_px": 0}
    window = made["window"]
    own = window.of(run.mask_at(made["frame"]))
    name = f"{run.parameters.segment.segmenter} (this run)"
    assert made[name]["particle_px"] == (own == 1).sum() > 0
    assert made[name]["pit_px"] == (own == 2).sum() > 0
    assert sorted(made["pits"]) == [0, 1, 2]
    assert len(made["rows"]) == 3


def test_quality_counts_the_faults(run):
    assert drawn(quality.make(run))["faults"] == {"gap": 2, "damaged": 1, "duplicate": 0}


@pytest.mark.parametrize(
    "entry", [entry for section in SECTIONS for entry in section.entries], ids=lambda e: e.name
)
def test_an_empty_run_gives_a_sentence_or_a_figure_without_emptiness(entry, empty_run: ReportData):
    made = entry.make(empty_run)
    if entry.name in {"overview", "segmenters", "quality"}:
        assert isinstance(made, Panel)
    else:
        assert isinstance(made, str)
        assert made.endswith(".")


def test_time_axes_span_the_analysed_frames(run):
    frames = run.tables["frames"].query("frame >= 30")
    part = dataclasses.replace(run, tables=dict(run.tables) | {"frames": frames})
    assert part.span_s == (2.0, 4.0)
    ax = axes()
    growth.draw_ejections(ax, part, [0, 1, 2])
    assert ax.get_xlim() == pytest.approx((2.0, 4.0))


def test_where_the_rate_varies_times_are_those_of_the_stamps(run):
    frames = run.tables["frames"]
    assert run.even_fps == run.fps
    late = frames.assign(time_s=frames["time_s"] + 0.1 * (frames["frame"] - 30).clip(lower=0))
    uneven = dataclasses.replace(run, tables=dict(run.tables) | {"frames": late})
    assert uneven.even_fps is None
    assert uneven.duration_s == pytest.approx(run.duration_s + 0.1 * 29)
    opening = findings(uneven)[0]
    assert f"{uneven.duration_s:.1f} s at {run.fps:g} frames per second in the median" in opening
    ax = axes()
    growth.draw_areas(ax, uneven, [0])
    assert max(line.get_xdata()[-1] for line in ax.lines) > run.duration_s
    assert "speeds and rates follow the time stamps" in dict(methods(uneven))["Scale and time"]
    made = correlation.make(uneven)
    assert isinstance(made, Panel)
    assert " s)" not in made.caption


@pytest.mark.parametrize(
    ("span_s", "unit", "length_s"),
    [((2.0, 22.0), "s", 1), ((30.0, 1230.0), "min", 60), ((0.0, 5.5 * 3600), "h", 3600)],
)
def test_time_is_told_in_the_unit_of_its_length(span_s, unit, length_s):
    ax = axes()
    ax.set_xlim(*span_s)
    label_time(ax)
    assert ax.get_xlabel() == f"time ({unit})"
    assert ax.get_xlim() == span_s
    shown = [at for at in ax.get_xticks() if span_s[0] <= at <= span_s[1]]
    assert 4 <= len(shown) <= 8
    for at in shown:
        assert float(ax.xaxis.get_major_formatter()(at)) == pytest.approx(at / length_s)
        assert at / length_s == round(at / length_s)


@pytest.mark.parametrize(
    ("where", "corner"),
    [((50, 20), (1, 1)), ((92, 95), (0, 1)), (((92, 95), (10, 95)), (1, 0)), (None, (1, 1))],
)
def test_the_scale_bar_keeps_off_what_it_should_not_hide(where, corner):
    ax = Figure().add_subplot()
    ax.set_xlim(0, 100)
    ax.set_ylim(100, 0)
    points = None if where is None else np.atleast_2d(np.array(where, float))
    assert scale_bar(ax, 1.0, points) == 20
    x, y = ax.lines[0].get_data()
    assert (x.mean() > 50, y.mean() > 50) == tuple(map(bool, corner))
    assert 0 < min(x) < max(x) < 100
    assert np.ptp(x) == pytest.approx(20)


@pytest.mark.parametrize("figure", [polar, flow, focus])
def test_no_curve_rests_on_glimpses(run, figure):
    """As many glimpses as there are detections, with other angles, speeds and blur."""
    sure = run.tables["particles"]
    glimpses = sure.assign(
        is_glimpse=True,
        angle_deg=(sure["angle_deg"] + 90) % 360,
        speed_um_s=3 * sure["speed_um_s"],
        blur_px=5 * sure["blur_px"],
    )
    particles = pd.concat([sure.assign(is_glimpse=False), glimpses], ignore_index=True)
    tables = dict(run.tables) | {"particles": particles}
    expected = drawn(figure.make(run))
    found = drawn(figure.make(dataclasses.replace(run, tables=tables)))
    assert found.keys() == expected.keys()
    np.testing.assert_equal(found, expected)
