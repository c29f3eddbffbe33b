"""Training images keep picture and truth together whatever chance does to them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from pitflow.domains.particles.channels import TileChannels, Views, make_channels
from pitflow.domains.particles.picture import Picture
from pitflow.domains.particles.recipes import MOVING, PAPER, SINGLE
from pitflow.domains.particles.relative import darkening, full_scale
from pitflow.domains.particles.samples import ParticleSamples, truth_of
from pitflow.domains.particles.stamps import clump, cut_stamps, find_specks, paste, warped
from pitflow.domains.recipe import AugmentConfig, Recipe
from pitflow.segment.devices import CPU
from pitflow.segment.tiles import extract, plan_tiles
from pitflow.translation import Translated, seen_part

STEEL = 200


def a_picture(
    height: int = 120, width: int = 140, seed: int = 0, *, moving: bool = False
) -> Picture:
    """Flat steel with particles of 20 % less light, exactly where the truth says."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    truth = np.zeros((height, width), bool)
    for x, y in rng.uniform(0, 1, (5, 2)) * (width, height):
        truth |= (rows - y) ** 2 + (columns - x) ** 2 <= 16
    frame = np.where(truth, np.uint8(0.8 * STEEL), np.uint8(STEEL))
    empty = np.full_like(frame, STEEL)
    company = {"background": empty, "earlier": empty} if moving else {}
    return Picture(f"p{seed}", f"g{seed}", frame, {"particle": truth}, company)


def recipe_with(base: Recipe = SINGLE, crop: int = 64, **augment: float) -> Recipe:
    return base.model_copy(update={"crop_px": crop, "augment": AugmentConfig(**augment)})


@pytest.mark.parametrize("degrees", [0.0, 35.0, 90.0])
@pytest.mark.parametrize(("scale", "stretch"), [(1.0, 1.0), (0.7, 1.0), (1.7, 1.0), (1.7, 2.0)])
def test_a_warped_stamp_is_the_same_particle_in_another_shape(
    scale: float, stretch: float, degrees: float
) -> None:
    picture = a_picture()
    stamp = cut_stamps(picture.views.frame, picture.truth["particle"])[0]
    other = warped(stamp, scale, stretch, degrees)
    assert other.light.shape == other.mask.shape == other.centre.shape
    # Lengthening keeps the area.
    assert other.mask.sum() == pytest.approx(scale**2 * stamp.mask.sum(), rel=0.15)
    assert other.light.min() == pytest.approx(stamp.light.min(), abs=0.02)
    assert other.light[~other.mask].mean() > other.light[other.mask].mean()
    assert (other.centre & ~other.mask).sum() == 0
    rows, columns = np.nonzero(other.mask)
    moments = np.linalg.eigvalsh(np.cov(columns, rows))
    assert np.sqrt(moments[1] / moments[0]) == pytest.approx(stretch, rel=0.2)
    if stretch > 1 and degrees in (0.0, 90.0):
        assert (np.ptp(columns) > np.ptp(rows)) == (degrees == 0.0)


def test_particles_that_stick_together_are_one_with_all_their_pixels() -> None:
    picture = a_picture()
    stamps = cut_stamps(picture.views.frame, picture.truth["particle"])[:2]
    together = clump(stamps, np.random.default_rng(0))
    sizes = [int(stamp.mask.sum()) for stamp in stamps]
    assert max(sizes) < together.mask.sum() < sum(sizes)
    _, n = ndimage.label(together.mask, np.ones((3, 3)))
    assert n == 1
    assert together.light[together.mask].max() < 0.9
    assert together.centre.any()
    assert not (together.centre & ~together.mask).any()


def test_pasted_particles_come_in_new_shapes() -> None:
    pictures = [a_picture(seed=seed) for seed in range(3)]
    recipe = recipe_with(paste=6.0, paste_stretch=2.5, paste_clump=0.5, dihedral=False)
    longest = 0
    for index in range(20):
        sample = ParticleSamples(pictures, recipe).draw(index % 3, np.random.default_rng(index))
        assert sample.channels[sample.truth].max() < -0.5
        labels, _ = ndimage.label(sample.truth[0])
        longest = max(longest, *(max(np.ptp(part, axis=1)) for part in _parts(labels)), 0)
    # Those of the pictures are 9 px across.
    assert longest > 14


def _parts(labels: np.ndarray) -> list[np.ndarray]:
    return [np.array(np.nonzero(labels == number)) for number in range(1, labels.max() + 1)]


