"""Height from focus: a particle above the focal plane is blurred, the more the higher.

The focal plane lies on the steel and particles above it, so that the sign of the height is
known; of a plane inside the liquid it would not be, for a blur fits two heights.

What is seen is wider than the blur by the particle itself: variances add, and a disc of radius R
has R^2 / 4 per axis. Its mass is its opacity a times its area, so that is ``mass / (4 pi a)``.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import OptimizeWarning, curve_fit
from scipy.stats import f as f_distribution

from pitflow.config import FocusConfig
from pitflow.errors import UserError
from pitflow.measure.classes import learn_by_class
from pitflow.measure.pits import adjust_p
from pitflow.measure.tracks import Floats, Ints, Tracks, local_line
from pitflow.schema import FLIGHTS, validate_table

_OPAQUE = 1.0 / (4.0 * np.pi)
"""Variance of an opaque disc over its mass; of a particle that lets light through it is more."""
_LEAST_OPACITY = 1.0 / 3.0
_SIZE_ERROR = 0.45
"""How much of its variance a particle's size is uncertain by: opacity and outline differ, and what
they add to the width is learnt from one recording."""
_LEAST_BLUR_SHARE = 0.05
"""Of the variance seen, at least this share is blur."""
_LEAST_FLIGHT = 8
_LEAST_ROWS = 10
_SMOOTH = 8
"""Half width, detections, of the line that the blur is held against."""
_LEAST_TRACKS = 60
_SHARP_TIME, _SHARP_TRACKS = 0.1, 0.2
_MASS_RATIO = 2.0
_MOST_ECCENTRIC = 0.9
_FITTED = 3
"""Parameters of a parabola."""
_MOST_PERSISTENT = 0.95
_PERSISTENCE_TURNS = 30
_ABOVE_ERRORS = 2.0
"""A particle flies where it is more than this many errors above the steel, in the median of..."""
_ABOVE_OF = 9
"""...so many detections: of single ones those with an upward error would be chosen."""


@dataclass(frozen=True, slots=True)
class FocusCalibration:
    """Blur in focus (px), blur per height (px/um), height of the focal plane (um), and errors."""

    sigma0_px: float
    k_px_per_um: float
    focus_um: float
    sigma0_err_px: float
    k_err_px_per_um: float
    focus_err_um: float


def learn_size_share(tracks: Tracks, width_px: Floats, mass: Floats) -> float:
    """Return the variance of a particle's own outline over its mass, from where it is sharpest.

    At their sharpest, particles are as wide as the optics and their own size make them, and only
    the latter grows with mass. The sharpest tenth of each track counts, and of tracks of a like
    mass the sharpest fifth, since not all are seen in focus; a line through these has the share as
    slope. It lies between that of an opaque disc, ``1 / (4 pi)``, which is also returned where
    there are fewer than 60 tracks of 8 detections, and three times that.

    Parameters
    ----------
    width_px, mass:
        (n,) of each linked detection: Gaussian sigma as seen (px), and darkening (px^2).
    """
    table = pd.DataFrame({"track": tracks.track, "variance": width_px**2, "mass": mass}).dropna()
    groups = table.groupby("track")
    each = pd.DataFrame(
        {"v": groups["variance"].quantile(_SHARP_TIME), "m": groups["mass"].median()}
    )[groups.size() >= _LEAST_FLIGHT]
    if len(each) < _LEAST_TRACKS:
        return _OPAQUE
    each = each.sort_values("m")
    classes = np.array_split(np.arange(len(each)), min(len(each) // 20, 12))
    v, m = (each[name].to_numpy(dtype=np.float64) for name in ("v", "m"))
    middle = np.array([np.median(m[rows]) for rows in classes])
    sharp = np.array([np.quantile(v[rows], _SHARP_TRACKS) for rows in classes])
    if np.ptp(middle) <= 0:
        return _OPAQUE
    # Errors grow with the width, so small particles count more.
    slope = float(np.polyfit(middle, sharp, 1, w=1.0 / np.maximum(sharp, 1e-6))[0])
    return float(np.clip(slope, _OPAQUE, _OPAQUE / _LEAST_OPACITY))


def remove_size(
    width_px: Floats, width_err_px: Floats, mass: Floats, share: float
) -> tuple[Floats, Floats]:
    """Return the blur without the particle's own size, and its standard error, px.

    Parameters
    ----------
    width_px, width_err_px:
        (n,) Gaussian sigma as seen and its error.
    mass:
        (n,) mass of the particle, px^2, best the median over its track.
    share:
        Variance of the outline over mass, see `learn_size_share`.
    """
    own = share * np.maximum(np.nan_to_num(mass), 0.0)
    variance = width_px**2
    blur = np.sqrt(np.maximum(variance - own, _LEAST_BLUR_SHARE * variance))
    error = np.hypot(2.0 * width_px * width_err_px, _SIZE_ERROR * own)
    return blur, np.asarray(error / np.maximum(2.0 * blur, 1e-6))


def judge_focus(mass: Floats, typical: Floats, eccentricity: Floats) -> npt.NDArray[np.bool_]:
    """Return whether each detection's width is that of one particle, and so tells of its height.

    It is not where the mass is off that of the track by more than a factor of two (another particle
    in touch, a part hidden), or where the outline is that of a streak.

    Parameters
    ----------
    mass, typical, eccentricity:
        (n,) of the detection, the median of its track's masses (NaN: in no track).
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = mass / typical
        alike = (ratio >= 1.0 / _MASS_RATIO) & (ratio <= _MASS_RATIO)
    return np.asarray(alike & (eccentricity <= _MOST_ECCENTRIC))


