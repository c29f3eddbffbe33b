"""A batch of photographs to masks, numbers, overlays and one page."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from pitflow.compute import Progress, Silent
from pitflow.domains.panels.assessed import AssessConfig, Assessed
from pitflow.domains.panels.measure import PanelNumbers, measure_panel
from pitflow.domains.panels.overlay import draw_overlay, png_bytes
from pitflow.domains.panels.pictures import Colours, Mask, read_mask, read_rgb
from pitflow.domains.panels.scores import dice_score
from pitflow.errors import UserError
from pitflow.image_file import listed_images
from pitflow.measure.creep import farthest_px
from pitflow.output_folder import check_free
from pitflow.schema import COATED_PANELS, CREEP, Table
from pitflow.scribe import Scribe
from pitflow.segment.classical.find_scribe import find_scribes
from pitflow.segment.classical.rust import is_rust_coloured, one_hue_share, rust_mask

COLOUR, GIVEN_MASK = "colour", "mask"
PACKAGED_MODEL = "panels"

_EVEN = 0.93
"""Share of a photograph, its rust left out, that is of the coating's hue: rendered panels in uneven
light have 99 % and more, and of 240 photographs of rusted structures only one has so much."""

_AGREED = 0.8
"""Dice of colour and model from which on both see the same corrosion, and the colour's outline is
the finer: a pixel of the model is many of the photograph."""

_NO_PANEL_MM = 2.0, 2000.0
"""No panel that is photographed is smaller or larger."""

_WIDEST_CUT_MM = 5.0
"""Cuts are 0.2 to 2 mm wide (ISO 17872, ISO 12944-9)."""

_MUCH_ELSEWHERE = 0.5
"""More corrosion than this share of that at the scribe may well be at a cut that was missed..."""

_LEAST_PERCENT = 1.0
"""...if it covers so much of the photograph."""

_BEYOND = 1.5
"""Corrosion reaches past the ends of a cut about as far as past its sides, not so much farther."""

_ENDS_MM = 2.0
"""The ends of a scribe that was found may be off by as much."""

_LARGE_CREEP = 0.3
"""Creep of more than this share of the scribe's length is more likely along another arm of it."""


@dataclass(frozen=True)
class Method:
    """What says where a photograph is corroded, and what it is called."""

    name: str
    mask: Callable[[Path, Colours], Mask]

    def segment(self, path: Path, image: Colours) -> tuple[Mask, str]:
        """Return where the photograph is corroded, and the name of what said so."""
        return self.mask(path, image), self.name


@dataclass(frozen=True)
class ColourIfEven(Method):
    """The colour where an even coating makes it exact or a model agrees, else that ``mask``."""

    def segment(self, path: Path, image: Colours) -> tuple[Mask, str]:
        """Return where the photograph is corroded, and the name of what said so."""
        rust = rust_mask(image)
        if not is_rust_coloured(image) and one_hue_share(image, rust) >= _EVEN:
            return rust, COLOUR
        mask = self.mask(path, image)
        if mask.any() and dice_score(rust, mask) >= _AGREED:
            return rust, COLOUR
        return mask, self.name


def choose_method(
    model: str | None,
    masks: Path | None = None,
    device: str = "auto",
    note: Callable[[str], None] = lambda _: None,
) -> Method:
    """Return what segments: masks that are given, a model, or the colour.

    Parameters
    ----------
    model:
        Name or folder of a model, or "colour"; None: the colour where the coating is of one hue
        that is not of rust, else the model that comes with the program, and the colour still where
        both find the same.
    masks:
        Folder that holds NAME_mask.png, such as masks that were put right by hand.
    note:
        Told what a model had to adapt, such as that it left the GPU.

    Raises
    ------
    UserError
        If there is no such model or folder.
    """
    if masks is not None:
        folder = masks
        if not folder.is_dir():
            raise UserError("no such folder", where=folder)
        return Method(GIVEN_MASK, lambda path, _: read_mask(folder / f"{path.stem}_mask.png"))

    @cache
    def loaded(name: str) -> Method:
        # Torch is loaded only where a network is used.
        from pitflow.domains.panels.model import load_panel_model
        from pitflow.segment.devices import choose_execution

        network = load_panel_model(name, execution=choose_execution(device), note=note)
        return Method(network.card.name, lambda _, image: network.mask(image))

    if model == COLOUR:
        return Method(COLOUR, lambda _, image: rust_mask(image))
    if model is None:
        return ColourIfEven(
            PACKAGED_MODEL, lambda path, image: loaded(PACKAGED_MODEL).mask(path, image)
        )
    return loaded(model)


