"""From what a network is sure of to the seeds of blobs, which are then outlined and measured.

A network tells where a particle is; how wide it is, the darkening tells better. So each peak of the
network's map takes over the blob that was found there, and where none was found, the scale at which
the darkening answers most. Where two particles have run into one peak, the blobs still tell them
apart: a blob that no peak took over counts too, if the network sees anything there at all. What
lies on a ring is one particle, in its middle.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from pitflow.segment.centres import APART_PX, Centres
from pitflow.segment.classical.blobs import Seeds, joined
from pitflow.segment.classical.bodies import on_body_of, one_of_each_body
from pitflow.segment.classical.darkening import Darkening
from pitflow.segment.classical.rings import Rings

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.intp]

_SAME_PX, _SAME_SCALES = 2.0, 1.0
"""A blob within so many px and scales of a peak is the same particle."""
_GLIMPSE = 0.1
"""A map of centres at this is no longer sure that there is nothing."""
_CLEAR_SHARE = 0.5
"""Scales whose signal to noise is below this share of the best are noise."""
_LEAST_SNR = 1.0
"""Below this no scale tells how wide a particle is, and the finest stands for it."""

_RING_SCALE = 1.5
"""A ring's radius over the scale at which it is one blob."""


def seeds_of(
    evidence: Floats,
    peaks: Centres,
    darkening: Darkening,
    blobs: Seeds,
    clear: float,
    rings: Rings,
) -> tuple[Seeds, npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the seeds of particles, the network's confidence in each, and where it sees them.

    The last are (n, 2) x and y in px, NaN where it saw none.

    Parameters
    ----------
    evidence:
        (height, width) map of centres, 0 to 1.
    peaks:
        Its maxima, the surest first.
    darkening:
        Of the frame.
    blobs:
        What ``find_seeds`` found in it.
    clear:
        Least signal to noise of a blob that counts without a peak.
    rings:
        Of the frame, each with a peak on it.
    """
    peaks, ring = rings.gathered(peaks, darkening)
    blobs = blobs[rings.owner(places_of(blobs), darkening) < 0]
    taken = _assigned(darkening, blobs, peaks.row, peaks.column)
    at_peaks = _seeds_at(darkening, blobs, taken, peaks.row, peaks.column)
    at_peaks = _as_wide_as_rings(at_peaks, peaks, rings, ring, darkening)
    # What is taken by a peak that is no particle of its own is none either.
    stands = one_of_each_body(peaks.place.astype(np.float64), darkening)
    at_peaks, peaks = at_peaks[stands], peaks[stands]
    free = blobs.snr >= clear
    free[taken[taken >= 0]] = False
    others = blobs[free]
    row, column = others.pixels()
    height, width = evidence.shape
    beside = np.arange(-1, 2)
    # A maximum of the darkening may lie a pixel beside what the network marked.
    rows = np.clip(row[:, None] + beside, 0, height - 1)
    columns = np.clip(column[:, None] + beside, 0, width - 1)
    seen = evidence[rows[:, :, None], columns[:, None, :]].max(axis=(1, 2))
    kept = seen >= _GLIMPSE
    if peaks.row.size:
        tree = cKDTree(np.column_stack([peaks.row, peaks.column]))
        kept &= tree.query(np.column_stack([row, column]))[0] > APART_PX
    left = np.flatnonzero(kept)
    blob = np.column_stack([column, row])[left].astype(np.float64)
    kept[left] = ~on_body_of(blob, peaks.place.astype(np.float64), darkening)
    score = np.concatenate([peaks.score, seen[kept]]).astype(np.float64)
    unseen = np.full((int(kept.sum()), 2), np.nan)
    return joined(at_peaks, others[kept]), score, np.concatenate([peaks.place, unseen])


def unsure_seeds_of(
    peaks: Centres, sure: Seeds, darkening: Darkening, blobs: Seeds, rings: Rings
) -> tuple[Seeds, npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return what `seeds_of` does, of peaks too low to be particles and apart from those that are.

    Parameters
    ----------
    peaks:
        Of the network's map, below the threshold of a particle.
    sure:
        The seeds of the frame's particles; their blobs are taken.
    darkening, blobs, rings:
        Of the frame.
    """
    peaks = peaks[rings.owner(peaks.place.astype(np.float64), darkening) < 0]
    row, column = peaks.row, peaks.column
    apart = np.ones(row.size, np.bool_)
    if row.size and sure.level.size:
        tree = cKDTree(np.column_stack(sure.pixels()))
        apart = tree.query(np.column_stack([row, column]))[0] > APART_PX
        blobs = blobs[~np.isin(_number(blobs), _number(sure))]
    row, column = row[apart], column[apart]
    taken = _assigned(darkening, blobs, row, column)
    seeds = _seeds_at(darkening, blobs, taken, row, column)
    return seeds, peaks.score[apart].astype(np.float64), peaks.place[apart].astype(np.float64)


def _as_wide_as_rings(
    seeds: Seeds, peaks: Centres, rings: Rings, ring: Ints, darkening: Darkening
) -> Seeds:
    """Return the seeds of peaks, those in the middle of a ring at the scale that covers it."""
    chosen = np.flatnonzero(ring >= 0)
    scale = rings.radius[ring[chosen]] / (_RING_SCALE * darkening.pyramid.finest_px)
    last = len(darkening.pyramid.band) - 1
    wide = np.clip(np.rint(np.log2(scale)), 0, last).astype(np.intp)
    level, row, column = seeds.level.copy(), seeds.row.copy(), seeds.column.copy()
    level[chosen] = wide
    # The next pixel of the coarser grid that is there.
    row[chosen], column[chosen] = (pixel[chosen] // 2**wide for pixel in (peaks.row, peaks.column))
    return Seeds(level, row, column, seeds.snr)


def places_of(seeds: Seeds) -> npt.NDArray[np.float64]:
    """Return (n, 2) x and y, px."""
    row, column = seeds.pixels()
    return np.column_stack([column, row]).astype(np.float64)


def _number(seeds: Seeds) -> Ints:
    """Return a number for the place and scale of each seed."""
    return (seeds.row << 36) + (seeds.column << 8) + seeds.level


def _seeds_at(darkening: Darkening, blobs: Seeds, taken: Ints, row: Ints, column: Ints) -> Seeds:
    """Return one seed per peak: the blob that it took over, or where the darkening is clearest."""
    level, at_row, at_column, snr = _clearest(darkening, row, column)
    has = np.flatnonzero(taken >= 0)
    blob = taken[has]
    level[has], snr[has] = blobs.level[blob], blobs.snr[blob]
    at_row[has], at_column[has] = blobs.row[blob], blobs.column[blob]
    return Seeds(level, at_row, at_column, snr)


def _assigned(darkening: Darkening, blobs: Seeds, row: Ints, column: Ints) -> Ints:
    """Return the blob of each peak, -1 for none; nearest pairs first, each blob once."""
    taken = np.full(row.size, -1, np.intp)
    if not row.size or not blobs.level.size:
        return taken
    places = np.column_stack(blobs.pixels())
    reach = _SAME_PX + _SAME_SCALES * darkening.pyramid.finest_px * 2.0**blobs.level
    peaks = cKDTree(np.column_stack([row, column]))
    near = peaks.query_ball_point(places, reach)
    blob = np.repeat(np.arange(reach.size), [len(members) for members in near])
    peak = np.concatenate([np.asarray(members, np.intp) for members in near])
    away = np.hypot(places[blob, 0] - row[peak], places[blob, 1] - column[peak]) / reach[blob]
    free = np.ones(reach.size, np.bool_)
    for pair in np.argsort(away, kind="stable"):
        if free[blob[pair]] and taken[peak[pair]] < 0:
            taken[peak[pair]], free[blob[pair]] = blob[pair], False
    return taken


def _clearest(
    darkening: Darkening, row: Ints, column: Ints
) -> tuple[Ints, Ints, Ints, npt.NDArray[np.float64]]:
    """Return the level, position on its grid, and signal to noise of the strongest response."""
    values, snrs, rows, columns = [], [], [], []
    for level, (band, noise) in enumerate(
        zip(darkening.pyramid.band, darkening.noise, strict=True)
    ):
        height, width = band.shape
        at_row = np.minimum((row + 2**level // 2) // 2**level, height - 1)
        at_column = np.minimum((column + 2**level // 2) // 2**level, width - 1)
        values.append(band[at_row, at_column])
        snrs.append(values[-1] / np.maximum(noise.at(at_row, at_column), 1e-6))
        rows.append(at_row)
        columns.append(at_column)
    snr = np.stack(snrs).astype(np.float64)
    clear = snr >= np.maximum(_CLEAR_SHARE * snr.max(axis=0), _LEAST_SNR)
    level = np.argmax(np.where(clear, np.stack(values), -np.inf), axis=0)
    each = np.arange(row.size)
    return level, np.stack(rows)[level, each], np.stack(columns)[level, each], snr[level, each]
