"""The size of a pixel, where the microscope or Fiji wrote it into the TIFF file."""

from __future__ import annotations

from pathlib import Path

import tifffile

_UM_PER = {"m": 1e6, "mm": 1e3, "um": 1.0, "micron": 1.0, "microns": 1.0, "nm": 1e-3, "pm": 1e-6}

_SMALLEST, _LARGEST = 1e-6, 1e3
"""Pixels of other sizes, um, are no micrograph's."""

_ALIKE = 0.01
"""Pixels whose sides differ by more than this have no one size."""


def read_um_per_px(path: Path) -> float | None:
    """Return the size of a pixel in um that a TIFF file tells; None if it tells none.

    Understood are the tags of FEI and Thermo Fisher (34682), of Zeiss (34118), and what Fiji or
    ImageJ write with a scale set. An image that has another size than its tag says was enlarged or
    reduced since, so that the tag is no longer true. The resolution of any other TIFF is one for
    printing.
    """
    if path.suffix.lower() not in (".tif", ".tiff"):
        return None
    try:
        with tifffile.TiffFile(path) as file:
            sides = _of_fei(file) or _of_zeiss(file) or _of_imagej(file)
    except Exception:
        # Tags are anything: one that cannot be understood tells nothing.
        return None
    if sides is None or not all(_SMALLEST <= side <= _LARGEST for side in sides):
        return None
    across, down = sides
    return across if abs(across - down) <= _ALIKE * across else None


def _of_fei(file: tifffile.TiffFile) -> tuple[float, float] | None:
    told = file.fei_metadata or {}
    scan, image = told.get("Scan", {}), told.get("Image", {})
    if "PixelWidth" not in scan:
        return None
    width = file.pages.first.shape[1]
    if image.get("ResolutionX", width) != width:
        return None
    across = float(scan["PixelWidth"])
    return across * 1e6, float(scan.get("PixelHeight", across)) * 1e6


def _of_zeiss(file: tifffile.TiffFile) -> tuple[float, float] | None:
    told = file.sem_metadata or {}
    if "ap_image_pixel_size" not in told:
        return None
    store = str(told.get("dp_image_store", ("", ""))[1]).split("*")[0].strip()
    if store.isdecimal() and int(store) != file.pages.first.shape[1]:
        return None
    _, size, unit = told["ap_image_pixel_size"]
    side = float(size) * _UM_PER[_plain(unit)]
    return side, side


def _of_imagej(file: tifffile.TiffFile) -> tuple[float, float] | None:
    unit = _plain(str((file.imagej_metadata or {}).get("unit", "")))
    if unit not in _UM_PER:
        return None
    tags = file.pages.first.tags
    across, down = (tags[name].value for name in ("XResolution", "YResolution"))
    scale = _UM_PER[unit]
    return scale * across[1] / across[0], scale * down[1] / down[0]


def _plain(unit: str) -> str:
    """Return a unit with u for both of the letters, and ImageJ's escape, that stand for micro."""
    for micro in ("\\u00b5", "\\u00B5", "\u00b5", "\u03bc"):
        unit = unit.replace(micro, "u")
    return unit.strip()
