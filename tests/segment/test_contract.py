"""What every segmenter keeps to."""

from __future__ import annotations

import numpy as np
import pytest

from pitflow.config import PitConfig, SegmentConfig
from pitflow.errors import UserError
from pitflow.frame import Frame
from pitflow.schema import PARTICLES
from pitflow.segment.pits import find_pits
from pitflow.segment.protocol import DETECTION_COLUMNS
from pitflow.segmenters import SEGMENTERS, create_segmenter

pytestmark = pytest.mark.filterwarnings("error")


def run(config, recording, frames=None):
    frames = recording.read() if frames is None else frames
    return run_on(config, recording, frames, recording.read()[-5:])


def run_on(config, scene, frames, tail=()):
    segmenter = create_segmenter(config, find_pits(scene, PitConfig(), tail))
    return list(segmenter.segment(frames, scene))


@pytest.fixture(scope="module", params=sorted(SEGMENTERS))
def config(request, model):
    return SegmentConfig(segmenter=request.param, unet={"model": model})


@pytest.fixture(scope="module")
def results(config, recording):
    return run(config, recording)


def test_bears_its_name(config, recording):
    pits = find_pits(recording, PitConfig())
    assert create_segmenter(config, pits).name == config.segmenter


def test_one_result_per_frame_in_order(results, recording):
    assert [result.frame for result in results] == list(range(len(recording.images)))


def test_class_maps(results, recording):
    for result in results:
        assert result.classes.dtype == np.uint8
        assert result.classes.shape == recording.shape
        assert set(np.unique(result.classes)) <= {0, 1, 2}


def test_detections_are_typed_and_inside_the_frame(results, recording):
    types = {column.name: column.dtype for column in PARTICLES}
    height, width = recording.shape
    for result in results:
        table = result.particles
        assert tuple(table.columns) == DETECTION_COLUMNS
        assert [str(dtype) for dtype in table.dtypes] == [types[c] for c in DETECTION_COLUMNS]
        assert not table.isna().any(axis=None)
        assert (table["frame"] == result.frame).all()
        assert table["x"].between(-0.5, width - 0.5).all()
        assert table["y"].between(-0.5, height - 0.5).all()
        for column in ("area_px", "diameter_px", "contrast", "sharpness", "blur_px"):
            assert (table[column] > 0).all() or column == "sharpness"
        assert table["contrast"].le(1).all()
        assert table["eccentricity"].between(0, 1).all()
        assert table["orientation_deg"].between(0, 180, inclusive="left").all()
        assert table["score"].between(0, 1, inclusive="neither").all()


def test_finds_most_of_the_clear_particles(results, recording):
    found = 0
    for row in recording.truth.itertuples():
        table = results[row.frame].particles
        found += bool((np.hypot(table["x"] - row.x, table["y"] - row.y) < 3).any())
    assert found > 0.6 * len(recording.truth)


def test_particles_and_their_pixels_agree(results):
    for result in results:
        pixels = np.count_nonzero(result.classes == 1)
        assert result.particles["area_px"].sum() == pytest.approx(pixels, abs=3)


def test_pits_are_class_2_and_never_particles(results, recording):
    late = results[-1].classes
    assert late[78, 110] == 2
    assert (late == 2).sum() == pytest.approx(np.pi * 16**2, rel=0.15)
    for result in results:
        inside = np.hypot(result.particles["x"] - 110, result.particles["y"] - 78) < 3
        assert not inside.any()


@pytest.mark.parametrize("shape", [(97, 64), (64, 97), (131, 255)])
def test_any_size(config, make_recording, shape):
    recording = make_recording(shape, pit=False)
    results = run(config, recording, recording.read(0, 30))
    assert {result.classes.shape for result in results} == {shape}


def test_an_even_frame_is_empty(config, recording):
    class Even:
        shape, levels, n_blocks = (90, 120), 256, 1
        first = np.full((90, 120), 180, np.uint8)
        frames = recording.frames.head(10)

        def background(self, block):
            return self.first

        def block_of(self, frame):
            return 0

    frames = [Frame(i, Even.first) for i in range(10)]
    for result in run_on(config, Even(), frames):
        assert result.particles.empty
        assert tuple(result.particles.columns) == DETECTION_COLUMNS
        assert not result.classes.any()


def test_no_frames_no_results(config, recording):
    assert run(config, recording, []) == []


def test_16_bit_equals_8_bit(config, make_recording, results):
    wide = run(config, make_recording(dtype=np.uint16))
    for a, b in zip(results, wide, strict=True):
        assert (a.classes != b.classes).mean() < 0.02
    narrow_count = sum(len(result.particles) for result in results)
    assert sum(len(result.particles) for result in wide) == pytest.approx(narrow_count, rel=0.05)


def test_untrusted_frames_yield_no_particles(config, recording):
    quality = {5: "damaged", 30: "duplicate", 31: "gap"}
    results = run(config, recording, recording.read(quality=quality))
    assert [result.frame for result in results] == list(range(len(recording.images)))
    for frame in (5, 30, 31):
        assert results[frame].particles.empty
        assert not (results[frame].classes == 1).any()


def test_blocks_do_not_depend_on_one_another(config, recording, results):
    pits = find_pits(recording, PitConfig(), recording.read()[-5:])
    segmenter = create_segmenter(config, pits)
    if segmenter.in_order:
        pytest.skip(
            f"{config.segmenter} carries state from frame to frame: it is given all frames at once"
        )
    for start in (48, 0, 24):
        alone = segmenter.segment(recording.read(start, start + 24), recording)
        for a, b in zip(alone, results[start : start + 24], strict=True):
            np.testing.assert_array_equal(a.classes, b.classes)
            assert a.particles.equals(b.particles)


def test_unknown_name_lists_the_known(recording):
    with pytest.raises(UserError, match=r"'chnage'.*known: unet, change, clahe, report"):
        create_segmenter(SegmentConfig(segmenter="chnage"), find_pits(recording, PitConfig()))
