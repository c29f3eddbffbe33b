"""The measure stage: from tracks, pit pixels and frames to every table of the answer."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd

from pitflow.clock import Clock
from pitflow.config import MeasureConfig
from pitflow.measure.bursts import Flags, compute_outliers
from pitflow.measure.centre import find_centres
from pitflow.measure.circular import direction_of
from pitflow.measure.correlation import compute_correlation
from pitflow.measure.current import align_current
from pitflow.measure.current_correlation import correlate_current
from pitflow.measure.ejection import compute_ejections, find_departures, trace_paths
from pitflow.measure.flow import (
    PROFILE_FIT_COLUMNS,
    compute_flow,
    fit_radial_profile,
)
from pitflow.measure.focus import (
    compute_flights,
    compute_height,
    estimate_blur_error,
    judge_focus,
    learn_size_share,
    remove_size,
)
from pitflow.measure.growth import compute_current, compute_growth, find_stable
from pitflow.measure.pits import compute_pit_geometry, compute_pits
from pitflow.measure.rates import ejection_rate, growth_rate
from pitflow.measure.rim import trace_rims
from pitflow.measure.tracks import (
    Floats,
    Ints,
    Tracks,
    lookup_frame,
    reference_position,
    sort_tracks,
)
from pitflow.measure.transients import find_transients
from pitflow.measure.velocity import compute_clustering, compute_velocity
from pitflow.measure.visibility import compute_visibility
from pitflow.schema import (
    CURRENT,
    CURRENT_CORRELATION,
    FRAMES,
    PARTICLES,
    PIT_PIXELS,
    TRANSIENTS,
    empty_table,
    validate_table,
)


def measure_all(
    particles: pd.DataFrame,
    pit_pixels: pd.DataFrame,
    frames: pd.DataFrame,
    *,
    config: MeasureConfig,
    um_per_px: float,
    fps: float,
    shape: tuple[int, int],
    seed: int,
    samples: pd.DataFrame | None = None,
) -> dict[str, pd.DataFrame]:
    """Return every table of the answer, by name.

    Parameters
    ----------
    particles:
        Detections in the frames' own geometry (`pitflow.segment.protocol.DETECTION_COLUMNS`) with
        their ``particle`` and, where it is known, ``is_glimpse``: those are completed like the
        others, but no statistic rests on them.
    pit_pixels:
        The pit_pixels table, in reference geometry.
    frames:
        The frames table; its ``n_particles`` is counted here.
    um_per_px, fps:
        Scale and rate of the recording.
    shape:
        (height, width) of a frame, px.
    seed:
        Of every random draw; the same seed gives the same tables.
    samples:
        What a potentiostat measured meanwhile, on the recording's clock (see `align_current`).

    Returns
    -------
    dict
        frames, particles, pits, growth, ejections, correlation, outliers, clustering, flights,
        flow, current, transients, current_correlation. Particles keep the frames' own geometry in
        ``x`` and ``y``; everything else is in reference geometry.
    """
    pit_pixels = validate_table(pit_pixels, PIT_PIXELS)
    particles = particles.reset_index(drop=True)
    if "is_glimpse" not in particles:
        particles = particles.assign(is_glimpse=False)
    sure = ~particles["is_glimpse"].to_numpy(dtype=np.bool_)
    clock = Clock.of(frames, fps)
    tracks = sort_tracks(particles, frames, sure, clock)
    rims = trace_rims(pit_pixels)
    depart = partial(find_departures, tracks, config=config.ejection, shape=shape)
    departures = depart(rims)
    geometry = find_centres(
        compute_pit_geometry(pit_pixels, um_per_px=um_per_px), trace_paths(departures, rims)
    )
    if (geometry["centre_of"] != "area").any():
        rims = [
            rim if centre_of == "area" else rim.about(x, y)
            for rim, x, y, centre_of in zip(
                rims, *(geometry[name] for name in ("x", "y", "centre_of")), strict=True
            )
        ]
        departures = depart(rims)
    last_frame = int(frames["frame"].max()) if len(frames) else 0
    growth = compute_growth(pit_pixels, geometry, last_frame=last_frame)
    growth["current_a"] = compute_current(
        growth, config=config.growth, um_per_px=um_per_px, fps=fps, clock=clock
    )
    ejections = compute_ejections(
        tracks,
        rims,
        geometry,
        departures,
        config=config.ejection,
        um_per_px=um_per_px,
        fps=fps,
    )
    pits = compute_pits(
        geometry,
        find_stable(growth),
        compute_visibility(geometry, shape=shape, reach_px=config.ejection.rim_distance_px),
        ejections,
        config=config.ejection,
        seed=seed,
    )
    source = _source_of(tracks, ejections)
    outliers, flagged = compute_outliers(
        tracks,
        source,
        geometry,
        config=config.velocity,
        um_per_px=um_per_px,
        fps=fps,
        mass=particles["mass"].to_numpy(dtype=np.float64)[tracks.row],
        contrast=particles["contrast"].to_numpy(dtype=np.float64)[tracks.row],
    )
    vx, vy = compute_velocity(tracks, flagged)
    to_um_s = um_per_px * fps
    complete = _complete_particles(
        particles, frames, geometry, tracks, ejections, (vx, vy, flagged), config, to_um_s
    )
    in_place = complete.assign(
        **dict(zip(("x", "y"), reference_position(complete, frames), strict=True))
    )
    return {
        "frames": _count_particles(frames, particles),
        "particles": complete,
        "pits": _with_profile(pits, complete[sure], seed),
        "growth": growth,
        "ejections": ejections,
        "correlation": compute_correlation(growth, ejections, config=config.correlation, seed=seed),
        "outliers": outliers,
        "clustering": compute_clustering(outliers, in_place[sure], geometry, seed=seed),
        "flights": compute_flights(complete[sure], fps=fps),
        "flow": compute_flow(tracks, vx * to_um_s, vy * to_um_s, source, config=config.flow),
    } | _compare_with_current(samples, frames, ejections, growth, config, um_per_px, fps, seed)


def _compare_with_current(
    samples: pd.DataFrame | None,
    frames: pd.DataFrame,
    ejections: pd.DataFrame,
    growth: pd.DataFrame,
    config: MeasureConfig,
    um_per_px: float,
    fps: float,
    seed: int,
) -> dict[str, pd.DataFrame]:
    """Return the tables of the current, without rows where there is none."""
    if samples is None:
        return {
            table.name: empty_table(table) for table in (CURRENT, TRANSIENTS, CURRENT_CORRELATION)
        }
    rates = {
        "ejections": ejection_rate(ejections, frames, fps=fps),
        "growth": growth_rate(growth, frames, fps=fps, um_per_px=um_per_px),
    }
    current = align_current(samples, frames).assign(
        ejections_per_s=rates["ejections"], growth_um2_s=rates["growth"]
    )
    return {
        "current": current,
        "transients": find_transients(samples, frames, config=config.current),
        "current_correlation": correlate_current(
            current, rates, config=config.correlation, seed=seed
        ),
    }


def _source_of(tracks: Tracks, ejections: pd.DataFrame) -> Ints:
    """Return the source pit of each track, -1 none."""
    source = ejections.set_index("particle")["pit"].reindex(tracks.particle, fill_value=-1)
    return source.to_numpy(dtype=np.int64)


def _with_profile(pits: pd.DataFrame, particles: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Return the pits with the fit of speed over distance from each."""
    fit = fit_radial_profile(particles, seed=seed).reindex(pits["pit"])
    return pits.assign(**{name: fit[name].to_numpy() for name in PROFILE_FIT_COLUMNS})


