"""A photograph of a scribed, coated panel after salt spray, whose creep is known."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable
from colorsys import hsv_to_rgb
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import Field

from pitflow.config import Model
from pitflow.errors import UserError
from pitflow.scribe import Scribe

Plane = npt.NDArray[np.floating]
Colours = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Law = Callable[[Plane], Plane]

_RUSTS = np.array([[122, 62, 28], [156, 88, 40], [88, 44, 26]], dtype=np.float32)
_WAVES = 5
_RUST_HSV = (0.0, 52.0), (0.45, 0.95), (0.3, 0.95)
"""Hue (degrees), saturation and value of coatings of the colour of rust."""


class PanelConfig(Model):
    """What the photograph shows."""

    height: int = Field(640, ge=32, description="px")
    width: int = Field(480, ge=32, description="px")
    mm_per_px: float = Field(0.1, gt=0, description="scale")
    margin: float = Field(0.0, ge=0, lt=0.4, description="table around the panel, share of a side")
    table: tuple[int, int, int] = Field((38, 36, 34), description="colour of the table, RGB")
    coating: tuple[int, int, int] = Field((176, 182, 186), description="colour of the coating, RGB")
    scribe: tuple[float, float, float, float] = Field(
        (0.5, 0.12, 0.5, 0.88), description="ends of the scribe x0, y0, x1, y1, shares of the sides"
    )
    second_scribe: tuple[float, float, float, float] | None = Field(
        None, description="ends of another, such as the other arm of an X-cut, of the same creep"
    )
    scribe_width_mm: float = Field(0.5, gt=0, description="width of the cut")
    creep_left_mm: float = Field(2.0, ge=0, description="mean creep to the left, from the axis")
    creep_right_mm: float = Field(2.0, ge=0, description="mean creep to the right, from the axis")
    roughness: float = Field(
        0.3, ge=0, lt=1, description="creep varies along the scribe by up to this share"
    )
    spots: int = Field(0, ge=0, description="rust spots away from the scribe")
    blisters: int = Field(0, ge=0, description="blisters: domes in the coating without rust")
    stains: int = Field(0, ge=0, description="water stains: darker, without rust")
    relief: float = Field(0.0, ge=0, description="rust is raised and grainy, lit from one side")
    tones: float = Field(0.0, ge=0, description="spread of the colours of rust, 1: e-fold")
    shading: float = Field(0.15, ge=0, lt=1, description="fall of light across the panel, share")
    noise: float = Field(2.5, ge=0, description="camera noise, grey levels")


@dataclass(frozen=True, slots=True)
class Arm:
    """A scribe and its creep.

    Parameters
    ----------
    scribe:
        Axis of the cut.
    left_mm, right_mm:
        Creep from the axis at every px along the scribe: exact, before it was cut into pixels.
    """

    scribe: Scribe
    left_mm: Plane
    right_mm: Plane


@dataclass(frozen=True, slots=True)
class RenderedPanel:
    """A photograph and what is in it.

    Parameters
    ----------
    image:
        (height, width, 3) uint8, RGB.
    mask:
        True where a pixel's centre is corroded.
    at_scribe:
        That part of it which has crept from the scribes.
    arms:
        The scribes, each with its own creep.
    """

    image: npt.NDArray[np.uint8]
    mask: npt.NDArray[np.bool_]
    at_scribe: npt.NDArray[np.bool_]
    arms: tuple[Arm, ...]

    @property
    def scribe(self) -> Scribe:
        """Axis of the (first) cut."""
        return self.arms[0].scribe

    @property
    def left_mm(self) -> Plane:
        """Creep to the left of the (first) scribe, mm."""
        return self.arms[0].left_mm

    @property
    def right_mm(self) -> Plane:
        """Creep to the right of the (first) scribe, mm."""
        return self.arms[0].right_mm


def draw_panel(
    rng: np.random.Generator,
    side: int = 640,
    *,
    crossed: bool = False,
    rust_coloured: bool = False,
    mm_per_px: float = 0.1,
) -> PanelConfig:
    """Draw a panel by chance: coating, cut, creep on both sides, light and what else there is.

    Parameters
    ----------
    side:
        Height of the photograph, px; it is an eighth narrower.
    crossed:
        An X-cut, at 25 to 65 degrees to the vertical; else one cut, up to 30 degrees off it.
    rust_coloured:
        The coating is red, orange, brown or yellow, as rust is, which has a relief and other tones
        on every panel, and half of the panels lie on a table; else the coating is of any other
        colour. Corrosion is the same.
    """
    height, width = side, side - side // 8
    reach = 0.36 * width
    turn = np.radians(rng.uniform(25, 65) if crossed else rng.uniform(-30, 30))
    x, y = width * rng.uniform(0.46, 0.54), height * rng.uniform(0.46, 0.54)
    dx, dy = reach * np.sin(turn), reach * np.cos(turn)
    one = ((x - dx) / width, (y - dy) / height, (x + dx) / width, (y + dy) / height)
    other = ((x + dx) / width, (y - dy) / height, (x - dx) / width, (y + dy) / height)
    # Blue above red: a coating of the colour of rust is no panel to be measured by its colour.
    drawn = rng.integers(60, 220, 3)
    red, green, blue = (int(value) for value in np.sort(drawn))
    widest = (3.0 if crossed else 6.0) * side * mm_per_px / 64
    config = PanelConfig(
        height=height,
        width=width,
        mm_per_px=mm_per_px,
        scribe=one,
        second_scribe=other if crossed else None,
        coating=(red, green, blue),
        creep_left_mm=rng.uniform(0.05 * widest, widest),
        creep_right_mm=rng.uniform(0.05 * widest, widest),
        roughness=rng.uniform(0.1, 0.6),
        shading=rng.uniform(0.0, 0.4),
        spots=int(rng.integers(6)),
        blisters=int(rng.integers(6)),
        stains=int(rng.integers(3)),
    )
    return config.model_copy(update=_rust_coloured(drawn)) if rust_coloured else config


def _rust_coloured(seed: npt.NDArray[np.int64]) -> dict[str, Any]:
    """Return what is other on a panel whose coating is of the colour of rust, by chance."""
    rng = np.random.default_rng(seed)
    hue, saturation, value = (rng.uniform(*ends) for ends in _RUST_HSV)
    return {
        "coating": tuple(round(255 * part) for part in hsv_to_rgb(hue / 360, saturation, value)),
        "margin": max(0.0, rng.uniform(-0.1, 0.1)),
        "table": tuple(rng.integers(20, 200, 3).tolist()),
        "relief": rng.uniform(0.1, 0.6),
        "tones": 0.35,
    }


def true_creep(panel: RenderedPanel) -> dict[str, float]:
    """Return the creep over all scribes of a rendered panel, named as it is when measured, mm."""
    left = np.concatenate([arm.left_mm for arm in panel.arms])
    right = np.concatenate([arm.right_mm for arm in panel.arms])
    both = np.concatenate([left, right])
    return {
        "creep_mean_mm": float(both.mean()),
        "creep_max_mm": float(both.max()),
        "creep_left_mean_mm": float(left.mean()),
        "creep_left_max_mm": float(left.max()),
        "creep_right_mean_mm": float(right.mean()),
        "creep_right_max_mm": float(right.max()),
    }


def write_panels(
    folder: Path,
    n: int,
    *,
    seed: int,
    side: int,
    mm_per_px: float,
    rust_coloured: float = 0.0,
) -> None:
    """Render panels into a folder: NAME.png, NAME_mask.png, and truth.csv; every third is an X-cut.

    Parameters
    ----------
    rust_coloured:
        Share of panels whose coating is of the colour of rust, evenly among the others, 0 to 1.

    Raises
    ------
    UserError
        If the folder holds something already, or cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise UserError("is not empty", where=folder, hint="choose another folder")
        rows = []
        for number in range(n):
            rng = np.random.default_rng([seed, number])
            crossed = number % 3 == 2
            rusty = math.floor((number + 1) * rust_coloured) > math.floor(number * rust_coloured)
            config = draw_panel(
                rng, side, crossed=crossed, rust_coloured=rusty, mm_per_px=mm_per_px
            )
            panel = render_panel(config, int(rng.integers(2**31)))
            name = f"panel-{number:03}"
            white = panel.mask.astype(np.uint8) * np.uint8(255)
            cv2.imwrite(str(folder / f"{name}.png"), panel.image[..., ::-1])
            cv2.imwrite(str(folder / f"{name}_mask.png"), white)
            scribes = " ".join(str(arm.scribe) for arm in panel.arms)
            creep = {key: f"{value:.4f}" for key, value in true_creep(panel).items()}
            rows.append({"image": f"{name}.png", "mm_per_px": mm_per_px, "scribe": scribes} | creep)
        with (folder / "truth.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    except OSError as error:
        raise UserError(f"cannot be written ({error.strerror})", where=folder) from error


def render_panel(config: PanelConfig, seed: int = 0) -> RenderedPanel:
    """Render a panel; the same seed gives the same picture."""
    rng = np.random.default_rng(seed)
    height, width = config.height, config.width
    y, x = np.indices((height, width), dtype=np.float64)
    arms = []
    at_scribe, cut = (np.zeros((height, width), dtype=bool) for _ in range(2))
    for ends in (config.scribe, config.second_scribe):
        if ends is not None:
            arm, crept, bare = _arm(config, ends, x, y, rng)
            arms.append(arm)
            at_scribe, cut = at_scribe | crept, cut | bare

    plate = _plate(config, x, y)
    colour = np.empty((height, width, 3), dtype=np.float32)
    colour[:] = config.coating
    colour += 4 * _cloud((height, width), 3.0, rng)[..., None]
    colour = _stained(colour, config.stains, rng)
    colour = _blistered(colour, config.blisters, rng)
    # A bare cut reflects; where it corrodes it is the darkest place.
    colour[cut] = (206, 208, 210)
    spots = _spots(config, (height, width), plate & ~at_scribe & ~cut, rng)
    mask = (at_scribe | spots) & plate
    colour = _rusted(colour, mask, config, rng)
    colour[cut & at_scribe] *= 0.72
    colour[~plate] = config.table

    turn = rng.uniform(0, 2 * np.pi)
    slope = np.cos(turn) * (x / width - 0.5) + np.sin(turn) * (y / height - 0.5)
    colour *= (1 + config.shading * slope)[..., None].astype(np.float32)
    colour = cv2.GaussianBlur(colour, (0, 0), 0.6)
    colour += config.noise * rng.standard_normal(colour.shape, np.float32)
    return RenderedPanel(
        np.clip(np.rint(colour), 0, 255).astype(np.uint8), mask, at_scribe & plate, tuple(arms)
    )


def _arm(
    config: PanelConfig,
    ends: tuple[float, float, float, float],
    x: Plane,
    y: Plane,
    rng: np.random.Generator,
) -> tuple[Arm, Mask, Mask]:
    """Return a scribe with its creep, where corrosion has crept, and where the bare cut is."""
    height, width = x.shape
    x0, y0, x1, y1 = ends
    scribe = Scribe(x0 * width, y0 * height, x1 * width, y1 * height)
    (ax, ay), (nx, ny) = scribe.along, scribe.to_the_right
    along = (x - scribe.x0) * ax + (y - scribe.y0) * ay
    across = (x - scribe.x0) * nx + (y - scribe.y0) * ny
    left, right = (
        _creep_law(mean, config.roughness, scribe.length_px, rng)
        for mean in (config.creep_left_mm, config.creep_right_mm)
    )
    on = (along >= 0) & (along <= scribe.length_px)
    reach = np.where(across < 0, left(along), right(along)) / config.mm_per_px
    crept = on & (np.abs(across) <= reach) & (reach > 0)
    cut = on & (np.abs(across) <= 0.5 * config.scribe_width_mm / config.mm_per_px)
    n = round(scribe.length_px)
    position = (np.arange(n) + 0.5) * scribe.length_px / n
    return Arm(scribe, left(position), right(position)), crept, cut


def _creep_law(mean_mm: float, roughness: float, length_px: float, rng: np.random.Generator) -> Law:
    """Return creep over the position along the scribe: smooth waves about a mean.

    Whole waves fit the scribe, so their mean is the mean.
    """
    order = np.arange(1, _WAVES + 1)
    phase = rng.uniform(0, 2 * np.pi, _WAVES)
    size = rng.uniform(0.3, 1.0, _WAVES)
    size *= roughness / size.sum()

    def law(along: Plane) -> Plane:
        turn = 2 * np.pi / length_px * along
        waves = sum(
            share * np.sin(n * turn + start)
            for n, start, share in zip(order, phase, size, strict=True)
        )
        creep: Plane = mean_mm * (1 + waves)
        return creep

    return law


def _plate(config: PanelConfig, x: Plane, y: Plane) -> Mask:
    """Return where the panel is, within a margin of table."""
    inside: Mask = (np.abs(x / config.width - 0.5) <= 0.5 - config.margin) & (
        np.abs(y / config.height - 0.5) <= 0.5 - config.margin
    )
    return inside


def _spots(
    config: PanelConfig, shape: tuple[int, int], free: Mask, rng: np.random.Generator
) -> Mask:
    """Return round spots of rust that keep clear of the scribe's own corrosion."""
    spots = np.zeros(shape, dtype=np.uint8)
    room = cv2.distanceTransform(free.astype(np.uint8), cv2.DIST_L2, 5)
    for _ in range(config.spots):
        radius = rng.uniform(0.3, 1.2) / config.mm_per_px
        rows, columns = np.nonzero(room > radius + 4)
        if rows.size:
            pick = int(rng.integers(rows.size))
            cv2.circle(spots, (int(columns[pick]), int(rows[pick])), round(radius), 1, -1)
    return spots > 0


def _rusted(colour: Colours, mask: Mask, config: PanelConfig, rng: np.random.Generator) -> Colours:
    """Return the colours with corrosion products, of three hues in clouds, where the mask is."""
    shape = mask.shape
    share = np.stack([np.exp(1.5 * _cloud(shape, scale, rng)) for scale in (6.0, 9.0, 4.0)])
    share /= share.sum(axis=0)
    tones = _RUSTS
    if config.tones > 0:
        tones = tones * np.exp(config.tones * rng.standard_normal((3, 1)))
        tones = tones * np.exp(0.3 * config.tones * rng.standard_normal((3, 3)))
    rust = np.tensordot(share, tones, axes=(0, 0)) * (1 + 0.10 * _cloud(shape, 1.2, rng))[..., None]
    result: Colours = np.where(mask[..., None], rust, colour).astype(np.float32)
    if config.relief > 0:
        # Corrosion products stand up: grains within, and a step at the front, lit from one side.
        height = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 1.5)
        height *= 1 + 0.5 * _cloud(shape, 1.0, rng) + 0.3 * _cloud(shape, 2.5, rng)
        turn = rng.uniform(0, 2 * np.pi)
        down, across = np.gradient(height)
        slope = np.cos(turn) * across + np.sin(turn) * down
        result *= np.clip(1 + 2 * config.relief * slope, 0.3, 1.9)[..., None]
    return result


