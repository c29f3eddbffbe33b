"""The page about a batch of panels."""

from __future__ import annotations

import base64
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from pitflow.domains.panels.assessed import AssessConfig, Assessed
from pitflow.domains.panels.pictures import read_rgb
from pitflow.report.figures.creep import draw_creep
from pitflow.report.panel import Embedded, render
from pitflow.report.sheet import Grid, Picture, Section, Sheet, Terms, write_sheet
from pitflow.scribe import Scribe

_SHOWN_PX = 720

_METHODS = {
    "colour": "Corroded is what is of a hue between red and yellow and, in the same light, differs "
    "from the coating (the median colour) by more than noise. No training was needed, but "
    "rust-coloured coatings defeat it, and corrosion that does not stain is not seen: put masks "
    "right with `pitflow annotate` and give them with --masks, or train a model on them.",
    "mask": "Masks were given.",
}

_HEADINGS = (
    ("panel", ""),
    ("corroded", "mm²"),
    ("of it at scribe", "mm²"),
    ("mean creep", "mm"),
    ("largest", "mm"),
    ("left, mean", "mm"),
    ("right, mean", "mm"),
    ("rating", "0 to 10"),
    ("rest", "0 to 10"),
)


def write_page(panels: Sequence[Assessed], path: Path, config: AssessConfig) -> Path:
    """Write the page: every panel's numbers, its overlay and its creep along the scribe.

    Raises
    ------
    UserError
        If it cannot be written.
    """
    methods = sorted({panel.row["method"] for panel in panels})
    without = [panel for panel in panels if panel.row["scribe_source"] == "none"]
    sections = [Section("panels", "All panels", [_table(panels)])]
    pictures = [picture for panel in panels for picture in _about(panel, path.parent / "figures")]
    sections.append(Section("each", "Panel by panel", pictures))
    sections.append(Section("methods", "How each number was made", [_methods(config, methods)]))
    sheet = Sheet(
        title=f"{len(panels)} coated panel{'' if len(panels) == 1 else 's'}",
        subtitle="Corrosion, scribe creep and rating (ASTM D1654): report of pitflow",
        findings=_findings(panels),
        sections=sections,
        warnings=[
            *(
                f"No scribe was found on {panel.name}: give it with --scribe x0,y0,x1,y1."
                for panel in without
            ),
            *(doubt for panel in panels for doubt in panel.doubts),
            *_to_be_checked(panels),
        ],
    )
    return write_sheet(sheet, path)


def _to_be_checked(panels: Sequence[Assessed]) -> list[str]:
    """Return what to look at before creep and ratings are trusted."""
    found = [panel for panel in panels if panel.row["scribe_source"] == "auto"]
    if not found:
        return []
    which = "one photograph" if len(found) == 1 else f"{len(found)} photographs"
    said = (
        f"The scribe was looked for on {which}: any long straight line may pass for one. See that "
        "the blue line lies on the cut before you use creep and rating."
    )
    return [said]


def _findings(panels: Sequence[Assessed]) -> list[str]:
    rated = [panel for panel in panels if panel.numbers.rating is not None]
    area = sum(panel.numbers.corroded_area_mm2 for panel in panels)
    which = "one photograph" if len(panels) == 1 else f"{len(panels)} photographs"
    found = [f"{area:.1f} mm² are corroded on {which}."]
    if not rated:
        return [*found, "No scribe was found, so there is neither creep nor a rating of it."]
    counts = Counter(panel.numbers.rating for panel in rated)
    ratings = ", ".join(
        f"{rating} ({count} panel{'' if count == 1 else 's'})"
        for rating, count in sorted(counts.items(), key=lambda item: -(item[0] or 0))
    )
    worst = max(rated, key=lambda panel: panel.numbers.creep.mean_mm)
    found.append(f"Ratings at the scribe: {ratings}.")
    if worst.numbers.creep.max_mm > 0:
        found.append(
            f"{worst.name} has the largest mean creep: {worst.numbers.creep.mean_mm:.2f} mm, "
            f"{worst.numbers.creep.max_mm:.2f} mm at most."
        )
    else:
        found.append("At no scribe has corrosion crept.")
    return found