def compute_height(
    blur_px: Floats, blur_err_px: Floats, config: FocusConfig
) -> tuple[Floats, Floats]:
    """Return height above the steel and its standard error, um.

    ``z = sqrt(sigma^2 - sigma0^2) / k``, and 0 where the blur is below that in focus. The error is
    half the change of z between one standard error of the blur below and above, which stays finite
    in focus, where the derivative does not; the calibration's own errors are added to it. Of what
    is sharper than in focus the error is that of a particle in focus. NaN without a calibration,
    and where the blur has no error.
    """
    if config.sigma0_px is None or config.k_px_per_um is None:
        return np.full(blur_px.shape, np.nan), np.full(blur_px.shape, np.nan)
    sigma0, k = config.sigma0_px, config.k_px_per_um

    def height(blur: Floats, in_focus: float) -> Floats:
        return np.asarray(np.sqrt(np.maximum(np.maximum(blur, 0.0) ** 2 - in_focus**2, 0.0)) / k)

    z = height(blur_px, sigma0)
    blur = np.maximum(blur_px, sigma0)
    by_blur = (height(blur + blur_err_px, sigma0) - height(blur - blur_err_px, sigma0)) / 2.0
    in_focus_err = config.sigma0_err_px
    by_focus = (
        height(blur, max(sigma0 - in_focus_err, 0.0)) - height(blur, sigma0 + in_focus_err)
    ) / 2.0
    by_k = z * config.k_err_px_per_um / k
    error = np.asarray(np.sqrt(by_blur**2 + by_focus**2 + by_k**2))
    return np.where(np.isfinite(error), z, np.nan), error


def estimate_blur_error(tracks: Tracks, blur_px: Floats, contrast: Floats) -> Floats:
    """Return the standard error of each linked detection's blur, from the tracks themselves, px.

    Height changes smoothly, so what is off a track's own local line, some 17 detections wide, is
    error: camera noise and the outline's pixels, which change every frame, and the steel under the
    particle, which stays for a few. It is taken relative to the blur, by classes of contrast, as
    the faint are known the worse. Its tails are long, where particles touch; so half the deviation
    that 95 % stay within counts, that twice the error may hold the height as often. NaN where
    there are fewer than 10 detections in tracks of 8.

    Parameters
    ----------
    blur_px, contrast:
        (n,) of each linked detection.
    """
    usable = (blur_px > 0) & np.isfinite(blur_px)
    size = np.log(np.where(usable, blur_px, 1.0))
    _, level = local_line(tracks, size, _SMOOTH, usable.astype(np.float64))
    # The line is drawn to each detection itself, by its share of the kernel's weight.
    off = np.abs(size - level) / np.sqrt(1.0 - 1.2 / (2 * _SMOOTH + 1))
    rows = np.flatnonzero(usable & np.isfinite(off) & (tracks.count[tracks.track] >= _LEAST_FLIGHT))
    if rows.size < _LEAST_ROWS:
        return np.full(blur_px.shape, np.nan)
    clear = np.maximum(np.nan_to_num(contrast), 1e-4)
    share = learn_by_class(off, clear, rows, lambda own: float(np.quantile(own, 0.95)) / 1.96)
    return share * blur_px


