"""Linked particles for other programs: TrackMate (Fiji), napari, and anything that reads CSV."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd


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
    source: str = "",
) -> None:
    """Write the linked particles as a TrackMate file, which Fiji opens with "Load TrackMate file".

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
    source:
        Path of the recording, which TrackMate offers to open.
    """
    linked = _linked(particles)
    frame = linked["frame"].to_numpy(np.int64)
    root = ET.Element("TrackMate", version="7.0.0")
    model = ET.SubElement(root, "Model", spatialunits="micron", timeunits="sec")
    spots = ET.SubElement(model, "AllSpots", nspots=str(len(linked)))
    n = len(linked)
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
                POSITION_X=repr(float(x[k] * um_per_px)),
                POSITION_Y=repr(float(y[k] * um_per_px)),
                POSITION_Z="0.0",
                POSITION_T=repr(float(time[k])),
                RADIUS=repr(float(radius[k] * um_per_px)),
                QUALITY=repr(float(quality[k])),
                VISIBILITY="1",
            )
    tracks = ET.SubElement(model, "AllTracks")
    shown = ET.SubElement(model, "FilteredTracks")
    particle = linked["particle"].to_numpy(np.int64)
    for rows in np.split(np.arange(n), np.flatnonzero(np.diff(particle)) + 1) if n else []:
        number = str(particle[rows[0]])
        track = ET.SubElement(tracks, "Track", name=f"Track_{number}", TRACK_ID=number)
        for a, b in pairwise(rows):
            ET.SubElement(track, "Edge", SPOT_SOURCE_ID=str(a), SPOT_TARGET_ID=str(b))
        ET.SubElement(shown, "TrackID", TRACK_ID=number)
    settings = ET.SubElement(root, "Settings")
    recording = Path(source)
    ET.SubElement(
        settings,
        "ImageData",
        filename=recording.name,
        folder=str(recording.parent) if source else "",
        pixelwidth=repr(um_per_px),
        pixelheight=repr(um_per_px),
        voxeldepth="1.0",
        timeinterval=repr(1 / fps),
        nframes=str(n_frames or (int(frame.max()) + 1 if n else 0)),
        nslices="1",
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    ET.indent(root)
    ET.ElementTree(root).write(path, encoding="UTF-8", xml_declaration=True)


def _linked(particles: pd.DataFrame) -> pd.DataFrame:
    linked = particles[particles["particle"] >= 0]
    return linked.sort_values(["particle", "frame"], kind="stable").reset_index(drop=True)