def assess_panels(
    images: Sequence[Path],
    out: Path,
    config: AssessConfig,
    method: Method,
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
    refused: Callable[[UserError], None] | None = None,
    note: Callable[[str], None] = lambda _: None,
) -> Path:
    """Measure photographs; returns the page about them.

    Parameters
    ----------
    images:
        Files, or folders of them.
    out:
        Gets NAME_mask.png and NAME_overlay.png of every photograph, panels.csv, creep.csv and
        report.html.
    refused:
        Told of each photograph that cannot be measured, when the others are. None: the first such
        error is raised.
    note:
        Told of each photograph whose numbers are in doubt, and why.

    Raises
    ------
    UserError
        If nothing can be measured, or ``out`` is used and not to be overwritten, or cannot be
        written.
    """
    paths = listed_images(images)
    _check(paths, out, overwrite=overwrite)
    progress = progress or Silent()
    progress.start("panels", len(paths))
    done: list[Assessed] = []
    failed: list[UserError] = []
    for path in paths:
        try:
            done.append(_assess(path, out, config, method))
        except UserError as error:
            if refused is None:
                raise
            failed.append(error)
        else:
            for doubt in done[-1].doubts:
                note(doubt)
        progress.advance()
    for failure in failed if done else failed[:-1]:
        if refused is not None:
            refused(failure)
    if not done:
        raise failed[-1]
    _write_csv(out / "panels.csv", COATED_PANELS, [panel.row for panel in done])
    _write_csv(out / "creep.csv", CREEP, [row for panel in done for row in _creep_rows(panel)])

    # Matplotlib is loaded only where it draws.
    from pitflow.domains.panels.page import write_page

    page = write_page(done, out / "report.html", config)
    progress.finish(f"{len(done)} of {len(paths)}")
    return page


def _assess(path: Path, out: Path, config: AssessConfig, method: Method) -> Assessed:
    image = read_rgb(path)
    mask, by = method.segment(path, image)
    if mask.shape != image.shape[:2]:
        raise UserError(
            f"the mask given is of {mask.shape[1]} x {mask.shape[0]} px, the image of "
            f"{image.shape[1]} x {image.shape[0]} px",
            where=path,
        )
    scribes, source = config.scribes, "given"
    if scribes is None:
        scribes = find_scribes(image, mask)
        source = "auto" if scribes else "none"
    _check_inside(scribes, image, path)
    numbers = measure_panel(mask, scribes, config.mm_per_px, config.scribe_width_mm)
    try:
        (out / f"{path.stem}_mask.png").write_bytes(
            png_bytes(mask.astype(np.uint8) * np.uint8(255))
        )
        overlay = out / f"{path.stem}_overlay.png"
        overlay.write_bytes(png_bytes(draw_overlay(image, mask, numbers)))
    except OSError as error:
        raise UserError(f"cannot be written ({error.strerror})", where=out) from error
    row = _row(path, image, numbers, source, by)
    beyond_mm = farthest_px(numbers.at_scribe, scribes) * config.mm_per_px
    doubts = _doubts(
        path.stem, image, row, beyond_mm, config.scribe_width_mm, alone=method.name == COLOUR
    )
    return Assessed(path.stem, numbers, row, overlay, doubts)


