"""Corrosion by its colour: a segmentation without training, for panels whose coating is not brown.

Corrosion products of steel are redder and yellower than what surrounds them, whatever the light
(in CIE Lab: a* and b* both rise). A water stain is darker but of the coating's own hue, so
brightness does not count.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]

_DIRECTION = np.array([0.6, 0.8], dtype=np.float32)
"""From a coating to its rust in (a*, b*)."""

_LEAST = 8.0
"""Least distance of rust from the coating, in units of CIE Lab: about three times what is just
noticed, so that the unevenness of a sound coating is no corrosion."""

_ONE_HUE = 6.0
"""Distance from the coating's hue that light and camera make, in the same units."""

_COARSE_PX = 160
_NOISE_SIGMAS = 4.0
_SMALLEST_SHARE = 2e-5


def rust_mask(image: npt.NDArray[np.uint8]) -> Mask:
    """Return where an RGB image (height, width, 3) shows rust, (height, width).

    The coating's colour is the median, so less than half of the panel may be corroded. Rust is
    what lies further from it, in the direction of red and yellow, than Otsu's threshold of all
    such distances, and than noise and unevenness do. It is also red or yellow by itself: beside a
    blue coating, a grey table is only redder.
    """
    lab = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2Lab)
    chroma = cv2.medianBlur(lab[..., 1], 3), cv2.medianBlur(lab[..., 2], 3)
    hue = np.stack(chroma, axis=-1)
    coating = np.median(hue.reshape(-1, 2), axis=0)
    redder = (hue - coating) @ _DIRECTION
    spread = 1.4826 * float(np.median(np.abs(redder - np.median(redder))))
    least = max(_LEAST, _NOISE_SIGMAS * spread)
    levels = np.clip(np.rint(4 * redder), 0, 255).astype(np.uint8)
    otsu, _ = cv2.threshold(levels, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    found = redder > max(least, min(otsu / 4, 2 * least))
    found &= hue @ _DIRECTION > _LEAST
    return _without_specks(found, max(4, round(_SMALLEST_SHARE * found.size)))


def one_hue_share(image: npt.NDArray[np.uint8], rust: Mask) -> float:
    """Return the share of an RGB image without rust that is of one hue, 0 to 1.

    On a coated panel nearly all is, and its rust can be told by the colour. Where much is not, the
    photograph shows something else besides coating and rust, or rust that the colour misses.

    Parameters
    ----------
    rust:
        (height, width), where the colour finds rust.
    """
    height, width = rust.shape
    factor = min(1.0, _COARSE_PX / max(height, width))
    size = max(1, round(width * factor)), max(1, round(height * factor))
    # Reduced by averaging, so that noise is no hue; what lies beside rust is mixed with it.
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    share = cv2.resize(rust.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    sound = cv2.dilate(share, np.ones((3, 3), np.uint8)) == 0
    if not sound.any():
        return 0.0
    lab = cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_RGB2Lab)[sound]
    # Less light scales a* and b* as it does (L* + 16); without that, a shadow is no other hue.
    light = lab[:, :1] + np.float32(16)
    hue = lab[:, 1:] * (np.median(light) / light)
    distance = np.linalg.norm(hue - np.median(hue, axis=0), axis=1)
    return float((distance < _ONE_HUE).mean())


def _without_specks(mask: Mask, smallest_px: int) -> Mask:
    _, labels, statistics, _ = cv2.connectedComponentsWithStats(
        mask.astype(np.uint8), connectivity=8
    )
    kept = statistics[:, cv2.CC_STAT_AREA] >= smallest_px
    kept[0] = False
    result: Mask = kept[labels]
    return result