def _table(panels: Sequence[Assessed]) -> Grid:
    rows = []
    for panel in panels:
        numbers, creep = panel.numbers, panel.numbers.creep
        cells = (
            numbers.corroded_area_mm2,
            numbers.scribe_area_mm2,
            creep.mean_mm,
            creep.max_mm,
            creep.left_mean_mm,
            creep.right_mean_mm,
        )
        ratings = (numbers.rating, numbers.rating_unscribed)
        rows.append(
            [
                panel.name,
                *("–" if math.isnan(cell) else f"{cell:.2f}" for cell in cells),
                *("–" if rating is None else str(rating) for rating in ratings),
            ]
        )
    caption = (
        "Left and right are as on the photograph; of a scribe that lies flatter than 45°, left is "
        "above and right below. “Rest” rates the corroded share of the photograph away from the "
        "scribe. Every number is in panels.csv."
    )
    return Grid(_HEADINGS, rows, caption)


def _about(panel: Assessed, folder: Path) -> list[Picture]:
    numbers = panel.numbers
    source = {"given": "as given", "auto": "found in the image", "none": "not found"}
    by = {"colour": "found by its colour", "mask": "as given"}
    method = panel.row["method"]
    caption = (
        f"Corrosion ({by.get(method, f'found by the model “{method}”')}) at the scribe vermilion, "
        f"elsewhere yellow; scribe blue ({source[panel.row['scribe_source']]})"
    )
    if numbers.creep.max_mm > 0:
        caption += f"; white, the largest creep, {numbers.creep.max_mm:.2f} mm"
    if numbers.rating is not None:
        caption += f". Mean creep {numbers.creep.mean_mm:.2f} mm: rating {numbers.rating}"
    blocks = [Picture(_embedded(panel.overlay), panel.name, caption + ".")]
    if numbers.profiles:
        figure = draw_creep(
            [(p.position_mm, p.left_mm, p.right_mm) for p in numbers.profiles],
            numbers.creep.mean_mm,
            _sides(numbers.scribes),
        )
        picture = render(figure, folder / f"{panel.name}_creep", svg=False)
        blocks.append(Picture(picture, f"{panel.name}, creep", figure.caption))
    return blocks


def _methods(config: AssessConfig, methods: Sequence[str]) -> Terms:
    segmented = [
        _METHODS.get(
            method,
            f"The model “{method}” gives the probability of corrosion; its card says on what it "
            "was trained and how good it is. Look at the outlines: it errs more than the colour of "
            "an even coating does.",
        )
        for method in methods
    ]
    named = ("Corrosion" if len(methods) == 1 else f"Corrosion by {name}" for name in methods)
    return Terms(
        [
            ("Scale", f"{config.mm_per_px:g} mm per px, as given."),
            *zip(named, segmented, strict=True),
            (
                "Scribe",
                "As given."
                if config.scribes is not None
                else "The longest straight ridge of the image, and one that crosses it (X-cut). "
                "Look at the blue line: where corrosion has swallowed the cut it is the middle of "
                "the rust, so that the mean over both sides holds, but not each side.",
            ),
            (
                "Creep",
                (
                    "The farthest corrosion that is connected to the scribe (begins within half "
                    "the width of the cut, 0.5 mm at least), perpendicular to its axis, at every "
                    "pixel along it, less "
                    f"{config.scribe_width_mm / 2:g} mm for half the width of the cut. Below half "
                    "a pixel it counts as none."
                ),
            ),
            (
                "Rating",
                (
                    "ASTM D1654, procedure A, from the mean creep: 10 none; 9 to 0.5 mm; 8 to 1; "
                    "7 to 2; 6 to 3; 5 to 5; 4 to 7; 3 to 10; 2 to 13; 1 to 16; 0 beyond. “Rest” "
                    "is procedure B, from the corroded share of the photograph away from the "
                    "scribe."
                ),
            ),
        ]
    )


def _sides(scribes: Sequence[Scribe]) -> tuple[str, str]:
    flat = all(abs(scribe.along[0]) > abs(scribe.along[1]) for scribe in scribes)
    return ("above", "below") if flat else ("left", "right")


def _embedded(path: Path) -> Embedded:
    """Return an image for the page, no larger than it is shown."""
    image = read_rgb(path)
    height, width = image.shape[:2]
    factor = min(1.0, _SHOWN_PX / max(height, width))
    size = max(1, round(width * factor)), max(1, round(height * factor))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    _, jpeg = cv2.imencode(".jpg", small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])
    text = base64.b64encode(np.asarray(jpeg).tobytes()).decode("ascii")
    return Embedded(f"data:image/jpeg;base64,{text}", *size)