@pytest.mark.parametrize("paste_n", [0.0, 5.0])
@pytest.mark.parametrize("dihedral", [False, True])
def test_truth_stays_on_the_particles(paste_n: float, dihedral: bool) -> None:
    samples = ParticleSamples(
        [a_picture(seed=seed) for seed in range(3)],
        recipe_with(paste=paste_n, dihedral=dihedral, gain=0.3),
    )
    seen = 0
    for index in range(30):
        sample = samples.draw(index % 3, np.random.default_rng(index))
        assert sample.channels.shape == sample.truth.shape == (1, 64, 64)
        assert sample.known.all()
        # 20 % less light is -2; a pasted one is up to 30 % fainter.
        inside, outside = sample.channels[sample.truth], sample.channels[~sample.truth]
        assert inside.size == 0 or inside.max() < -1
        assert np.abs(outside).max() < 0.8
        seen += int(sample.truth.sum())
    assert seen > 0


def test_pasting_adds_particles() -> None:
    pictures = [a_picture(seed=seed) for seed in range(3)]
    few, many = (
        sum(
            ParticleSamples(pictures, recipe_with(paste=n))
            .draw(0, np.random.default_rng(i))
            .truth.sum()
            for i in range(10)
        )
        for n in (0.0, 10.0)
    )
    assert many > 1.5 * few


