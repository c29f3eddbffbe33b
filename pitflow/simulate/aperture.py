"""Blur through a round aperture: what is out of focus is a flat disc, or a disc with a dark rim.

A lens spreads a point that is out of focus over an image of its aperture. In incoherent light that
is a flat disc; in more coherent light its rim is the darkest. Their size is told here as that of a
Gaussian is, by the standard deviation along one axis, so that blurs of all shapes add up in squares
(a flat disc's is half its radius).

A patch is blurred by multiplying its Fourier transform by that of the disc, ``2 J1(u) / u`` with
``u = 2 pi rho |f|`` (Bracewell, The Fourier Transform and its Applications): exact at any radius,
for what it is applied to is smooth already.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import fft
from scipy.special import j1

Floats = npt.NDArray[np.float64]

_RIM_FROM = 0.75
"""The rim begins at this share of the radius."""


@dataclass(frozen=True, slots=True)
class Aperture:
    """A round aperture.

    Parameters
    ----------
    rim_share:
        Share of the light that falls on the rim alone, the outer quarter of the radius, 0 to 1; the
        rest is even over the whole disc.
    """

    rim_share: float = 0.0

    def radius_px(self, spread_px: float) -> float:
        """Return the disc's radius for a standard deviation along one axis, px.

        The variance of a disc along an axis is rho^2 / 4, that of a ring (rho^2 + inner^2) / 4.
        """
        return float(2 * spread_px / np.sqrt(1 + self.rim_share * _RIM_FROM**2))

    def blurred(self, patch: Floats, spread_px: float) -> Floats:
        """Return patches as this aperture spreads them, (..., h, w), their sums unchanged.

        What they hold has to be farther from the borders than the radius, and no finer than pixels
        can show.
        """
        rows, columns = patch.shape[-2:]
        frequency = np.hypot(fft.fftfreq(rows)[:, None], fft.rfftfreq(columns)[None, :])
        turn = 2 * np.pi * self.radius_px(spread_px) * frequency
        transfer = (1 - self.rim_share) * _disc(turn) + self.rim_share * _rim(turn)
        result: Floats = fft.irfft2(fft.rfft2(patch) * transfer, patch.shape[-2:])
        return result


FLAT = Aperture()
RIMMED = Aperture(rim_share=0.3)
"""Twice as dark at the rim as in the middle."""


def _disc(turn: Floats) -> Floats:
    """Return the Fourier transform of a disc of radius rho and sum 1 at turn = 2 pi rho |f|."""
    result: Floats = np.divide(2 * j1(turn), turn, out=np.ones_like(turn), where=turn > 0)
    return result


def _rim(turn: Floats) -> Floats:
    inner = _RIM_FROM**2
    return (_disc(turn) - inner * _disc(turn * _RIM_FROM)) / (1 - inner)
