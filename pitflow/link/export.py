"""Linked particles for other programs: TrackMate (Fiji), napari, and anything that reads CSV."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

_FEATURES = {
    "Spot": (
        ("QUALITY", "Quality", "QUALITY", False),
        ("POSITION_X", "X", "POSITION", False),
        ("POSITION_Y", "Y", "POSITION", False),
        ("POSITION_Z", "Z", "POSITION", False),
        ("POSITION_T", "T", "TIME", False),
        ("FRAME", "Frame", "NONE", True),
        ("RADIUS", "Radius", "LENGTH", False),
        ("VISIBILITY", "Visibility", "NONE", True),
    ),
    "Edge": (
        ("SPOT_SOURCE_ID", "Source spot ID", "NONE", True),
        ("SPOT_TARGET_ID", "Target spot ID", "NONE", True),
    ),
    "Track": (
        ("TRACK_INDEX", "Track index", "NONE", True),
        ("TRACK_ID", "Track ID", "NONE", True),
    ),
}
"""What TrackMate is told of each attribute: name, dimension, whether it is a whole number."""


def write_csv(particles: pd.DataFrame, path: Path) -> None:
    """Write the linked particles as CSV, ordered by track, then frame; unlinked ones are left out.

    Parameters
    ----------
    particles:
        The particles table, px and frames as in the table.
    path:
        File to write; its folder is made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _linked(particles).to_csv(path, index=False)


def napari_tracks(particles: pd.DataFrame) -> npt.NDArray[np.float64]:
    """Return the data of a napari tracks layer.

    Parameters
    ----------
    particles:
        The particles table.

    Returns
    -------
    tracks:
        (n, 4): track number, frame, y, x (px), ordered by track, then frame. Give it to
        ``viewer.add_tracks``.
    """
    return _linked(particles)[["particle", "frame", "y", "x"]].to_numpy(np.float64)


