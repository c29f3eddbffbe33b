"""Calibration of the focus from a z-stack: all particles in it, each with its own size, one optics.

What is left of a particle's own size in its blur in focus differs between particles; the blur per
height is the optics' alone and is common to all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.spatial import cKDTree
from scipy.stats import t as student_t

from pitflow.errors import UserError
from pitflow.measure.focus import FocusCalibration, calibrate_focus, remove_size

Floats = npt.NDArray[np.float64]

MIN_HEIGHTS = 5
"""Fewest heights at which a particle must be seen."""
_LEAST_REACH_PX = 2.5
_ALONE = 3.0
"""Particles nearer than this many blurs spoil each other's width."""
_MASS_RATIO = 2.0
"""A particle's darkening is conserved; where it is off by more, something else is measured."""
_CLIP = 4.0
"""Residuals beyond this many robust standard deviations are left out."""
_OPAQUE_DISC = 1.0 / (4.0 * np.pi)
"""Variance of an opaque disc over its mass."""
_SIGNIFICANT = 3.0
"""A number below this many of its errors is not known from nought."""
_MOST_SHARE = 3.0
"""Variance of a particle's outline over that of an opaque disc of its mass, at most."""
_LEAST_FOR_SIZE, _LEAST_MASS_RANGE = 5, 1.5
"""Fewest particles, and least range of their masses, that tell how their width grows with it."""
_LEAST_CHANGE = 1.15
"""Widest blur of a particle over its narrowest, below which no fit is tried."""
_OFF = 6.0
"""So many standard errors away from where a stack has its focus, and by two steps, is elsewhere."""
_ACCURACY = {"sigma0_px": 0.02, "k_px_per_um": 0.01, "focus_um": 0.0}
"""What the measure of blur itself is off by, as a share, whatever the number of particles: the
outline's pixels decide in focus, the outline's cut out of focus. Seen on simulated stacks."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its standard error, the spread between particles, and degrees of freedom."""

    value: float
    error: float
    spread: float
    freedom: float

    def interval(self) -> tuple[float, float]:
        """Return the 95 % confidence interval by Student's t."""
        reach = float(student_t.ppf(0.975, self.freedom)) * self.error
        return self.value - reach, self.value + reach


@dataclass(frozen=True)
class StackFit:
    """What a z-stack says of the optics.

    Parameters
    ----------
    sigma0_px, k_px_per_um, focus_um:
        Blur in focus (mean over particles), blur per height, stage position of the focal plane.
    particles:
        One row per particle: ``particle``, ``n``, ``sigma0_px``, ``k_px_per_um``, ``focus_um``, and
        ``is_used``.
    measurements:
        One row per particle and height: ``particle``, ``z_um``, ``blur_px``, ``fitted_px`` (by its
        own sigma0 and the common k), ``defocus_um`` (height above the focus), ``is_used``.
    size_px2:
        Variance taken off for the particles' own size, in the median; it is uncertain by as much.
    """

    sigma0_px: Estimate
    k_px_per_um: Estimate
    focus_um: Estimate
    particles: pd.DataFrame
    measurements: pd.DataFrame

    size_px2: float = 0.0

    @property
    def sigma0_one_px(self) -> float:
        """Standard error of the blur in focus of any one particle: its size is not known, px."""
        size = self.size_px2 / (2.0 * self.sigma0_px.value)
        return float(np.sqrt(self.sigma0_px.error**2 + self.sigma0_px.spread**2 + size**2))