def _doubts(
    name: str,
    image: Colours,
    row: dict[str, Any],
    beyond_mm: float,
    scribe_width_mm: float,
    *,
    alone: bool,
) -> tuple[str, ...]:
    """Return why not to trust the numbers of a photograph.

    Parameters
    ----------
    beyond_mm:
        Distance of the farthest corrosion at a scribe from it, past its ends too.
    scribe_width_mm:
        Width of the cut, as given.
    alone:
        The colour was to decide, whatever the coating; else it does only where it can.
    """
    doubts = []
    if row["method"] == COLOUR and not np.ptp(image, axis=2).any():
        doubts.append(
            f"{name} is grey, and corrosion is told by its colour here: nothing is found. Take the "
            "photograph in colour, or give masks (--masks) or a model of your own (--model)."
        )
    elif row["method"] == COLOUR and row["rating"] is not None and row["scribe_area_mm2"] == 0:
        doubts.append(
            f"On {name} no rust is seen at the scribe, and its rating says no more: white or black "
            "rust, blisters and delamination are not told by the colour. If there are any, give "
            "masks (--masks)."
        )
    longer_mm = max(image.shape[:2]) * row["mm_per_px"]
    if not _NO_PANEL_MM[0] <= longer_mm <= _NO_PANEL_MM[1]:
        doubts.append(
            f"At {row['mm_per_px']:g} mm per px {name} is {longer_mm:g} mm long: see whether "
            "--scale is the size of a pixel."
        )
    if row["scribe_source"] != "none" and scribe_width_mm > _WIDEST_CUT_MM:
        doubts.append(
            f"On {name} {scribe_width_mm / 2:g} mm are taken off the creep, half of "
            "--scribe-width: cuts are 0.2 to 2 mm wide. See whether it is given in mm."
        )
    if alone and is_rust_coloured(image):
        doubts.append(
            f"{name} is mostly of the colour of rust: if that is its coating, the colour misses "
            "parts of the corrosion, and if it is corrosion, nearly all. See whether the mask is "
            "right; else leave out --model, or give masks (--masks) or a model of your own."
        )
    other = row["other_area_mm2"]
    if (
        row["scribe_source"] != "none"
        and other > _MUCH_ELSEWHERE * row["scribe_area_mm2"]
        and other > _LEAST_PERCENT / 100 * image[..., 0].size * row["mm_per_px"] ** 2
    ):
        doubts.append(
            f"On {name} {other:.1f} mm² of the {row['corroded_area_mm2']:.1f} mm² corroded are "
            "counted as away from the scribe: see whether the blue line lies on the cut and every "
            "cut has one (--scribe), and whether --scribe-width is as wide as the cut."
        )
    if row["scribe_source"] == "auto" and beyond_mm > _BEYOND * row["creep_max_mm"] + _ENDS_MM:
        doubts.append(
            f"On {name} corrosion goes on {beyond_mm:.3g} mm beyond the scribe that was found: see "
            "whether the cut is longer, and give it with --scribe."
        )
    if row["scribe_source"] == "auto" and (
        row["creep_max_mm"] > _LARGE_CREEP * row["scribe_length_mm"]
    ):
        doubts.append(
            f"On {name} corrosion reaches further from the scribe than {_LARGE_CREEP:.0%} of its "
            "length: see whether the cut has an arm that was not found, and give all with --scribe."
        )
    return tuple(doubts)


def _row(
    path: Path, image: Colours, numbers: PanelNumbers, source: str, method: str
) -> dict[str, Any]:
    creep = numbers.creep
    return {
        "image": path.name,
        "width_px": image.shape[1],
        "height_px": image.shape[0],
        "mm_per_px": numbers.mm_per_px,
        "method": method,
        "scribe": " ".join(str(scribe) for scribe in numbers.scribes),
        "scribe_source": source,
        "scribe_length_mm": numbers.scribe_length_mm,
        "corroded_area_mm2": numbers.corroded_area_mm2,
        "corroded_percent": numbers.corroded_percent,
        "scribe_area_mm2": numbers.scribe_area_mm2,
        "other_area_mm2": numbers.corroded_area_mm2 - numbers.scribe_area_mm2,
        "creep_mean_mm": creep.mean_mm,
        "creep_max_mm": creep.max_mm,
        "creep_left_mean_mm": creep.left_mean_mm,
        "creep_left_max_mm": creep.left_max_mm,
        "creep_right_mean_mm": creep.right_mean_mm,
        "creep_right_max_mm": creep.right_max_mm,
        "rating": numbers.rating,
        "rating_unscribed": numbers.rating_unscribed,
    }


def _creep_rows(panel: Assessed) -> list[dict[str, Any]]:
    return [
        {
            "image": panel.row["image"],
            "scribe": number,
            "position_mm": position,
            "left_mm": left,
            "right_mm": right,
        }
        for number, profile in enumerate(panel.numbers.profiles)
        for position, left, right in zip(
            profile.position_mm, profile.left_mm, profile.right_mm, strict=True
        )
    ]


def _write_csv(path: Path, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(table.names)
            writer.writerows([_cell(row[name]) for name in table.names] for row in rows)
        partial.replace(path)
    except OSError as error:
        raise UserError(f"cannot be written ({error.strerror})", where=path) from error


def _cell(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return f"{value:.4f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def _check(paths: Sequence[Path], out: Path, *, overwrite: bool) -> None:
    check_free(out, "panels.csv", overwrite=overwrite)
    if any(path.parent.resolve() == out.resolve() for path in paths):
        raise UserError(
            "the results would lie among the photographs", where=out, hint="choose another -o"
        )
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot be made ({error.strerror})", where=out) from error


def _check_inside(scribes: Sequence[Scribe], image: Colours, path: Path) -> None:
    height, width = image.shape[:2]
    for scribe in scribes:
        ends = (scribe.x0, scribe.y0), (scribe.x1, scribe.y1)
        if not all(-1 < x < width + 1 and -1 < y < height + 1 for x, y in ends):
            raise UserError(
                f"the scribe {scribe} leaves this image of {width} x {height} px", where=path
            )