def _stained(colour: Colours, n: int, rng: np.random.Generator) -> Colours:
    """Return the colours with water stains: darker and without hue, soft, with a rim."""
    height, width = colour.shape[:2]
    for _ in range(n):
        stain = np.zeros((height, width), dtype=np.float32)
        centre = int(rng.uniform(0, width)), int(rng.uniform(0, height))
        axes = int(rng.uniform(0.03, 0.09) * width), int(rng.uniform(0.06, 0.2) * height)
        cv2.ellipse(stain, centre, axes, float(rng.uniform(0, 180)), 0, 360, 1.0, -1)
        soft = cv2.GaussianBlur(stain, (0, 0), 4.0)
        rim = 4 * soft * (1 - soft)
        colour = colour * (1 - 0.10 * soft - 0.06 * rim)[..., None]
    return colour


def _blistered(colour: Colours, n: int, rng: np.random.Generator) -> Colours:
    """Return the colours with domes, lit from one side."""
    height, width = colour.shape[:2]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    for _ in range(n):
        radius = rng.uniform(4, 12)
        u, v = (x - rng.uniform(0, width)) / radius, (y - rng.uniform(0, height)) / radius
        inside = np.clip(1 - u * u - v * v, 0, None)
        colour = colour * (1 + 0.35 * (-u - v) * np.sqrt(inside))[..., None]
    return colour


def _cloud(shape: tuple[int, ...], sigma_px: float, rng: np.random.Generator) -> Colours:
    """Return smooth noise of standard deviation 1."""
    noise = cv2.GaussianBlur(rng.standard_normal(shape, np.float32), (0, 0), sigma_px)
    cloud: Colours = noise / max(float(noise.std()), 1e-9)
    return cloud