def follow_particles(detections: pd.DataFrame, z_um: Sequence[float]) -> pd.DataFrame:
    """Return the detections with the ``particle`` that each shows and its ``z_um``.

    Particles are those of the image with the most contrast; from there each is looked for in the
    next image on either side, where it was last seen, moved as the others moved in the median.

    Parameters
    ----------
    detections:
        ``frame``, ``x``, ``y``, ``blur_px``, ``contrast``, ``mass``.
    z_um:
        Height of each frame, NaN for one that is not used.
    """
    height = np.asarray(z_um, dtype=np.float64)
    detections = detections.assign(z_um=height[detections["frame"].to_numpy(dtype=np.int64)])
    detections = detections[detections["z_um"].notna()].reset_index(drop=True)
    if detections.empty:
        return detections.assign(particle=pd.Series(dtype="int64"))
    order = [
        int(frame) for frame in np.argsort(height, kind="stable") if np.isfinite(height[frame])
    ]
    by_frame = {int(str(frame)): rows for frame, rows in detections.groupby("frame")}
    sharpest = max(by_frame, key=lambda frame: float(by_frame[frame]["contrast"].sum()))
    start = order.index(sharpest)
    particle = pd.Series(-1, index=detections.index)
    particle[by_frame[sharpest].index] = np.arange(len(by_frame[sharpest]))
    spoilt: list[int] = []
    for way in (order[start + 1 :], order[:start][::-1]):
        place = by_frame[sharpest][["x", "y"]].to_numpy(dtype=np.float64, copy=True)
        blur = by_frame[sharpest]["blur_px"].to_numpy(dtype=np.float64, copy=True)
        for frame in way:
            if frame not in by_frame:
                continue
            rows = by_frame[frame]
            match = _match(place, blur, rows)
            seen = match >= 0
            chosen = rows.index.to_numpy()[match[seen]]
            particle[chosen] = np.flatnonzero(seen)
            moved = rows[["x", "y"]].to_numpy()[match[seen]] - place[seen]
            place = place + (np.median(moved, axis=0) if seen.any() else 0.0)
            place[seen] = rows[["x", "y"]].to_numpy()[match[seen]]
            blur[seen] = rows["blur_px"].to_numpy()[match[seen]]
            spoilt += chosen[_crowded(place, blur)[seen]].tolist()
    first = by_frame[sharpest]
    crowded = _crowded(
        first[["x", "y"]].to_numpy(dtype=np.float64), first["blur_px"].to_numpy(dtype=np.float64)
    )
    spoilt += first.index[crowded].tolist()
    followed = detections.assign(particle=particle).drop(index=spoilt)
    followed = followed[followed["particle"] >= 0]
    typical = followed.groupby("particle")["mass"].transform("median")
    alike = np.abs(np.log(followed["mass"] / typical)) < np.log(_MASS_RATIO)
    conserved: pd.DataFrame = followed[alike].reset_index(drop=True)
    return conserved


def without_size(followed: pd.DataFrame, *, focus_um: float | None = None) -> pd.DataFrame:
    """Return what was followed with the particles' own size taken off their blur, as in a run.

    How much their outline adds to the variance, as a share of their mass, the particles tell
    themselves, if there are enough of different mass: by as much as their blur in focus grows with
    it. That is nothing where their images are those of points, and at most thrice what an opaque
    disc of their mass adds. Where they cannot tell, it is that of the opaque disc. ``size_px2``
    says by how much of the variance that is uncertain.
    """
    mass = followed.groupby("particle")["mass"].transform("median").to_numpy(dtype=np.float64)
    width = followed["blur_px"].to_numpy(dtype=np.float64)
    share, error = _size_share(followed, focus_um)
    blur, _ = remove_size(width, np.zeros_like(width), mass, share)
    return followed.assign(blur_px=blur, size_px2=error * mass)


def _size_share(followed: pd.DataFrame, focus_um: float | None) -> tuple[float, float]:
    """Return the variance of the particles' outline over their mass, and how uncertain it is."""
    particles = fit_stack(followed, focus_um=focus_um).particles
    own = particles[particles["is_used"]]
    mass = followed.groupby("particle")["mass"].median().reindex(own["particle"]).to_numpy()
    if len(own) < _LEAST_FOR_SIZE or mass.max() < _LEAST_MASS_RANGE * mass.min():
        return _OPAQUE_DISC, _OPAQUE_DISC
    variance = own["sigma0_px"].to_numpy() ** 2
    away = mass - mass.mean()
    slope = float(away @ variance / (away @ away))
    left = variance - variance.mean() - slope * away
    error = float(np.sqrt((left @ left) / (len(own) - 2) / (away @ away)))
    if error > _OPAQUE_DISC / 2.0:
        return _OPAQUE_DISC, _OPAQUE_DISC
    return float(np.clip(slope, 0.0, _MOST_SHARE * _OPAQUE_DISC)), error


