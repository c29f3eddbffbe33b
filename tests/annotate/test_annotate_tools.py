from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from pitflow.annotate.canvas import HINT_GROUND, HINT_OBJECT, Canvas
from pitflow.annotate.gestures import Desk, Gesture
from pitflow.annotate.grabcut import grab_cut
from pitflow.annotate.marching import march
from pitflow.annotate.shapes import loop, stroke
from pitflow.errors import UserError

SHAPE = (120, 160)
ROWS, COLUMNS = np.mgrid[: SHAPE[0], : SHAPE[1]]


def disc(x: float, y: float, radius: float) -> npt.NDArray[np.bool_]:
    inside: npt.NDArray[np.bool_] = np.hypot(COLUMNS - x, ROWS - y) <= radius
    return inside


def scene(*objects: npt.NDArray[np.bool_], contrast: float = 70) -> npt.NDArray[np.uint8]:
    """Dark objects on noisy grey."""
    image = np.random.default_rng(0).normal(160, 4, SHAPE)
    for mask in objects:
        image[mask] -= contrast
    return cv2.GaussianBlur(image, (0, 0), 0.7).clip(0, 255).astype(np.uint8)


def overlap(one: npt.NDArray[np.bool_], other: npt.NDArray[np.bool_]) -> float:
    return float((one & other).sum() / (one | other).sum())


def test_a_stroke_covers_what_is_within_its_radius() -> None:
    mask = stroke(SHAPE, [(30, 40), (90, 40)], 5)
    along = np.hypot(np.maximum(np.abs(COLUMNS - 60) - 30, 0), ROWS - 40)
    assert mask[along <= 4].all()
    assert not mask[along > 6.5].any()


def test_a_dot_is_a_disc_and_the_finest_pencil_a_pixel() -> None:
    assert overlap(stroke(SHAPE, [(50, 60)], 8), disc(50, 60, 8)) > 0.9
    assert stroke(SHAPE, [(50, 60)], 0).sum() == 1


def test_a_loop_is_filled_and_may_leave_the_image() -> None:
    mask = loop(SHAPE, [(-20, -20), (40, -20), (40, 30), (-20, 30)])
    assert mask[:30, :40].all()
    assert mask[31:].sum() == mask[:, 41:].sum() == 0


@pytest.mark.parametrize("colour", [False, True])
def test_grab_cut_finds_the_object_in_its_box(colour: bool) -> None:
    wanted = disc(80, 60, 22)
    image = scene(wanted)
    image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR) if colour else image
    found = grab_cut(image, (slice(30, 95), slice(50, 112)), np.zeros(SHAPE, np.uint8))
    assert overlap(found, wanted) > 0.9
    again = grab_cut(image, (slice(30, 95), slice(50, 112)), np.zeros(SHAPE, np.uint8))
    assert (found == again).all()


def test_a_particle_of_a_few_pixels_is_not_cleaned_away() -> None:
    wanted = disc(80, 60, 2.5)
    found = grab_cut(scene(wanted), (slice(53, 68), slice(73, 88)), np.zeros(SHAPE, np.uint8))
    assert overlap(found, wanted) > 0.5


def test_grab_cut_obeys_hints() -> None:
    wanted, other = disc(50, 60, 16), disc(100, 60, 16)
    hints = np.zeros(SHAPE, np.uint8)
    box = (slice(35, 85), slice(25, 125))
    both = grab_cut(scene(wanted, other), box, hints)
    assert overlap(both, wanted | other) > 0.9
    hints[disc(100, 60, 12)] = HINT_GROUND
    hints[disc(20, 60, 3)] = HINT_OBJECT
    found = grab_cut(scene(wanted, other), box, hints)
    assert not found[hints == HINT_GROUND].any()
    assert found[disc(50, 60, 12)].all()


@pytest.mark.parametrize(
    "box", [(slice(0, 0), slice(0, 5)), (slice(0, 120), slice(0, 160)), (slice(0, 2), slice(0, 2))]
)
def test_grab_cut_of_no_box_and_of_everything(box: tuple[slice, slice]) -> None:
    assert grab_cut(scene(), box, np.zeros(SHAPE, np.uint8)).shape == SHAPE


def test_a_large_cut_agrees_with_the_same_cut_on_a_small_image() -> None:
    wanted = disc(80, 60, 25)
    large = cv2.resize(scene(wanted), None, fx=8, fy=8, interpolation=cv2.INTER_CUBIC)
    box = (slice(200, 760), slice(400, 900))
    found = grab_cut(large, box, np.zeros(large.shape, np.uint8))
    truth = cv2.resize(wanted.astype(np.uint8), None, fx=8, fy=8) > 0
    assert overlap(found, truth) > 0.9


@pytest.mark.parametrize("contrast", [12, 70])
def test_a_front_from_inside_to_the_edge_draws_the_object(contrast: float) -> None:
    wanted = disc(70, 60, 18)
    found = march(scene(wanted, contrast=contrast), (66, 58), (88, 60))
    assert overlap(found, wanted) > 0.85


