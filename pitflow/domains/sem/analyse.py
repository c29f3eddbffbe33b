"""Micrographs in; instances, a table of pits and a page out."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd

from pitflow.compute import Progress, Silent
from pitflow.domains.sem.annotations import coloured_pixels, find_annotations
from pitflow.domains.sem.data_bar import find_data_bar
from pitflow.domains.sem.doubt import doubts, looks_like_grains, unsure_images
from pitflow.domains.sem.micrographs import (
    LABEL_SUFFIX,
    list_micrographs,
    read_pixels,
    read_with_scale,
    to_grey,
)
from pitflow.errors import UserError
from pitflow.frame import Image
from pitflow.measure.micrograph import compute_micrograph_pits, summarise_micrograph
from pitflow.output_folder import check_free
from pitflow.provenance import printable, software_versions
from pitflow.schema import MICROGRAPH_PITS, empty_table

if TYPE_CHECKING:
    from pitflow.segment.instance import Instance

Labels = npt.NDArray[np.uint16]
Mask = npt.NDArray[np.bool_]

INCLUDED_MODEL = "micrographs"
"""The model that comes with the program."""

PITS, IMAGES, PAGE, RECORD = "pits.csv", "micrographs.csv", "sem.html", "sem.json"
OVERLAY_SUFFIX = "_overlay"

_STRAY = 0.05
"""Pieces of a label that are smaller than this share of its largest one are no pits."""

_DRAWN = 0.5
"""What lies on something drawn for more than this share is no pit."""

_SHOWN = 6
_SHOWN_PX = 900
_MOST_ROWS = 500


@dataclass(frozen=True, slots=True)
class Found:
    """The pits of a micrograph.

    Parameters
    ----------
    labels:
        (height, width) of the whole image; 0 in its data bar.
    scores:
        Confidence of each number; none where the labels were given.
    left_out:
        (height, width): where nothing counts as a pit; None: nowhere.
    """

    labels: Labels
    scores: dict[int, float] = field(default_factory=dict)
    left_out: Mask | None = None


Finder = Callable[[Path, Image, Mask | None], Found]
"""Finds the pits in a grey image whose data bar is cut off; the path names the file, the mask are
its coloured pixels."""


@dataclass(frozen=True, slots=True)
class Analysis:
    """What came of a batch.

    Parameters
    ----------
    pits:
        The table ``MICROGRAPH_PITS`` of all images.
    micrographs:
        The table ``MICROGRAPHS``, those without a pit too.
    page:
        The report.
    failed:
        What went wrong, an image each.
    scale_read:
        The size of a pixel, where it was read from the files; else empty.
    doubts:
        Remarks on images in which what a model found may be no pits.
    """

    pits: pd.DataFrame
    micrographs: pd.DataFrame
    page: Path
    failed: tuple[UserError, ...]
    scale_read: str
    doubts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _One:
    """What came of one micrograph: its pits, its own row, and a small picture."""

    pits: pd.DataFrame
    row: pd.DataFrame
    overlay: npt.NDArray[np.uint8]
    has_bar: bool
    has_drawn: bool
    is_tiled: bool
    um_per_px: float | None


def analyse_micrographs(
    images: Sequence[Path],
    out: Path,
    find: Finder,
    *,
    about: dict[str, str],
    um_per_px: float | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Analysis:
    """Find and measure the pits of every micrograph and write all results.

    An image that cannot be read does not keep the others from being analysed.

    Parameters
    ----------
    images:
        Image files, or folders of them; any size, grey or colour, any depth.
    out:
        Gets ``<name>_labels.png`` (uint16, 0 surface) and ``<name>_overlay.png`` of every image,
        ``pits.csv`` with a row per pit, ``micrographs.csv`` with a row per image, ``sem.html`` and
        its ``figures/``, and ``sem.json``.
    find:
        From ``model_finder`` or ``label_finder``.
    about:
        Where the labels come from, for the page.
    um_per_px:
        Size of a pixel; None: what each file tells (``find_um_per_px``).

    Raises
    ------
    UserError
        If no image is given, two have the same name, ``out`` holds results of another call, or no
        image could be analysed.
    """
    from pitflow.report.words import sentence

    paths = list_micrographs(images)
    _check(paths, out, overwrite)
    progress = progress or Silent()
    progress.start("micrographs", len(paths))
    tables: list[pd.DataFrame] = []
    rows: list[pd.DataFrame] = []
    shown: dict[str, npt.NDArray[np.uint8]] = {}
    scales: dict[str, float | None] = {}
    tiled: list[str] = []
    bars = drawn = 0
    failed: list[UserError] = []
    for path in paths:
        try:
            one = _analyse_one(path, out, find, um_per_px)
        except UserError as error:
            failed.append(error)
        else:
            tables.append(one.pits)
            rows.append(one.row)
            bars += one.has_bar
            drawn += one.has_drawn
            tiled += [printable(path.stem)] if one.is_tiled else []
            scales[printable(path.name)] = one.um_per_px
            if len(shown) < _SHOWN:
                shown[printable(path.stem)] = one.overlay
        progress.advance()
    if not rows:
        raise failed[0]
    pits = pd.concat([table for table in tables if len(table)] or [empty_table(MICROGRAPH_PITS)])
    pits, micrographs = pits.reset_index(drop=True), pd.concat(rows, ignore_index=True)
    # The table that tells a finished batch is last.
    for name, table in ((IMAGES, micrographs), (PITS, pits)):
        partial = out / (name + ".partial")
        table.to_csv(partial, index=False, float_format="%.6g")
        partial.replace(out / name)
    unsure = unsure_images(pits)
    record = {
        "images": [printable(path.name) for path in paths],
        "data_bars": bars,
        "drawn_upon": drawn,
        "unsure": unsure,
        "like_grains": tiled,
        "failed": [str(error) for error in failed],
        "um_per_px": um_per_px,
        "um_per_px_read": {} if um_per_px else {name: one for name, one in scales.items() if one},
        "versions": software_versions(),
        **about,
    }
    (out / RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    scale = _scale_words(record, len(micrographs))
    remarks = doubts(unsure, tiled)
    warnings = [*map(sentence, remarks), *map(str, failed)]
    page = _write_page(
        out / PAGE, pits, micrographs, shown, record, about | {"scale": scale}, warnings
    )
    progress.finish(str(page))
    read = scale if record["um_per_px_read"] else ""
    return Analysis(pits, micrographs, page, tuple(failed), read, remarks)


def model_finder(
    name: str, *, device: str = "auto", min_score: float | None = None
) -> tuple[Finder, dict[str, str]]:
    """Return a finder that asks a model, by name or path, and what the model says of itself.

    Raises
    ------
    UserError
        If there is no such model or device.
    """
    from pitflow.domains.sem.model import describe_card, load_instance_model
    from pitflow.segment.devices import choose_execution
    from pitflow.segment.instance import paint_labels

    model = load_instance_model(name, execution=choose_execution(device))

    def find(path: Path, image: Image, coloured: Mask | None) -> Found:
        drawn = find_annotations(image, coloured)
        found = model.find(image, min_score)
        shown = [one for one in found if _drawn_share(one, drawn) <= _DRAWN]
        try:
            labels, kept = paint_labels(shown, image.shape)
        except ValueError as error:
            raise UserError(str(error), where=path, hint="raise --min-score") from error
        scores = {number: one.score for number, one in enumerate(kept, start=1)}
        return Found(labels, scores, drawn)

    return find, {"model": name} | describe_card(model.card)


def _drawn_share(one: Instance, drawn: Mask) -> float:
    return float(drawn[one.top : one.bottom, one.left : one.right][one.mask].mean())


def label_finder(folder: Path) -> Finder:
    """Return a finder that reads label images made elsewhere.

    That of ``x.tif`` is ``x_labels.png``, ``x_labels.tif``, ``x.png`` or ``x.tif`` in the folder:
    one integer per pixel, 0 surface; of the whole image, or of the part above the data bar.

    Raises
    ------
    UserError
        If the folder is not there.
    """
    if not folder.is_dir():
        raise UserError("no such folder", where=folder)

    def find(path: Path, image: Image, _: Mask | None) -> Found:
        names = [
            f"{path.stem}{end}{suffix}"
            for end in (LABEL_SUFFIX, "")
            for suffix in (".png", ".tif", ".tiff")
        ]
        file = next(
            (
                place
                for name in names
                if (place := folder / name).is_file() and place.resolve() != path.resolve()
            ),
            None,
        )
        if file is None:
            raise UserError(f"has no labels in {folder}", where=path, hint=f"name them {names[0]}")
        pixels = read_pixels(file)
        if pixels.ndim != 2 or not np.issubdtype(pixels.dtype, np.integer):
            raise UserError("is not a label image: one integer per pixel", where=file)
        if pixels.shape[1] != image.shape[1] or pixels.shape[0] < image.shape[0]:
            raise UserError(
                f"{pixels.shape[1]} x {pixels.shape[0]} px do not fit the image of "
                f"{image.shape[1]} x {image.shape[0]} px",
                where=file,
            )
        labels = pixels[: image.shape[0]].astype(np.int64)
        if labels.min() < 0 or labels.max() > np.iinfo(np.uint16).max:
            raise UserError("labels must be from 0 to 65535", where=file)
        if (pieces := _pieces_of_one_label(labels)) > 1:
            raise UserError(
                f"is a mask, no label image: its only label marks {pieces} separate places",
                where=file,
                hint="give each pit a number of its own (Fiji: Analyze Particles, Count Masks)",
            )
        return Found(labels.astype(np.uint16))

    return find


def _pieces_of_one_label(labels: npt.NDArray[np.int64]) -> int:
    """Return in how many pieces the only label lies, stray pixels aside; 0 if there are several."""
    inside = labels > 0
    if not inside.any() or np.ptp(labels[inside]) > 0:
        return 0
    _, _, statistics, _ = cv2.connectedComponentsWithStats(inside.astype(np.uint8), connectivity=8)
    areas = statistics[1:, cv2.CC_STAT_AREA]
    return int(np.count_nonzero(areas > _STRAY * areas.max()))


def _analyse_one(path: Path, out: Path, find: Finder, um_per_px: float | None) -> _One:
    from pitflow.report.figures.micrographs import paint_outlines
    from pitflow.report.window import reduce

    pixels, um_read = read_with_scale(path)
    whole, coloured = to_grey(pixels, path), coloured_pixels(pixels)
    end = find_data_bar(whole)
    image = whole[:end]
    found = find(path, image, None if coloured is None else coloured[:end])
    name = printable(path.stem)
    um_per_px = um_per_px or um_read
    table = compute_micrograph_pits(
        image, found.labels, name=name, um_per_px=um_per_px, scores=found.scores
    )
    labels = np.zeros(whole.shape, dtype=np.uint16)
    labels[:end] = found.labels
    flagged = frozenset(int(pit) for pit in table.loc[table["is_flagged"], "pit"])
    left_out = np.zeros(whole.shape, dtype=bool)
    if found.left_out is not None:
        left_out[:end] = found.left_out
    overlay = paint_outlines(whole, labels, flagged, left_out)
    _write_png(out / f"{path.stem}{LABEL_SUFFIX}.png", labels)
    _write_png(out / f"{path.stem}{OVERLAY_SUFFIX}.png", overlay[..., ::-1])
    searched = image.size - int(np.count_nonzero(left_out))
    row = summarise_micrograph(
        table, image.shape, name=name, um_per_px=um_per_px, searched_px=searched
    )
    small = reduce(overlay, _SHOWN_PX)
    is_tiled = bool(found.scores) and looks_like_grains(found.labels, table)
    has_bar, has_drawn = end < len(whole), bool(left_out.any())
    return _One(table, row, small, has_bar, has_drawn, is_tiled, um_per_px)


def _write_png(path: Path, pixels: npt.NDArray[Any]) -> None:
    _, encoded = cv2.imencode(".png", np.ascontiguousarray(pixels))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded.tobytes())
    except OSError as error:
        raise UserError(f"cannot be written ({error.strerror})", where=path) from error


def _check(paths: Sequence[Path], out: Path, overwrite: bool) -> None:
    if any(path.parent.resolve() == out.resolve() for path in paths):
        raise UserError("the results would lie among the images", where=out)
    check_free(out, PITS, overwrite=overwrite)


def _write_page(
    page: Path,
    pits: pd.DataFrame,
    micrographs: pd.DataFrame,
    shown: dict[str, npt.NDArray[np.uint8]],
    record: dict[str, Any],
    about: dict[str, str],
    warnings: Sequence[str],
) -> Path:
    from pitflow.domains.sem.page import closing, picture
    from pitflow.report.figures.micrographs import draw_distributions, draw_overlays
    from pitflow.report.sheet import Section, Sheet, write_sheet
    from pitflow.report.words import count

    n_images = len(micrographs)
    which = "The" if len(shown) == n_images else f"The first {len(shown)} of {n_images}"
    title = f"{which} micrographs and their pits"
    overlays = picture(draw_overlays(shown), page, "overlays", title)
    sections = [Section("images", "Micrographs", [overlays, _per_image(micrographs)])]
    if len(pits):
        drawn = picture(draw_distributions(pits), page, "distributions", "All pits")
        sections.append(Section("distributions", "Distributions", [drawn]))
        sections.append(Section("pits", "Pits", [_table(pits)]))
    origin = [
        *about.items(),
        ("software", ", ".join(f"{n} {v}" for n, v in record["versions"].items())),
    ]
    sheet = Sheet(
        title="Pits in micrographs",
        subtitle=f"{count(len(pits), 'pit')} in {count(n_images, 'micrograph')}",
        findings=_findings(pits, n_images, record),
        sections=[*sections, *closing(_METHODS, _LIMITS, origin)],
        warnings=warnings,
    )
    return write_sheet(sheet, page)


def _scale_words(record: dict[str, Any], n_images: int) -> str:
    """Return the size of a pixel, and whether it was given or read from the files."""
    if record["um_per_px"]:
        return f"{record['um_per_px']:g} µm per px"
    told = list(record["um_per_px_read"].values())
    if not told:
        return "not given"
    low, high = f"{min(told):.4g}", f"{max(told):.4g}"
    sizes = low if low == high else f"{low} to {high}"
    files = "the files" if len(told) == n_images else f"{len(told)} of {n_images} files"
    return f"{sizes} µm per px, read from {files}"


def _per_image(micrographs: pd.DataFrame) -> Any:
    from pitflow.report.sheet import Grid
    from pitflow.report.words import significant

    end = "um" if micrographs["pits_per_mm2"].notna().all() else "px"
    headings = [
        ("image", ""),
        ("pits", ""),
        ("at the border", ""),
        ("covered", "%"),
        ("density", "1/mm²"),
        ("median diameter", "µm" if end == "um" else "px"),
    ]
    rows = [
        [
            str(row["image"]),
            str(row["n_pits"]),
            str(row["n_at_border"]),
            significant(row["covered_percent"], 3),
            significant(row["pits_per_mm2"], 3),
            significant(row[f"median_diameter_{end}"], 3),
        ]
        for row in micrographs.head(_MOST_ROWS).to_dict("records")
    ]
    note = "Of the picture, without data bars and text. Pits at the border count like the others."
    if len(micrographs) > _MOST_ROWS:
        note = f"The first {_MOST_ROWS} of {len(micrographs)}; all are in {IMAGES}. {note}"
    return Grid(headings, rows, note)


def _table(pits: pd.DataFrame) -> Any:
    from pitflow.report.sheet import Grid
    from pitflow.report.words import significant

    in_um = bool(pits["diameter_um"].notna().all())
    unit = "µm" if in_um else "px"
    end = "um" if in_um else "px"
    headings = [
        ("image", ""),
        ("pit", ""),
        ("area", f"{unit}²"),
        ("diameter", unit),
        ("circularity", ""),
        ("aspect", ""),
        ("solidity", ""),
        ("orientation", "°"),
        ("contrast", ""),
        ("nearest", unit),
        ("morphology", ""),
        ("score", ""),
    ]
    columns = (
        f"area_{end}2" if in_um else "area_px",
        f"diameter_{end}",
        f"nearest_{end}",
    )
    first = pits.head(_MOST_ROWS)
    rows = [
        [
            str(row["image"]),
            f"{row['pit']}{' *' if row['touches_border'] else ''}",
            significant(row[columns[0]], 3),
            significant(row[columns[1]], 3),
            *(_fixed(row[name], 2) for name in ("circularity", "aspect", "solidity")),
            _fixed(row["orientation_deg"], 0),
            _fixed(row["contrast"], 2),
            significant(row[columns[2]], 3),
            str(row["morphology"]) or "–",
            _fixed(row["score"], 2),
        ]
        for row in first.to_dict("records")
    ]
    note = "* touches the border of the image. All columns of all pits are in pits.csv."
    if len(pits) > _MOST_ROWS:
        note = f"The first {_MOST_ROWS} of {len(pits)} pits. {note}"
    return Grid(headings, rows, note)


def _fixed(value: float, decimals: int) -> str:
    return f"{value:.{decimals}f}".replace("-", "−") if math.isfinite(value) else "–"


def _findings(pits: pd.DataFrame, n_images: int, record: dict[str, Any]) -> list[str]:
    from pitflow.report.words import count, significant

    sentences = [f"{count(len(pits), 'pit')} in {count(n_images, 'micrograph')}."]
    if len(pits):
        scaled = bool(pits["diameter_um"].notna().all())
        sizes = pits["diameter_um" if scaled else "diameter_px"]
        low, middle, high = (significant(float(sizes.quantile(q))) for q in (0.25, 0.5, 0.75))
        unit = "µm" if scaled else "px"
        sentences.append(
            f"Half of them measure {low} to {high} {unit} in equivalent diameter, median {middle}."
        )
        judged = pits[pits["morphology"] != ""]
        if len(judged):
            crossed = int((judged["morphology"] == "crosshatch").sum())
            fissured = int((judged["morphology"] == "fissured").sum())
            sentences.append(
                f"Of {len(judged)} large enough to tell, {crossed} "
                f"{'shows' if crossed == 1 else 'show'} a crosshatch and {fissured} fissures."
            )
        brighter = int((pits["contrast"] < 0).sum())
        if 0 < brighter < len(pits):
            sentences.append(
                f"{brighter} of them {'is' if brighter == 1 else 'are'} brighter than what is "
                "around (contrast below 0), the others darker: precipitates, scratches and edges "
                "are no pits."
            )
        cut = int(pits["touches_border"].sum())
        if cut:
            touch = "touches the border of its" if cut == 1 else "touch the border of their"
            sentences.append(f"{count(cut, 'pit')} {touch} image.")
    if record["data_bars"]:
        sentences.append(f"A data bar was cut off {count(record['data_bars'], 'micrograph')}.")
    if record["drawn_upon"]:
        sentences.append(
            f"What is drawn into {count(record['drawn_upon'], 'micrograph')}, such as a scale bar "
            "or text, is left out; it is faint in the pictures."
        )
    if 0 < (told := len(record["um_per_px_read"])) < n_images:
        sentences.append(
            f"Lengths are in px, since only {told} of {n_images} files tell the size of a pixel; "
            "the tables have µm where they do."
        )
    return sentences


_METHODS = (
    ("area, diameter", "Number of pixels; diameter of the circle of the same area."),
    (
        "circularity, solidity",
        (
            "4 π area / perimeter², and area over that of the convex hull, both of a smooth "
            "outline at half height of the mask blurred by one pixel, holes filled."
        ),
    ),
    ("aspect, orientation", "Of the ellipse with the same second moments; clockwise from +x."),
    (
        "contrast",
        (
            "How much darker the median grey inside is than that of a ring around, a quarter of "
            "the diameter wide, without other pits, over the brighter of both. Negative is "
            "brighter."
        ),
    ),
    ("nearest", "Distance between centres of a pit and the nearest other one of its image."),
    (
        "morphology",
        (
            "Dark lines inside, from the Hessian at 1.5 and 3 px: five times the noise, deeper "
            "than a quarter of the step from surface to pit, straight over a third of the "
            "diameter, four times longer than wide, and longer than any such line in 39 textures "
            "made by chance with the pit's own greys and wavelengths. Two families of directions "
            "at 30° or more make a crosshatch, anything else fissures."
        ),
    ),
)

_LIMITS = (
    (
        "The zero of a micrograph's grey is set by its brightness control: compare contrasts "
        "only between images taken with the same settings."
    ),
    "Pits outside of the image are unknown: near its border, the nearest pit may be nearer.",
    (
        "A model draws outlines where those who labelled its images did, which may be a pixel or "
        "two outside of the half contrast: small and blurred pits read too large."
    ),
    "A micrograph is a projection: it shows no depth, and what undercuts the surface is hidden.",
    (
        "The morphology says that there are lines in a pit, not what they are: the texture of a "
        "deposit may show them too."
    ),
)