def calibrate_focus(table: pd.DataFrame, *, focus_um: float | None = None) -> FocusCalibration:
    """Fit ``sigma^2 = sigma0^2 + (k (z - z_focus))^2`` to a z-stack of particles.

    Parameters
    ----------
    table:
        ``z_um`` (stage position) and ``blur_px``, five rows or more over three heights or more.
    focus_um:
        Stage position of the focal plane, where it is known; None: fitted too.

    Returns
    -------
    FocusCalibration
        Errors are infinite where the blur does not tell them.

    Raises
    ------
    UserError
        If there are too few rows, or the blur does not widen on either side of a focus.
    """
    known = table[["z_um", "blur_px"]].dropna()
    z = known["z_um"].to_numpy(dtype=np.float64)
    blur = known["blur_px"].to_numpy(dtype=np.float64)
    if z.size < 5 or np.unique(z).size < 3:
        raise UserError(
            f"a z-stack of {z.size} measurements at {np.unique(z).size} heights",
            hint="give 5 measurements or more at 3 heights or more",
        )
    # A parabola in z: linear, so it needs no start, and errors of the blur grow with the blur.
    weight = 1.0 / np.maximum(blur, 1e-6) ** 2
    if focus_um is None:
        square, slope, _ = curve = np.polyfit(z, blur**2, 2, w=weight)
    else:
        square, level = np.polyfit((z - focus_um) ** 2, blur**2, 1, w=weight)
        slope = -2.0 * square * focus_um
        curve = np.array([square, slope, level + square * focus_um**2])
    if square <= 0:
        raise UserError(
            "the blur does not grow away from a focus",
            where="the z-stack",
            hint="cover both sides of the focus, or more of one",
        )
    centre = -slope / (2.0 * square)
    floor = max(float(np.polyval(curve, centre)), float(blur.min()) ** 2 / 4.0)

    def model(height: Floats, sigma0: float, k: float, focus: float = centre) -> Floats:
        return np.asarray(np.hypot(sigma0, k * (height - focus)))

    start = [np.sqrt(floor), np.sqrt(square), centre][: 3 if focus_um is None else 2]
    try:
        with warnings.catch_warnings():
            # Infinite errors say the same.
            warnings.simplefilter("ignore", OptimizeWarning)
            values, covariance = curve_fit(model, z, blur, p0=start, sigma=blur)
    except RuntimeError as error:
        raise UserError("the blur follows no focus", where="the z-stack") from error
    if focus_um is not None:
        values = np.append(values, focus_um)
        covariance = np.pad(covariance, (0, 1))
    errors = np.sqrt(np.diag(covariance))
    return FocusCalibration(
        sigma0_px=abs(float(values[0])),
        k_px_per_um=abs(float(values[1])),
        focus_um=float(values[2]),
        sigma0_err_px=float(errors[0]),
        k_err_px_per_um=float(errors[1]),
        focus_err_um=float(errors[2]),
    )


def compute_ballistics(
    particles: pd.DataFrame, *, column: str = "z_um", fps: float
) -> pd.DataFrame:
    """Fit a parabola and a straight line to the height of each track over time.

    Errors of the blur persist over some frames, so that n detections are worth fewer: standard
    errors and the F test go by ``n (1 - rho) / (1 + rho)`` (Bartlett, J. R. Stat. Soc. 98 (1935)
    536), rho being the correlation of successive residuals of the track (`residual_persistence`).

    Parameters
    ----------
    particles:
        ``particle``, ``frame`` and ``column``.
    column:
        ``z_um``, or ``blur_px`` where there is no calibration.

    Returns
    -------
    DataFrame
        One row per track: ``particle``, ``n``, ``rate`` and ``rate_err`` (unit of ``column`` per
        s, at the track's first detection), ``acceleration`` and ``acceleration_err`` (per s^2),
        ``r2_line``, ``r2_parabola``, and ``p``, the F test of the parabola against the line.
    """
    columns = [name for name in ("particle", "frame", "time_s", column) if name in particles]
    linked = particles.loc[particles["particle"] >= 0, columns].dropna()
    length = linked.groupby("particle")[column].transform("size")
    linked = linked[length >= _LEAST_FLIGHT].sort_values(["particle", "frame"])
    number, track = np.unique(linked["particle"].to_numpy(), return_inverse=True)
    n = np.bincount(track, minlength=number.size).astype(np.float64)
    frame = linked["frame"].to_numpy(dtype=np.float64)
    value = linked[column].to_numpy(dtype=np.float64)
    first = np.concatenate([[0], np.cumsum(n)[:-1]]).astype(np.int64)
    if "time_s" in linked:
        frame = linked["time_s"].to_numpy(dtype=np.float64) * fps
    since = (frame - frame[first][track]) / fps if frame.size else frame

    def mean(values: Floats) -> Floats:
        return np.asarray(np.bincount(track, values, minlength=number.size) / np.maximum(n, 1.0))

    # Powers of time made orthogonal within each track, so that each term stands by itself.
    shift = mean(since)
    one = since - shift[track]
    m2 = mean(one**2)
    skew = mean(one**3) / np.maximum(m2, 1e-12)
    two = one**2 - m2[track] - skew[track] * one
    q2 = mean(two**2)
    level = value - mean(value)[track]
    slope = mean(one * level) / np.maximum(m2, 1e-12)
    bend = mean(two * level) / np.maximum(q2, 1e-12)
    total = n * mean(level**2)
    after_line = np.maximum(total - n * m2 * slope**2, 0.0)
    after_parabola = np.maximum(after_line - n * q2 * bend**2, 0.0)
    rho = residual_persistence(level - slope[track] * one - bend[track] * two, track, n)
    worth = (1.0 - rho) / (1.0 + rho)
    variance = after_parabola / np.maximum(n - _FITTED, 1.0) / worth
    ratio = (after_line - after_parabola) / np.maximum(variance, 1e-300)
    # d/dt of slope * one + bend * two at the first detection, where one = -shift.
    lever = -2.0 * shift - skew
    safe_total = np.where(total > 0, total, np.nan)
    return pd.DataFrame(
        {
            "particle": number,
            "n": n.astype(np.int64),
            "rate": slope + bend * lever,
            "rate_err": np.sqrt(
                variance / np.maximum(n * m2, 1e-12)
                + lever**2 * variance / np.maximum(n * q2, 1e-12)
            ),
            "acceleration": 2.0 * bend,
            "acceleration_err": 2.0 * np.sqrt(variance / np.maximum(n * q2, 1e-12)),
            "r2_line": 1.0 - after_line / safe_total,
            "r2_parabola": 1.0 - after_parabola / safe_total,
            "p": f_distribution.sf(ratio, 1.0, np.maximum(n * worth - _FITTED, 1.0)),
        }
    )