def test_chance_comes_from_the_generator_alone() -> None:
    samples = ParticleSamples([a_picture()], SINGLE.model_copy(update={"crop_px": 64}))
    first, again, other = (samples.draw(0, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.channels, again.channels)
    np.testing.assert_array_equal(first.truth, again.truth)
    assert not np.array_equal(first.channels, other.channels)


def test_beyond_a_small_picture_nothing_is_known() -> None:
    recipe = recipe_with(dihedral=False).model_copy(update={"beyond": "mirrored"})
    sample = ParticleSamples([a_picture(40, 50)], recipe).draw(0, np.random.default_rng(0))
    assert sample.channels[0, 40:].any()
    assert sample.known[0, :40, :50].all()
    assert sample.known.sum() == 40 * 50
    assert not (sample.truth & ~sample.known).any()


def test_a_class_nobody_labelled_is_unknown() -> None:
    truth, known = truth_of(a_picture(), ("particle", "pit"))
    assert known[0].all()
    assert not known[1].any()
    assert not truth[1].any()
    assert truth[0].any()


def test_single_images_lack_the_channels_of_time() -> None:
    recipe = recipe_with(MOVING)
    single, moving = (
        ParticleSamples([a_picture(moving=moving)], recipe).draw(0, np.random.default_rng(5))
        for moving in (False, True)
    )
    assert not single.channels[1:].any()
    assert moving.channels[1][moving.truth[0]].max() < -1
    assert np.abs(moving.channels[1][~moving.truth[0]]).max() < 0.8


def test_the_papers_tiles_are_shown_as_they_are() -> None:
    picture = a_picture(200, 200)
    sample = ParticleSamples([picture], PAPER).draw(0, np.random.default_rng(0))
    np.testing.assert_allclose(sample.channels[0] * 255, picture.frame, atol=1e-3)
    np.testing.assert_array_equal(sample.truth[0], picture.truth["particle"])


def test_a_stamp_carries_light_not_grey_values() -> None:
    truth = np.zeros((60, 60), bool)
    truth[20:26, 20:25] = True
    truth[0:3, 50:53] = True  # at the border: no stamp
    frame = np.where(truth, 0.6, 0.8).astype(np.float32)
    stamps = cut_stamps(frame, truth)
    assert len(stamps) == 1
    np.testing.assert_allclose(stamps[0].light[stamps[0].mask], 0.75, atol=1e-5)
    darker = np.full((60, 60), 0.4, np.float32)
    onto = np.zeros((60, 60), bool)
    paste([darker], onto, np.zeros_like(onto), stamps, np.random.default_rng(0))
    assert onto.sum() == 30
    ratio = darker[onto] / 0.4
    assert 1 - 1.3 * 0.25 - 1e-5 <= ratio.min() <= ratio.max() <= 1 - 0.7 * 0.25 + 1e-5


def test_nothing_is_pasted_on_pits_particles_or_the_unknown() -> None:
    truth = np.zeros((60, 60), bool)
    truth[20:26, 20:25] = True
    stamps = cut_stamps(np.where(truth, 0.6, 0.8).astype(np.float32), truth) * 200
    frame = np.full((60, 60), 0.8, np.float32)
    frame[:, :20] = 0.1
    taken = np.zeros((60, 60), bool)
    taken[:, 40:] = True
    onto = np.zeros((60, 60), bool)
    paste([frame], onto, taken, stamps, np.random.default_rng(1))
    assert onto.any()
    assert not onto[:, :20].any()
    assert not onto[:, 40:].any()
    # Particles never overlap: each stamp is 30 px.
    assert onto.sum() % 30 == 0


def test_two_particles_too_close_are_no_stamp() -> None:
    truth = np.zeros((60, 60), bool)
    truth[20:24, 20:24] = truth[20:24, 27:31] = True
    assert cut_stamps(np.full((60, 60), 0.8, np.float32), truth) == []


def test_specks_are_dark_and_small_and_not_labelled() -> None:
    rows, columns = np.mgrid[:120, :120]

    def disk(x: float, y: float, radius: float) -> np.ndarray:
        return (rows - y) ** 2 + (columns - x) ** 2 <= radius**2

    particle, speck, pit = disk(20, 20, 3), disk(60, 30, 3), disk(80, 90, 20)
    frame = np.full((120, 120), 0.8, np.float32)
    frame[particle | speck], frame[pit] = 0.6, 0.05
    np.testing.assert_array_equal(find_specks(frame, particle), speck)
    assert not find_specks(np.full((40, 40), 0.8, np.float32), np.zeros((40, 40), bool)).any()


def test_pasted_specks_are_no_truth() -> None:
    picture = a_picture()
    hidden = picture.truth["particle"].copy()
    hidden[:, 70:] = False
    labelled = Picture("p", "g", picture.frame, {"particle": hidden})
    samples = ParticleSamples([labelled], recipe_with(paste_specks=20.0, crop=100))
    dark = marked = 0
    for seed in range(5):
        sample = samples.draw(0, np.random.default_rng(seed))
        dark += int((sample.channels[0] < -1).sum())
        marked += int(sample.truth.sum())
    assert dark > marked + 5 * 49


def test_pasted_specks_were_there_before_and_pasted_particles_were_not() -> None:
    picture = a_picture(moving=True)
    base = recipe_with(MOVING, dihedral=False)
    hidden = Picture(
        "p",
        "g",
        picture.frame,
        {"particle": picture.truth["particle"] & False},
        {"background": picture.frame.copy(), "earlier": picture.frame.copy()},
    )
    still = Picture("s", "s", picture.frame, dict(hidden.truth))
    pasted = recipe_with(MOVING, dihedral=False, paste_specks=20.0)
    for seed in range(5):
        plain, specks = (
            ParticleSamples([hidden, still], recipe).draw(0, np.random.default_rng(seed))
            for recipe in (base, pasted)
        )
        assert (specks.channels[0] < -1).sum() > (plain.channels[0] < -1).sum()
        # What lies still is in no difference.
        np.testing.assert_allclose(specks.channels[1:], 0, atol=1e-4)
    pasting = recipe_with(MOVING, dihedral=False, paste=20.0)
    particles = ParticleSamples([picture, a_picture()], pasting)
    sample = particles.draw(0, np.random.default_rng(0))
    for name in ("background", "earlier"):
        channel = sample.channels[MOVING.channels.index(name)]
        assert channel[sample.truth[0]].max() < -1


def test_a_picture_may_lie_whole_with_nothing_around() -> None:
    """Beyond the border all channels are 0 and nothing is known, wherever the picture lies."""
    picture = a_picture(60, 50)
    recipe = recipe_with(crop=96, dihedral=False)
    assert recipe.beyond == "nothing"
    samples = ParticleSamples([picture], recipe)
    corners = set()
    for seed in range(8):
        sample = samples.draw(0, np.random.default_rng(seed))
        assert sample.channels.shape == (1, 96, 96)
        rows, columns = (np.flatnonzero(sample.known[0].any(axis=axis)) for axis in (1, 0))
        corners.add((rows[0], columns[0]))
        here = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        np.testing.assert_array_equal(sample.truth[0][here], picture.truth["particle"])
        np.testing.assert_allclose(sample.channels[0][here], darkening(picture.views.frame))
        outside = ~sample.known[0]
        assert not sample.channels[0][outside].any()
        assert not sample.truth[0][outside].any()
    assert len(corners) > 4


def test_single_images_make_up_the_share_asked_for() -> None:
    moving, still = a_picture(moving=True), a_picture(seed=1)
    for pictures in ([moving] * 9 + [still], [moving] + [still] * 9):
        for share in (0.25, 0.5):
            recipe = recipe_with(MOVING).model_copy(update={"stills_share": share})
            samples = ParticleSamples(pictures, recipe)
            stills = sum(pictures[place].is_still for place in samples._order)
            assert abs(stills / len(samples) - share) < 0.02
            assert set(samples._order) == set(range(10))


def test_channels_made_tile_by_tile_are_those_of_the_whole_frame() -> None:
    rng = np.random.default_rng(5)
    frame, earlier, later = (rng.integers(90, 190, (131, 102)).astype(np.uint8) for _ in range(3))
    background = rng.uniform(90, 190, frame.shape).astype(np.float32)
    names = ("frame", "background", "earlier", "later", "raw")
    company = {"earlier": earlier, "later": later, "background": background}
    seen = {name: image / np.float32(255) for name, image in company.items()}
    views = Views(full_scale(frame), seen)
    plan = plan_tiles((131, 102), 48, halo=8, multiple=8)
    everywhere = plan.rows.source[:, None], plan.columns.source
    padded = make_channels(names, views)[:, *everywhere]
    whole = [extract(padded, plan, tile) for tile in plan]
    cut = TileChannels(names, frame, company).cut(plan, list(plan))
    # The level of the steel is measured on whole grey levels.
    np.testing.assert_allclose(cut, whole, atol=5e-3)
    alone = TileChannels(names, frame).cut(plan, list(plan))
    np.testing.assert_allclose(alone[:, [0, 4]], cut[:, [0, 4]])
    assert not alone[:, 1:4].any()
    past = {name: company[name] for name in ("earlier", "background")}
    fewer = TileChannels(names, frame, past).cut(plan, list(plan))
    np.testing.assert_allclose(fewer[:, [0, 1, 2, 4]], cut[:, [0, 1, 2, 4]])
    assert not fewer[:, 3].any()
    moved = Translated(later, 1.0, -2.0)
    there, ready = (
        TileChannels(names, frame, company | {"later": image}).cut(plan, list(plan))
        for image in (moved, moved.whole())
    )
    # Only the light is measured on the image as it was.
    np.testing.assert_allclose(there, ready, atol=0.05)
    assert np.abs(there[:, 3] - cut[:, 3]).mean() > 1
    with pytest.raises(ValueError, match="no channel is called 'sooner'"):
        TileChannels(("sooner",), frame)


def test_what_a_moved_image_does_not_know_is_not_compared() -> None:
    rng = np.random.default_rng(8)
    frame, other = (rng.integers(90, 190, (131, 102)).astype(np.uint8) for _ in range(2))
    names = ("frame", "background", "previous")
    company = {"background": other.astype(np.float32), "previous": Translated(other, -3.2, 1.7)}
    seen = {
        "background": seen_part(2.3, 0.0, frame.shape),
        "previous": seen_part(-3.2, 1.7, frame.shape),
    }
    # Halos reach beyond the frame, where it is mirrored.
    plan = plan_tiles((131, 102), 48, halo=8, multiple=8)
    all_of_it = TileChannels(names, frame, company).cut(plan, list(plan))
    cut = TileChannels(names, frame, company, seen).cut(plan, list(plan))
    known = np.ones((3, 131, 102), np.float32)
    known[1, :, :3] = 0
    known[2, :2] = known[2, :, -4:] = 0
    padded = known[:, plan.rows.source[:, None], plan.columns.source]
    inside = np.stack([extract(padded, plan, tile) for tile in plan])
    np.testing.assert_array_equal(cut, all_of_it * inside)
    assert (inside == 0).any() and np.abs(all_of_it[inside == 0]).mean() > 0.1


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_channels_made_on_a_device_are_those_made_tile_by_tile(dtype: type) -> None:
    rng = np.random.default_rng(6)
    factor = np.iinfo(dtype).max // 255
    frame, *others = ((rng.integers(90, 190, (131, 102)) * factor).astype(dtype) for _ in range(4))
    company = {
        "background": (rng.uniform(90, 190, frame.shape) * factor).astype(np.float32),
        "previous": Translated(others[0], 0.4, -3.3),
        "later": Translated(others[1], 0.01, 0.0, negligible_px=0.05),
        "after": others[2],
    }
    names = ("frame", "background", "previous", "later", "after", "earlier", "raw")
    seen = {"previous": company["previous"].seen, "background": seen_part(9, 0, frame.shape)}
    channels = TileChannels(names, frame, company, seen)
    plan = plan_tiles((131, 102), 160)
    (expected,) = channels.cut(plan, list(plan))
    found = channels.staged().on(CPU).numpy()
    # Of a moved image, a value half-way between two grey levels may be rounded to either.
    np.testing.assert_allclose(found, expected[:, :131, :102], atol=0.08)
    assert np.abs(found - expected[:, :131, :102]).mean() < 1e-3
    alone = TileChannels(("frame",), frame).staged().on(CPU).numpy()
    np.testing.assert_allclose(alone[0], found[0])