def fit_stack(followed: pd.DataFrame, *, focus_um: float | None = None) -> StackFit:
    """Fit every particle by itself and return what they agree on.

    Each particle's ``sigma^2 = s^2 + (k (z - f))^2`` is fitted, and again without the measurements
    that are off by more than 4 robust standard deviations; particles whose k or s is that far from
    the others' are left out. Means over particles weigh each by its error and the spread between
    particles; their errors are those of Hartung and Knapp (Statist. Med. 20 (2001) 3875), never
    below what the particles' own errors give, and with what the measure of blur is off by.

    Parameters
    ----------
    followed:
        ``particle``, ``z_um``, ``blur_px``.
    focus_um:
        Stage position of the focal plane, where it is known.

    Raises
    ------
    UserError
        If the stack does not allow a fit: too few steps, no change of blur, or none of most
        particles', a focus outside the range of heights, or one that is given and is not where the
        stack has it.
    """
    heights = np.unique(followed["z_um"])
    if heights.size < MIN_HEIGHTS:
        raise UserError(
            f"particles are seen at {heights.size} heights only",
            where="the z-stack",
            hint=f"a fit needs {MIN_HEIGHTS} or more",
        )
    if focus_um is not None:
        _check_focus(followed, focus_um, float(np.median(np.diff(heights))))
    fits, parts = [], []
    still = 0
    for number, rows in followed.groupby("particle"):
        blur = rows["blur_px"]
        if rows["z_um"].nunique() < MIN_HEIGHTS:
            continue
        if blur.quantile(0.95) < _LEAST_CHANGE * blur.quantile(0.05):
            still += 1
            continue
        try:
            fit, used = _fit_one(rows, focus_um)
        except UserError:
            continue
        if not fit.k_px_per_um > _SIGNIFICANT * fit.k_err_px_per_um:
            still += 1
            continue
        fits.append((int(str(number)), int(used.sum()), fit))
        parts.append(rows[["particle", "z_um", "blur_px"]].assign(is_used=used))
    if not fits:
        raise _no_fit(followed, still)
    if still > len(fits):
        raise UserError(
            f"the blur of {still} of {still + len(fits)} particles hardly changes: in a stack that "
            "of all does",
            where="the z-stack",
            hint="this is how a recording looks; give images of standing particles at different "
            "heights",
        )
    particles = _as_table(fits)
    chosen = particles[particles["is_used"]]
    freedom = float((chosen["n"] - (3 if focus_um is None else 2)).sum())
    sigma0, k, focus = (
        _combine(chosen[name].to_numpy(), chosen[f"{name}_err"].to_numpy(), freedom, accuracy)
        for name, accuracy in _ACCURACY.items()
    )
    if not k.value > _SIGNIFICANT * k.error:
        raise _no_fit(followed, still + len(fits))
    step = float(np.median(np.diff(heights)))
    slack = max(step, 2.0 * focus.error)
    if focus_um is None and not heights[0] - slack <= focus.value <= heights[-1] + slack:
        raise UserError(
            f"the focus, at {focus.value:.4g} um, lies outside the stack of {heights[0]:.4g} to "
            f"{heights[-1]:.4g} um",
            where="the z-stack",
            hint="take the stack through the focus, or give its position with --focus-um",
        )
    measured = pd.concat(parts, ignore_index=True)
    own = particles.set_index("particle").loc[measured["particle"]]
    defocus = measured["z_um"].to_numpy() - own["focus_um"].to_numpy()
    measurements = measured.assign(
        fitted_px=np.hypot(own["sigma0_px"].to_numpy(), k.value * defocus),
        defocus_um=defocus,
        is_used=measured["is_used"] & own["is_used"].to_numpy(),
    )
    size = float(followed["size_px2"].median()) if "size_px2" in followed else 0.0
    return StackFit(sigma0, k, focus, particles, measurements, size)