def _count_particles(frames: pd.DataFrame, particles: pd.DataFrame) -> pd.DataFrame:
    counts = particles["frame"].value_counts().reindex(frames["frame"], fill_value=0)
    return validate_table(frames.assign(n_particles=counts.to_numpy(dtype=np.int64)), FRAMES)


def _with_glimpses(whole: Tracks, tracks: Tracks, flagged: Flags, n: int) -> Flags:
    """Return (n,) the flags of the steps between sure detections, and of glimpses within those."""
    known = np.full(n, np.nan)
    known[tracks.row] = flagged
    next_known = pd.Series(known[whole.row]).groupby(whole.track).bfill()
    outlier = np.zeros(n, dtype=bool)
    outlier[whole.row] = next_known.to_numpy() == 1.0
    return outlier


def _complete_particles(
    particles: pd.DataFrame,
    frames: pd.DataFrame,
    pits: pd.DataFrame,
    tracks: Tracks,
    ejections: pd.DataFrame,
    motion: tuple[Floats, Floats, Flags],
    config: MeasureConfig,
    to_um_s: float,
) -> pd.DataFrame:
    """Return the particles table with everything that the stage learnt of each detection."""
    n = len(particles)
    whole = sort_tracks(particles, frames, clock=tracks.clock)

    def spread(values: Floats, tracks: Tracks = whole) -> Floats:
        column = np.full(n, np.nan)
        column[tracks.row] = values
        return column

    own_vx, own_vy, flagged = motion
    outlier = _with_glimpses(whole, tracks, flagged, n)
    vx, vy = (spread(values) for values in compute_velocity(whole, outlier[whole.row]))
    vx[tracks.row], vy[tracks.row] = own_vx, own_vy
    pit = np.full(n, -1, dtype=np.int64)
    pit[whole.row] = _source_of(whole, ejections)[whole.track]
    centres = pits.set_index("pit")[["x", "y"]].reindex(pit).to_numpy(dtype=np.float64)
    x, y = reference_position(particles, frames)
    dx, dy = x - centres[:, 0], y - centres[:, 1]
    width = particles["blur_px"].to_numpy(dtype=np.float64)
    mass = particles["mass"].to_numpy(dtype=np.float64)
    contrast = particles["contrast"].to_numpy(dtype=np.float64)
    sure_mass = np.where(particles["is_glimpse"], np.nan, mass)
    typical = spread(whole.median(sure_mass[whole.row]))
    share = learn_size_share(tracks, width[tracks.row], mass[tracks.row])
    blur, blur_err = remove_size(
        width,
        spread(estimate_blur_error(tracks, width[tracks.row], contrast[tracks.row]), tracks),
        np.where(np.isfinite(typical), typical, mass),
        share,
    )
    z, z_err = compute_height(blur, blur_err, config.focus)
    focused = judge_focus(mass, typical, particles["eccentricity"].to_numpy(dtype=np.float64))
    speed = np.hypot(vx, vy)
    frame = particles["frame"].to_numpy(dtype=np.int64)
    complete = particles.assign(
        time_s=lookup_frame(frames, "time_s", frame),
        pit=pit,
        angle_deg=direction_of(dx, dy),
        distance_px=np.hypot(dx, dy),
        vx_um_s=vx * to_um_s,
        vy_um_s=vy * to_um_s,
        speed_px=speed,
        speed_um_s=speed * to_um_s,
        blur_px=blur,
        z_um=z,
        z_err_um=z_err,
        is_outlier=outlier,
        z_is_valid=focused & np.isfinite(z) & np.isfinite(z_err),
    )
    return validate_table(complete, PARTICLES)
