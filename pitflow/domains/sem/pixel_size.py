"""The size of a pixel, where the microscope or Fiji wrote it into the file or beside it."""

from __future__ import annotations

import re
from pathlib import Path

import tifffile

_TESCAN = 50431
"""The tag in which TESCAN writes its settings."""

_UM_PER = {"m": 1e6, "mm": 1e3, "um": 1.0, "micron": 1.0, "microns": 1.0, "nm": 1e-3, "pm": 1e-6}

_SMALLEST, _LARGEST = 1e-6, 1e3
"""Pixels of other sizes, um, are no micrograph's."""

_ALIKE = 0.01
"""Pixels whose sides differ by more than this have no one size."""


def find_um_per_px(path: Path, tiff: tifffile.TiffFile | None, width: int) -> float | None:
    """Return the size of a pixel in um that a file, or one beside it, tells; None if none does.

    Understood are the tags of FEI and Thermo Fisher (34682), of Zeiss (34118) and of TESCAN
    (50431), what Fiji or ImageJ write with a scale set, and the text files that TESCAN
    (``x-tif.hdr``), JEOL and Hitachi (``x.txt``) write beside ``x.tif``. An image that has another
    size than is told was enlarged or reduced since, so that the scale is no longer true. The
    resolution of any other TIFF is one for printing.

    Parameters
    ----------
    tiff:
        The tags of the file, if it is a TIFF.
    width:
        Of the image, px.
    """
    tags = () if tiff is None else (_of_fei, _of_zeiss, _of_tescan, _of_imagej)
    try:
        told = (of(tiff) for of in tags)
        sides = next(filter(None, told), None) or _of_sidecar(path, width)
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


def _of_tescan(file: tifffile.TiffFile) -> tuple[float, float] | None:
    """Read the tag of TESCAN: the text of its ``.hdr`` files, after bytes of other things."""
    told = file.pages.first.tags.valueof(_TESCAN, default="")
    return _in_metres(told if isinstance(told, str) else bytes(told).decode("latin-1"))


def _of_sidecar(path: Path, width: int) -> tuple[float, float] | None:
    beside = path.with_name(f"{path.stem}-{path.suffix[1:]}.hdr")
    if beside.is_file():
        return _in_metres(_text(beside))
    beside = path.with_suffix(".txt")
    if not beside.is_file():
        return None
    text = _text(beside)
    if jeol := re.search(r"^\$\$SM_MICRON_MARKER ([\d.]+) ?(\w+)", text, re.MULTILINE):
        own, bar = _number("$CM_FULL_SIZE ", text), _number("$$SM_MICRON_BAR ", text)
        side = float(jeol[1]) * _UM_PER[_plain(jeol[2])] / bar if bar else None
    elif text.startswith("[SemImageFile]"):
        own, nm = _number("DataSize=", text), _number("PixelSize=", text)
        side = nm / 1000 if nm else None
    else:
        return None
    return None if side is None or own not in (None, width) else (side, side)


def _in_metres(text: str) -> tuple[float, float] | None:
    across, down = _number("PixelSizeX=", text), _number("PixelSizeY=", text)
    return None if across is None else (across * 1e6, (down or across) * 1e6)


def _number(key: str, text: str) -> float | None:
    found = re.search(rf"(?<!\w){re.escape(key)}([\d.]+(?:e[+-]?\d+)?)", text, re.IGNORECASE)
    return None if found is None else float(found[1])


def _text(path: Path) -> str:
    data = path.read_bytes()
    return data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "latin-1")


def _plain(unit: str) -> str:
    """Return a unit with u for both of the letters, and ImageJ's escape, that stand for micro."""
    for micro in ("\\u00b5", "\\u00B5", "\u00b5", "\u03bc"):
        unit = unit.replace(micro, "u")
    return unit.strip()