def _match(place: Floats, blur: Floats, rows: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Return the row of each particle, -1 where it is not seen; twice, to learn how all moved."""
    found = rows[["x", "y"]].to_numpy(dtype=np.float64)
    tree = cKDTree(found)
    moved = np.zeros(2)
    match = np.full(len(place), -1, dtype=np.int64)
    for reach in (np.maximum(_LEAST_REACH_PX, 2.0 * blur), np.maximum(_LEAST_REACH_PX, blur)):
        expected = place + moved
        distance, nearest = tree.query(expected)
        mutual = cKDTree(expected).query(found)[1][nearest] == np.arange(len(place))
        match = np.where(mutual & (distance < reach), nearest, -1)
        if (match >= 0).any():
            moved = np.median(found[match[match >= 0]] - place[match >= 0], axis=0)
    return match


def _crowded(place: Floats, blur: Floats) -> npt.NDArray[np.bool_]:
    """Return which particles have another one near enough to spoil their width."""
    if len(place) < 2:
        return np.zeros(len(place), dtype=bool)
    distance, other = cKDTree(place).query(place, k=2)
    near: npt.NDArray[np.bool_] = distance[:, 1] < _ALONE * np.maximum(blur, blur[other[:, 1]])
    return near


def _check_focus(followed: pd.DataFrame, focus_um: float, step_um: float) -> None:
    """Refuse a focal plane that the particles say is elsewhere, if they say anything of it."""
    try:
        seen = fit_stack(followed).focus_um
    except UserError:
        return
    if abs(focus_um - seen.value) > max(2.0 * step_um, _OFF * seen.error):
        raise UserError(
            f"the particles are sharpest at {seen.value:.4g} ± {seen.error:.2g} um, not at "
            f"{focus_um:.4g} um",
            where="--focus-um",
            hint="leave it out, or check the order and step of the images",
        )


def _fit_one(
    rows: pd.DataFrame, focus_um: float | None
) -> tuple[FocusCalibration, npt.NDArray[np.bool_]]:
    """Return the fit of one particle without its outliers, and which rows it used."""
    blur, z = rows["blur_px"].to_numpy(), rows["z_um"].to_numpy()
    used = np.ones(len(rows), dtype=bool)
    fit = calibrate_focus(rows, focus_um=focus_um)
    for _ in range(3):
        residual = np.log(blur / np.hypot(fit.sigma0_px, fit.k_px_per_um * (z - fit.focus_um)))
        scatter = 1.4826 * float(np.median(np.abs(residual[used])))
        now = np.abs(residual) <= max(_CLIP * scatter, 1e-3)
        if (now == used).all() or np.unique(z[now]).size < MIN_HEIGHTS:
            break
        used = now
        fit = calibrate_focus(rows[used], focus_um=focus_um)
    return fit, used


def _as_table(fits: list[tuple[int, int, FocusCalibration]]) -> pd.DataFrame:
    """Return one row per particle; those far from the others are not used."""
    names = ("sigma0_px", "k_px_per_um", "focus_um")
    errors = ("sigma0_err_px", "k_err_px_per_um", "focus_err_um")
    table = pd.DataFrame(
        [
            {"particle": number, "n": n}
            | {name: getattr(fit, name) for name in names}
            | {
                f"{name}_err": getattr(fit, error)
                for name, error in zip(names, errors, strict=True)
            }
            for number, n, fit in fits
        ]
    )
    used = np.ones(len(table), dtype=bool)
    if len(table) >= 5:
        for name in names:
            value = table[name].to_numpy()
            deviation = np.abs(value - np.median(value))
            own = table[f"{name}_err"].to_numpy()
            used &= deviation <= _CLIP * np.maximum(1.4826 * np.median(deviation), own)
    return table.assign(is_used=used)


def _combine(value: Floats, error: Floats, freedom: float, accuracy: float) -> Estimate:
    """Return the random-effects mean over particles (DerSimonian-Laird; Hartung-Knapp error)."""
    n = value.size
    floor = 1e-9 * max(float(np.abs(value).max()), 1e-12)
    variance = np.maximum(error, floor) ** 2
    weight = 1.0 / variance
    mean = float(np.average(value, weights=weight))
    excess = float(np.sum(weight * (value - mean) ** 2)) - (n - 1)
    spare = float(weight.sum() - (weight**2).sum() / weight.sum())
    between = max(excess / spare, 0.0) if n > 1 else 0.0
    weight = 1.0 / (variance + between)
    mean = float(np.average(value, weights=weight))
    ratio = float(np.sum(weight * (value - mean) ** 2)) / max(n - 1, 1)
    # One particle does not show how its shape sets it apart from others: as much again and more.
    off = accuracy * mean * (3.0 if n == 1 else 1.0)
    # Where the particles scatter no more than their own errors say, those errors decide.
    return Estimate(
        mean,
        float(np.hypot(np.sqrt(max(ratio, 1.0) / weight.sum()), off)),
        float(np.sqrt(between)),
        float(n - 1) if between > 0 else freedom,
    )


def _no_fit(followed: pd.DataFrame, still: int) -> UserError:
    steps = int(followed.groupby("particle")["z_um"].nunique().max())
    if steps < MIN_HEIGHTS:
        return UserError(
            f"no particle is seen at {MIN_HEIGHTS} heights or more (at most at {steps})",
            where="the z-stack",
            hint="take more steps, or smaller ones",
        )
    if still:
        blur = followed["blur_px"]
        return UserError(
            f"the blur of the particles hardly changes over the stack ({blur.min():.2f} to "
            f"{blur.max():.2f} px)",
            where="the z-stack",
            hint="cover more height, or check the order and step of the images",
        )
    return UserError(
        "the blur of no particle grows away from a focus",
        where="the z-stack",
        hint="take the stack through the focus, and check the order and step of the images",
    )
