from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from pitflow.config import ChangeConfig, PitConfig
from pitflow.segment.classical.change import ChangeSegmenter
from pitflow.segment.pits import find_pits


def segment(recording, **config):
    pits = find_pits(recording, PitConfig(), recording.read()[-9:])
    segmenter = ChangeSegmenter(ChangeConfig(**config), pits)
    results = segmenter.segment(recording.read(), recording)
    return pd.concat([result.particles for result in results], ignore_index=True)


def score(recording, found):
    """Return (recall, precision, position error) at 2 px, truth in reference geometry."""
    hits, errors = 0, []
    for row in recording.truth.itertuples():
        table = found[found["frame"] == row.frame]
        away = np.hypot(table["x"] - row.x, table["y"] - row.y)
        if len(away) and away.min() < 2:
            hits += 1
            errors.append(away.min())
    return hits / len(recording.truth), hits / max(len(found), 1), float(np.median(errors))


def test_finds_particles_and_little_else(recording):
    recall, precision, error = score(recording, segment(recording))
    assert recall > 0.95
    assert precision > 0.9
    assert error < 0.15


@pytest.mark.parametrize("contrast", [0.07, 0.12])
def test_finds_faint_particles(make_recording, contrast):
    recording = make_recording(contrast=contrast)
    recall, precision, _ = score(recording, segment(recording))
    assert recall > 0.9
    assert precision > 0.85


def test_stage_drift_does_not_flood(make_recording):
    recording = make_recording(drift=0.12)
    recall, precision, _ = score(recording, segment(recording))
    assert recall > 0.9
    assert precision > 0.85


def test_measures_contrast_and_size(recording):
    found = segment(recording)
    clear = found[found["score"] > 0.9]
    assert clear["contrast"].median() == pytest.approx(0.4, rel=0.1)
    assert clear["blur_px"].median() == pytest.approx(1.8, rel=0.12)


def test_still_steel_gives_nothing(make_recording):
    assert len(segment(make_recording(particles=False, pit=False))) < 8


def test_a_growing_pit_gives_next_to_nothing(make_recording):
    assert len(segment(make_recording(particles=False))) < 30


def test_a_higher_threshold_finds_less(make_recording):
    recording = make_recording(contrast=0.05)
    assert len(segment(recording, threshold=12.0)) < len(segment(recording, threshold=5.0))


def test_a_particle_is_seen_until_it_lands_and_not_after(make_spots):
    places = [(20 + 2.0 * min(frame, 40), 60.0) for frame in range(96)]
    found = segment(make_spots(places))
    assert set(range(2, 38)) <= set(found["frame"])
    assert (found["frame"] > 44).mean() < 0.05


def test_a_speck_that_lifts_is_none(make_spots):
    places = [(70.0, 60.0) if frame < 53 else None for frame in range(96)]
    assert len(segment(make_spots(places))) < 5


def test_a_slow_particle_survives(make_spots):
    places = [(40 + 0.25 * frame, 60.0) for frame in range(120)]
    found = segment(make_spots(places))
    middle = found["frame"].between(24, 95)
    assert found.loc[middle, "frame"].nunique() > 0.8 * 72


def test_a_particle_that_stops_and_goes_on_is_seen_while_it_stops(make_spots):
    """For nearly two blocks."""
    places = [(20 + 1.5 * (min(frame, 40) + max(frame - 84, 0)), 60.0) for frame in range(120)]
    found = segment(make_spots(places))
    assert set(range(42, 84)) <= set(found["frame"])


def test_a_slow_particle_in_the_growing_halo_of_a_pit_is_seen(make_recording):
    still = make_recording(particles=False)
    rows, columns = np.mgrid[: still.shape[0], : still.shape[1]]
    halo = np.exp(-np.hypot(columns - 110.0, rows - 78.0) / 25)
    truth = pd.DataFrame(
        [(t, 110.0, 62.0 - 0.2 * t) for t in range(len(still.images))], columns=["frame", "x", "y"]
    )
    images = []
    for image, (frame, x, y) in zip(still.images, truth.to_numpy(), strict=True):
        spot = np.exp(-0.5 * ((columns - x) ** 2 + (rows - y) ** 2) / 3.0**2)
        darker = (1 - 0.5 * halo * frame / len(still.images)) * (1 - 0.3 * spot)
        images.append(np.rint(image * darker).astype(np.uint8))
    of_blocks = np.split(np.stack(images), still.n_blocks)
    backgrounds = np.stack([np.median(block[::2], axis=0).astype(np.uint8) for block in of_blocks])
    slow = replace(still, images=images, first=images[0], backgrounds=backgrounds, truth=truth)
    recall, precision, _ = score(slow, segment(slow))
    assert recall > 0.6
    assert precision > 0.55