def test_a_front_that_goes_nowhere_is_one_pixel_or_little_more() -> None:
    found = march(scene(), (40, 40), (40, 40))
    assert found[40, 40]
    assert found.sum() < 5


def test_a_front_stays_on_the_image() -> None:
    assert march(scene(), (-5, -5), (400, 400)).mean() > 0.95


def test_undo_and_redo_walk_through_every_state() -> None:
    canvas = Canvas(np.zeros(SHAPE, np.uint16))
    states = [canvas.labels.copy()]
    for label, x in ((1, 20), (2, 60), (3, 100)):
        canvas.draw(disc(x, 50, 10), label)
        states.append(canvas.labels.copy())
    for state in states[-2::-1]:
        canvas.undo()
        assert (canvas.labels == state).all()
    assert not canvas.can_undo
    canvas.undo()
    for state in states[1:]:
        canvas.redo()
        assert (canvas.labels == state).all()
    assert not canvas.can_redo
    canvas.undo()
    canvas.draw(disc(10, 10, 3), 7)
    assert not canvas.can_redo


def test_a_new_cut_leaves_other_objects_alone() -> None:
    desk = Desk(scene(disc(50, 60, 16), disc(90, 60, 16)), Canvas(np.zeros(SHAPE, np.uint16)))
    desk.do(Gesture("box", [(28, 38), (70, 82)], label=1))
    first = desk.canvas.labels == 1
    assert overlap(first, disc(50, 60, 16)) > 0.9
    desk.do(Gesture("box", [(45, 38), (112, 82)], label=2))
    assert ((desk.canvas.labels == 1) == first).all()
    assert overlap(desk.canvas.labels == 2, disc(90, 60, 16)) > 0.85


def test_strokes_refine_the_box_and_undo_takes_its_hints_back() -> None:
    desk = Desk(scene(disc(50, 60, 16), disc(100, 60, 16)), Canvas(np.zeros(SHAPE, np.uint16)))
    desk.do(Gesture("box", [(25, 35), (125, 85)]))
    both = desk.canvas.labels.copy()
    desk.do(Gesture("hint", [(90, 60), (110, 60)], radius_px=8, erase=True))
    assert not desk.canvas.labels[60, 90:111].any()
    desk.canvas.undo()
    assert (desk.canvas.labels == both).all()
    assert not desk.canvas.hints.any()
    desk.canvas.undo()
    with pytest.raises(UserError, match="draw a box"):
        desk.do(Gesture("hint", [(90, 60)]))


def test_a_box_around_nothing_says_what_to_do_and_can_be_refined() -> None:
    desk = Desk(scene(), Canvas(np.zeros(SHAPE, np.uint16)))
    desk.do(Gesture("box", [(50, 40), (70, 60)]))
    if desk.canvas.labels.any():
        pytest.fail("there is nothing to be found")
    assert "Refine" in desk.note
    desk.do(Gesture("hint", [(55, 50), (65, 50)], radius_px=3))
    assert desk.canvas.labels[50, 55:66].all()
    assert desk.note == ""


def test_the_pencil_erases() -> None:
    desk = Desk(scene(), Canvas(np.full(SHAPE, 4, np.uint16)))
    desk.do(Gesture("pencil", [(50, 50)], radius_px=6, erase=True))
    assert desk.canvas.labels[50, 50] == 0
    assert overlap(desk.canvas.labels == 0, disc(50, 50, 6)) > 0.85


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"tool": "axe", "points": [(1, 1)]}, "unknown tool 'axe'"),
        ({"tool": "pencil", "points": []}, "points"),
        ({"tool": "pencil", "points": [(float("nan"), 1)]}, "points"),
        ({"tool": "pencil", "points": [(1, 1)], "radius_px": -1}, "pencil of -1"),
        ({"tool": "pencil", "points": [(1, 1)], "label": 70000}, "label 70000"),
    ],
)
def test_a_gesture_that_makes_no_sense_is_refused(values: dict[str, object], says: str) -> None:
    with pytest.raises(UserError, match=says):
        Gesture(**values)  # type: ignore[arg-type]


def test_without_a_checkpoint_there_is_no_segment_anything() -> None:
    desk = Desk(scene(), Canvas(np.zeros(SHAPE, np.uint16)))
    with pytest.raises(UserError, match="--sam"):
        desk.do(Gesture("sam", [(5, 5)]))


def test_what_is_prompted_is_drawn() -> None:
    class Model:
        def segment(self, image: object, box: object, points: object) -> npt.NDArray[np.bool_]:
            self.asked = box, points
            return disc(60, 60, 9)

    model = Model()
    desk = Desk(scene(), Canvas(np.zeros(SHAPE, np.uint16)), model)
    desk.do(Gesture("sam", [(61, 59), (61.3, 59.2)], label=3))
    assert model.asked == (None, [(61, 59)])
    assert ((desk.canvas.labels == 3) == disc(60, 60, 9)).all()
    desk.do(Gesture("sam", [(40, 30), (80, 90)]))
    assert model.asked == ((slice(30, 91), slice(40, 81)), ())