def residual_persistence(residual: Floats, track: Ints, n: Floats) -> Floats:
    """Return the correlation of successive errors of each track about its parabola, 0 to 0.95.

    Residuals correlate less than the errors do, since the fit follows these: each of its three
    parameters takes away a share that grows with the correlation, ``(1 + rho) / (1 - rho)``. By
    iteration that is undone. Errors that alternate count as independent.

    Parameters
    ----------
    residual, track:
        (n_detections,) off the parabola, and index of the track; sorted by track and frame.
    n:
        (n_tracks,) detections of each.
    """
    pairs = np.where(track[1:] == track[:-1], residual[1:] * residual[:-1], 0.0)
    product = np.bincount(track[1:], pairs, minlength=n.size)
    square = np.bincount(track, residual**2, minlength=n.size)
    seen = product / np.maximum(square, 1e-300)
    rho = np.clip(seen, 0.0, _MOST_PERSISTENT)
    for _ in range(_PERSISTENCE_TURNS):
        taken = np.minimum(_FITTED * (1.0 + rho) / (1.0 - rho), n / 2.0)
        rho = (seen * (n - taken) + taken) / np.maximum(n - 1.0, 1.0)
        rho = np.clip(rho, 0.0, _MOST_PERSISTENT)
    return np.asarray(rho)


def compute_flights(particles: pd.DataFrame, *, fps: float) -> pd.DataFrame:
    """Return the flights table: `compute_ballistics` of the height, of the blur if uncalibrated.

    Heights that are not valid are left out, and those of particles that lie on the steel (see
    `is_above_steel`): where a fall ends its height has a bend. ``q`` is p adjusted over the
    flights. The blur is a hyperbola in the height, and a fall along a straight line bends it too:
    its p and q are NaN.

    Parameters
    ----------
    particles:
        ``particle``, ``frame``, ``z_um``, ``z_err_um``, ``z_is_valid``, ``blur_px``.
    """
    linked = particles[particles["particle"] >= 0]
    if not linked["z_um"].notna().any():
        fitted = compute_ballistics(linked, column="blur_px", fps=fps)
        return validate_table(fitted.assign(quantity="blur_px", p=np.nan, q=np.nan), FLIGHTS)
    seen = linked[linked["z_is_valid"]].sort_values(["particle", "frame"])
    fitted = compute_ballistics(seen[is_above_steel(seen)], fps=fps)
    q = adjust_p(fitted["p"].to_numpy(dtype=np.float64))
    return validate_table(fitted.assign(quantity="z_um", q=q), FLIGHTS)


def is_above_steel(heights: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Return where a particle is above the steel by more than the error of its height.

    By two standard errors, in the median of nine detections of its track.

    Parameters
    ----------
    heights:
        ``particle``, ``z_um``, ``z_err_um``, in order of particle and frame.
    """
    above = heights["z_um"] - _ABOVE_ERRORS * heights["z_err_um"]
    near = above.groupby(heights["particle"]).rolling(_ABOVE_OF, center=True, min_periods=1)
    return near.median().to_numpy(dtype=np.float64) > 0