def write_trackmate(
    particles: pd.DataFrame,
    path: Path,
    *,
    um_per_px: float,
    fps: float,
    n_frames: int | None = None,
    shape: tuple[int, int] | None = None,
    source: str = "",
) -> None:
    """Write the linked particles as a TrackMate file, which Fiji opens with "Load TrackMate file".

    It has all that TrackMate 7 reads without looking whether it is there: declared attributes,
    detector and tracker (manual: none of TrackMate's own), filters (none) and analysers.

    Parameters
    ----------
    particles:
        The particles table; ``diameter_px`` and ``score`` become radius and quality where present.
    path:
        XML file to write; its folder is made.
    um_per_px, fps:
        Size of a pixel (um) and frames per second: TrackMate keeps positions in um and times in s.
    n_frames:
        Of the recording; None: up to the last with a particle.
    shape:
        Height and width of its frames, px; None: as far as there are particles.
    source:
        Path of the recording, which TrackMate offers to open.
    """
    linked = _linked(particles)
    frame = linked["frame"].to_numpy(np.int64)
    root = ET.Element("TrackMate", version="7.0.0")
    model = ET.SubElement(root, "Model", spatialunits="micron", timeunits="sec")
    _declare(model)
    n = len(linked)
    spots = ET.SubElement(model, "AllSpots", nspots=str(n))
    radius = linked["diameter_px"].to_numpy(float) / 2 if "diameter_px" in linked else np.full(n, 2)
    quality = linked["score"].to_numpy(float) if "score" in linked else np.ones(n)
    x, y = linked["x"].to_numpy(float), linked["y"].to_numpy(float)
    time = linked["time_s"].to_numpy(float) if "time_s" in linked else frame / fps
    for t in np.unique(frame):
        parent = ET.SubElement(spots, "SpotsInFrame", frame=str(t))
        for k in np.flatnonzero(frame == t):
            ET.SubElement(
                parent,
                "Spot",
                ID=str(k),
                name=f"ID{k}",
                FRAME=str(t),
                POSITION_X=_number(x[k] * um_per_px),
                POSITION_Y=_number(y[k] * um_per_px),
                POSITION_Z="0.0",
                POSITION_T=_number(time[k]),
                RADIUS=_number(radius[k] * um_per_px),
                QUALITY=_number(quality[k]),
                VISIBILITY="1",
            )
    tracks = ET.SubElement(model, "AllTracks")
    shown = ET.SubElement(model, "FilteredTracks")
    particle = linked["particle"].to_numpy(np.int64)
    each = np.split(np.arange(n), np.flatnonzero(np.diff(particle)) + 1)
    # A track is its edges there: a single spot is in none.
    for index, rows in enumerate(own for own in each if own.size > 1):
        number = str(particle[rows[0]])
        track = ET.SubElement(
            tracks, "Track", name=f"Track_{number}", TRACK_INDEX=str(index), TRACK_ID=number
        )
        for a, b in pairwise(rows):
            ET.SubElement(track, "Edge", SPOT_SOURCE_ID=str(a), SPOT_TARGET_ID=str(b))
        ET.SubElement(shown, "TrackID", TRACK_ID=number)
    settings = ET.SubElement(root, "Settings")
    recording = Path(source)
    last = n_frames or (int(frame.max()) + 1 if n else 0)
    height, width = shape or (int(np.ceil(at.max(initial=0.0))) + 1 for at in (y, x))
    ET.SubElement(
        settings,
        "ImageData",
        filename=recording.name,
        folder=str(recording.parent) if source else "",
        width=str(width),
        height=str(height),
        pixelwidth=repr(um_per_px),
        pixelheight=repr(um_per_px),
        voxeldepth="1.0",
        timeinterval=repr(1 / fps),
        nframes=str(last),
        nslices="1",
    )
    ends = {"xend": width - 1, "yend": height - 1, "zend": 0, "tend": max(last - 1, 0)}
    starts = dict.fromkeys(("xstart", "ystart", "zstart", "tstart"), "0")
    ET.SubElement(
        settings, "BasicSettings", starts | {name: str(end) for name, end in ends.items()}
    )
    usual = float(np.nanmedian(radius)) if n else 2.0
    ET.SubElement(
        settings,
        "DetectorSettings",
        DETECTOR_NAME="MANUAL_DETECTOR",
        RADIUS=_number(usual * um_per_px),
    )
    ET.SubElement(settings, "InitialSpotFilter", feature="QUALITY", value="0.0", isabove="true")
    ET.SubElement(settings, "SpotFilterCollection")
    ET.SubElement(settings, "TrackerSettings", TRACKER_NAME="MANUAL_TRACKER")
    ET.SubElement(settings, "TrackFilterCollection")
    analysers = ET.SubElement(settings, "AnalyzerCollection")
    for kind in _FEATURES:
        ET.SubElement(analysers, f"{kind}Analyzers")
    ET.SubElement(root, "GUIState", state="ConfigureViews")
    path.parent.mkdir(parents=True, exist_ok=True)
    ET.indent(root)
    ET.ElementTree(root).write(path, encoding="UTF-8", xml_declaration=True)


def _declare(model: ET.Element) -> None:
    """Add what the attributes of spots, edges and tracks are."""
    declared = ET.SubElement(model, "FeatureDeclarations")
    for kind, features in _FEATURES.items():
        own = ET.SubElement(declared, f"{kind}Features")
        for feature, name, dimension, whole in features:
            ET.SubElement(
                own,
                "Feature",
                feature=feature,
                name=name,
                shortname=name,
                dimension=dimension,
                isint=str(whole).lower(),
            )


def _number(value: float) -> str:
    """Return a number as Java reads it, which knows NaN but not nan."""
    return repr(float(value)).replace("nan", "NaN").replace("inf", "Infinity")


def _linked(particles: pd.DataFrame) -> pd.DataFrame:
    linked = particles[particles["particle"] >= 0]
    return linked.sort_values(["particle", "frame"], kind="stable").reset_index(drop=True)
