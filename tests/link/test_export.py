from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np
import pandas as pd
import pytest

from pitflow.link.export import napari_tracks, write_csv, write_trackmate


@pytest.fixture
def particles() -> pd.DataFrame:
    """Two tracks, interleaved, and a detection in none."""
    return pd.DataFrame(
        {
            "frame": [0, 0, 1, 1, 3, 2],
            "particle": [1, 0, 1, 0, 1, -1],
            "x": [10.0, 20, 11, 21, 12, 90],
            "y": [1.0, 2, 3, 4, 5, 90],
            "diameter_px": 6.0,
        }
    )


def test_napari(particles):
    assert napari_tracks(particles).tolist() == [
        [0, 0, 2, 20],
        [0, 1, 4, 21],
        [1, 0, 1, 10],
        [1, 1, 3, 11],
        [1, 3, 5, 12],
    ]
    assert napari_tracks(particles.iloc[:0]).shape == (0, 4)


def test_csv(tmp_path, particles):
    write_csv(particles, tmp_path / "new" / "tracks.csv")
    back = pd.read_csv(tmp_path / "new" / "tracks.csv")
    assert back["particle"].tolist() == [0, 0, 1, 1, 1]
    assert list(back.columns) == list(particles.columns)


def test_trackmate(tmp_path, particles):
    path = tmp_path / "tracks.xml"
    write_trackmate(particles, path, um_per_px=0.5, fps=10.0, source="in/clip & co.avi")
    root = ET.parse(path).getroot()
    spots = {spot.get("ID"): spot for spot in root.iter("Spot")}
    assert root.find("Model/AllSpots").get("nspots") == str(len(spots)) == "5"
    assert root.find("Settings/ImageData").get("filename") == "clip & co.avi"
    tracks = root.findall("Model/AllTracks/Track")
    assert [len(track) for track in tracks] == [1, 2]
    assert [t.get("TRACK_ID") for t in root.iter("TrackID")] == ["0", "1"]
    last = spots[tracks[1][-1].get("SPOT_TARGET_ID")]
    measured = [
        float(last.get(name)) for name in ("POSITION_X", "POSITION_Y", "POSITION_T", "RADIUS")
    ]
    assert measured == pytest.approx([6.0, 2.5, 0.3, 1.5])
    for edge in root.iter("Edge"):
        a, b = spots[edge.get("SPOT_SOURCE_ID")], spots[edge.get("SPOT_TARGET_ID")]
        assert int(a.get("FRAME")) < int(b.get("FRAME"))


def test_trackmate_has_all_that_its_reader_takes_for_granted(tmp_path, particles):
    """TmXmlReader of TrackMate 7 fails, or complains, where one of these is not there."""
    path = tmp_path / "tracks.xml"
    single = particles.iloc[-1:].assign(particle=5, diameter_px=np.nan)
    write_trackmate(pd.concat([particles, single]), path, um_per_px=0.5, fps=10.0, shape=(100, 200))
    root = ET.parse(path).getroot()
    told = {"feature", "name", "shortname", "dimension", "isint"}
    for kind in ("Spot", "Edge", "Track"):
        declared = root.findall(f"Model/FeatureDeclarations/{kind}Features/Feature")
        written = set(next(root.iter(kind)).attrib) - {"ID", "name"}
        assert {feature.get("feature") for feature in declared} == written
        assert all(set(feature.attrib) == told for feature in declared)
        assert root.find(f"Settings/AnalyzerCollection/{kind}Analyzers") is not None
    filters = root.find("Settings/InitialSpotFilter").attrib
    assert filters == {"feature": "QUALITY", "value": "0.0", "isabove": "true"}
    for name in ("SpotFilterCollection", "TrackFilterCollection"):
        assert root.find(f"Settings/{name}") is not None
    assert root.find("Settings/DetectorSettings").attrib == {
        "DETECTOR_NAME": "MANUAL_DETECTOR", "RADIUS": "1.5"
    }  # fmt: skip
    assert root.find("Settings/TrackerSettings").get("TRACKER_NAME") == "MANUAL_TRACKER"
    image = root.find("Settings/ImageData")
    assert (image.get("width"), image.get("height")) == ("200", "100")
    # A single spot is in no track, and Java reads NaN only as it is written there.
    assert [t.get("TRACK_ID") for t in root.iter("Track")] == ["0", "1"]
    assert [s.get("RADIUS") for s in root.iter("Spot")].count("NaN") == 1


def test_trackmate_without_tracks(tmp_path, particles):
    none = tmp_path / "none.xml"
    write_trackmate(particles.iloc[:0], none, um_per_px=0.5, fps=10.0, n_frames=40)
    assert 'nframes="40"' in none.read_text()
    root = ET.parse(tmp_path / "none.xml").getroot()
    assert not list(root.iter("Spot"))
    assert np.isclose(float(root.find("Settings/ImageData").get("timeinterval")), 0.1)
