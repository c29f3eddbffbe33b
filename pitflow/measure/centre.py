"""The centre of each pit, which angles refer to: that of its area, unless its particles deny it.

Of a pit that grows to all sides, the centre of the final area is the place from which its particles
come. One that grows to one side leaves that place behind: the centre of its area moves away with
every pixel, while particles still come straight from where the pit broke open. Angles about the
former are then wrong by tens of degrees, and directions that are preferred look like none.

So the paths of the departures are followed back. Where flows from the side bend them they meet
nowhere, and the centre is that of the final area. But where they meet in one place and miss the
centre of the area by far more, that place is the centre: the onset, which is the centre of the
first pixels, if they meet there, else another if they do as exactly as each of them is known. Where
paths are known too badly to miss anything by far, but meet at the onset within their errors, it is
the centre if all of them together make it far the likelier; while they leave it open, the errors of
the angles hold that it may be.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import minimize
from scipy.special import expit

from pitflow.measure.tracks import Floats, Ints

CENTRE_OF = ("area", "onset", "paths")
"""What a centre is: see the module."""

_MEETING = 0.85
"""Greatest mean miss, in standard errors, of paths that meet: of normal errors it is 0.80..."""
_MEETING_AT_ONSET = 2.0
"""...and at the onset, a place that is known beforehand, so that particles may scatter too."""
_CLEARLY = 3.5
"""So many times more the centre of the area has to be missed for another to take its place..."""
_WITHIN_ERRORS = 1.25
"""...or the onset by no more than this, in the mean, which leaves hardly anything but errors..."""
_EVIDENCE = 6.0
"""...and by so much the log of its likelihood has to be larger, as these errors are."""
_FEWEST = 6
"""Paths without which no other place is looked for, and twice as many for one of no other sign."""
_LEAST_PX = 1.0
"""Part of each miss that no fit of a path knows of."""


@dataclass(frozen=True)
class Paths:
    """Straight ways back from the departures.

    Parameters
    ----------
    pit:
        (n,) number of the pit each is taken to come from.
    x, y:
        (n,) a point of each path, px, in reference geometry.
    ux, uy:
        (n,) unit vector of its motion.
    point_err_px, turn_err:
        (n,) standard errors of the point, across the path, and of its direction, rad.
    """

    pit: Ints
    x: Floats
    y: Floats
    ux: Floats
    uy: Floats
    point_err_px: Floats
    turn_err: Floats

    def of(self, pit: int) -> Paths:
        """Return the paths of one pit."""
        chosen = self.pit == pit
        return Paths(*(getattr(self, name)[chosen] for name in self.__dataclass_fields__))

    def misses(self, place: npt.ArrayLike) -> Floats:
        """Return by how many standard errors each path misses a place (x, y), (n,)."""
        x, y = np.asarray(place, dtype=np.float64)
        dx, dy = self.x - x, self.y - y
        across = np.abs(dx * self.uy - dy * self.ux)
        error = np.hypot(np.hypot(dx, dy) * self.turn_err, self.point_err_px)
        return np.asarray(across / np.hypot(error, _LEAST_PX))


def find_centres(geometry: pd.DataFrame, paths: Paths) -> pd.DataFrame:
    """Return a pits' geometry with the centres that angles refer to.

    Parameters
    ----------
    geometry:
        As `pitflow.measure.pits.compute_pit_geometry` returns it.
    paths:
        Of the departures, about the centres of the areas.

    Returns
    -------
    DataFrame
        The same, ``x`` and ``y`` replaced, with ``centre_of``, one of ``CENTRE_OF``. ``area_x`` and
        ``area_y`` keep the centre of the area, and ``onset_chance`` is that of the onset to be the
        centre where another was taken, 0 to 1.
    """
    area = geometry[["x", "y"]].to_numpy(dtype=np.float64)
    onset = geometry[["onset_x", "onset_y"]].to_numpy(dtype=np.float64)
    origins = [
        _origin(paths.of(pit), *places)
        for pit, *places in zip(geometry["pit"].to_numpy(), area, onset, strict=True)
    ]
    centre = np.array([place for _, place, _ in origins]).reshape(-1, 2)
    kind = pd.Series([kind for kind, _, _ in origins], index=geometry.index, dtype="str")
    return geometry.assign(
        x=centre[:, 0],
        y=centre[:, 1],
        centre_of=kind,
        area_x=area[:, 0],
        area_y=area[:, 1],
        onset_chance=np.array([chance for *_, chance in origins], dtype=np.float64),
    )


def _origin(paths: Paths, area: Floats, onset: Floats) -> tuple[str, Floats, float]:
    """Return what the common origin of the paths is, where, and the chance that it is the onset.

    The last is 0 where the onset is taken.
    """
    n = paths.x.size
    if n == 0:
        return CENTRE_OF[0], area, 0.0
    from_area, from_onset = paths.misses(area), paths.misses(onset)
    clearly, miss = from_area.mean() / _CLEARLY, from_onset.mean()
    scatter = max(1.0, float(np.mean(from_onset**2)))
    evidence = 0.5 * float(np.sum(from_area**2 - from_onset**2)) / scatter
    within_errors = miss <= _WITHIN_ERRORS
    meets = miss <= min(_MEETING_AT_ONSET, clearly) or (within_errors and evidence >= _EVIDENCE)
    if meets and n >= _FEWEST:
        return CENTRE_OF[1], onset, 0.0
    if n >= 2 * _FEWEST:
        nearest = _nearest(paths, (area, onset))
        if paths.misses(nearest).mean() <= min(_MEETING, clearly):
            return CENTRE_OF[2], nearest, 0.0
    return CENTRE_OF[0], area, float(expit(evidence)) if within_errors else 0.0


def _nearest(paths: Paths, starts: tuple[Floats, ...]) -> Floats:
    """Return the place that the paths miss by least, from the better of some starts."""
    start = min(starts, key=lambda place: paths.misses(place).sum())
    found = minimize(
        lambda place: paths.misses(place).sum(),
        start,
        method="Nelder-Mead",
        options={"xatol": 0.01},
    )
    place: Floats = found.x
    return place
