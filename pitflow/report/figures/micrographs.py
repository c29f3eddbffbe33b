"""Micrographs with their pits, the distributions of a batch, and what a training gave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import Any

import cv2
import matplotlib as mpl
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from scipy import ndimage

from pitflow.frame import Image
from pitflow.report.panel import Panel
from pitflow.report.style import (
    ALARM,
    DASHED,
    DOTTED,
    FAINT,
    INK,
    PIT_COLOURS,
    RC,
    REFERENCE,
    SMALL,
    bare,
    new_figure,
    title_panel,
)
from pitflow.report.window import limits, stretch
from pitflow.report.words import count

Labels = npt.NDArray[np.integer]
Colours = npt.NDArray[np.uint8]

_CALLED = {"ap50": "AP50", "ap50_95": "AP50:95"}
_FEW = 10
"""Points of a curve that are marked one by one."""

_STYLES = ("-", DASHED, DOTTED)
_COLUMNS = 3
_MOST_UPRIGHT = 1.2
"""Most height of a place for a picture, in its width: a strip gets no more."""

MORPHOLOGIES = ("plain", "fissured", "crosshatch")

_QUANTITIES = (
    ("diameter", "equivalent diameter"),
    ("circularity", "circularity"),
    ("aspect", "aspect ratio"),
    ("solidity", "solidity"),
    ("contrast", "contrast"),
    ("nearest", "nearest-neighbour distance"),
)


def paint_outlines(
    image: Image,
    labels: Labels,
    flagged: frozenset[int] = frozenset(),
    left_out: npt.NDArray[np.bool_] | None = None,
) -> Colours:
    """Return the micrograph as colours (height, width, 3), red first, with every pit outlined.

    Neighbouring pits differ in colour; flagged ones are in the colour of alarm, twice as wide. What
    was left out of the search is faint.
    """
    shown = np.repeat(stretch(image, limits(image))[..., None], 3, axis=2)
    if left_out is not None:
        shown[left_out] = shown[left_out] // 4 + np.uint8(96)
    palette = [colour for colour in PIT_COLOURS if colour != ALARM]
    width = max(1, round(max(image.shape) / 700))
    for number, window in enumerate(ndimage.find_objects(labels.astype(np.int32)), start=1):
        if window is None:
            continue
        y0, x0 = window[0].start, window[1].start
        mask = (labels[window] == number).astype(np.uint8)
        lines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE, offset=(x0, y0))
        alarm = number in flagged
        colour = ALARM if alarm else palette[number % len(palette)]
        rgb = tuple(int(255 * part) for part in mpl.colors.to_rgb(colour))
        cv2.drawContours(shown, lines, -1, rgb, width * (2 if alarm else 1), cv2.LINE_AA)
    return shown


def draw_overlays(pictures: Mapping[str, Colours]) -> Panel:
    """Draw outlined micrographs side by side, each under its name."""
    columns = max(1, min(_COLUMNS, len(pictures)))
    shapes = [picture.shape[0] / picture.shape[1] for picture in pictures.values()]
    heights = [
        min(max(shapes[start : start + columns]), _MOST_UPRIGHT)
        for start in range(0, len(shapes), columns)
    ]
    with mpl.rc_context(RC):
        figure = new_figure(10.0 / columns * sum(heights) + 0.35 * len(heights))
        axes = figure.subplots(len(heights), columns, squeeze=False, height_ratios=heights)
        for ax in axes.flat:
            bare(ax)
        for place, (ax, (name, picture)) in enumerate(
            zip(axes.flat, pictures.items(), strict=False)
        ):
            ax.imshow(picture, interpolation="antialiased")
            short = name if len(name) <= 30 else f"{name[:13]}…{name[-13:]}"
            if len(pictures) > 1:
                title_panel(ax, place, short)
            else:
                ax.set_title(short, loc="left")
        figure.tight_layout()
    caption = (
        "Outlines of the pits; the colours tell neighbours apart. Pits with a crosshatch or with "
        "fissures are outlined in orange, twice as wide."
    )
    return Panel(figure, caption, photo=True, drawn={"images": len(pictures)})


def draw_distributions(table: pd.DataFrame) -> Panel:
    """Draw the distributions of the measures over all pits of a batch (``MICROGRAPH_PITS``).

    Lengths are in um where every pit has a scale, else in px. Pits that touch the border have no
    whole shape and are left out of all but contrast and direction of lines.
    """
    in_um = bool(table["diameter_um"].notna().all())
    unit = "um" if in_um else "px"
    whole = table[~table["touches_border"]]
    drawn: dict[str, Any] = {"unit": unit}
    with mpl.rc_context(RC):
        figure = new_figure(6.0)
        axes = figure.subplots(2, 4)
        for place, ax in enumerate(axes.flat):
            title_panel(ax, place)
        for ax, (name, title) in zip(axes.flat, _QUANTITIES, strict=False):
            column = f"{name}_{unit}" if name in ("diameter", "nearest") else name
            values = (table if name == "contrast" else whole)[column].dropna().to_numpy(float)
            label = f"{title} ({'µm' if in_um else 'px'})" if "_" in column else title
            drawn[column] = draw_histogram(ax, values, fill(label, 22))
        drawn["orientation_deg"] = _draw_directions(axes[1, 2], whole)
        drawn["morphology"] = _draw_morphology(axes[1, 3], table)
        for ax in axes[:, 0]:
            ax.set_ylabel("pits")
        figure.tight_layout()
    caption = (
        f"Distributions over {count(len(table), 'pit')}, all of the batch, the median dashed: (a) "
        "diameter, (b) circularity, (c) aspect ratio, (d) solidity, (e) contrast, (f) distance to "
        "the nearest neighbour, (g) orientation, (h) morphology. Shapes are of pits that do "
        "not touch the border of their image. Directions are weighted by 1 - 1 / aspect, since a "
        "round pit has none."
    )
    return Panel(figure, caption, drawn=drawn)


def draw_histogram(ax: Axes, values: npt.NDArray[np.float64], label: str) -> dict[str, float]:
    """Draw a histogram with its median; return what is drawn."""
    ax.set_xlabel(label)
    if values.size == 0:
        ax.text(0.5, 0.5, "no values", ha="center", va="center", transform=ax.transAxes)
        return {"n": 0}
    # Freedman and Diaconis' rule makes thousands of bins of a few outliers.
    bins = min(max(len(np.histogram_bin_edges(values, "fd")) - 1, 5), 30)
    ax.hist(values, bins=bins, color=REFERENCE, alpha=0.85, edgecolor="white", linewidth=0.5)
    median = float(np.median(values))
    ax.axvline(median, color=INK, ls="--", lw=0.7)
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    # Nearly equal values would be labelled by their difference to a number written elsewhere.
    ax.ticklabel_format(axis="x", useOffset=False)
    ax.xaxis.set_major_locator(MaxNLocator(4))
    return {"n": int(values.size), "median": median}


def _draw_directions(ax: Axes, table: pd.DataFrame) -> dict[str, float]:
    weight = 1 - 1 / table["aspect"].to_numpy(float)
    ax.hist(
        table["orientation_deg"].to_numpy(float),
        bins=18,
        range=(0, 180),
        weights=weight,
        color=REFERENCE,
        alpha=0.85,
        edgecolor="white",
        linewidth=0.5,
    )
    ax.set_xlabel("orientation (°, weighted)")
    ax.set_xticks([0, 45, 90, 135, 180])
    return {"n": len(table), "weight": float(weight.sum())}


def _draw_morphology(ax: Axes, table: pd.DataFrame) -> dict[str, int]:
    counts = {name: int((table["morphology"] == name).sum()) for name in MORPHOLOGIES}
    counts["too small"] = int((table["morphology"] == "").sum())
    colours = [REFERENCE, ALARM, ALARM, FAINT]
    bars = ax.bar(range(len(counts)), list(counts.values()), color=colours, alpha=0.85)
    ax.bar_label(bars, fontsize=SMALL)
    ax.set_xticks(range(len(counts)), list(counts), rotation=25, ha="right")
    ax.margins(y=0.15)
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    return counts


def draw_curves(histories: Mapping[str, pd.DataFrame]) -> Panel:
    """Draw losses and scores over the epochs of some trainings (paper 001, Fig. 8).

    Parameters
    ----------
    histories:
        A row per epoch: epoch, loss, then the terms of the loss (``loss: <name>``) and the scores
        on the micrographs kept aside (NaN in epochs without validation).
    """
    terms = [
        column
        for column in _columns(histories)
        if column.startswith("loss: ")
        and any(one[column].any() for one in histories.values() if column in one)
    ]
    scores = [c for c in _columns(histories) if c not in ("epoch", "loss") and ": " not in c]
    columns = max(1 + len(terms), len(scores))
    letters = ["loss", *terms, *scores]
    with mpl.rc_context(RC):
        figure = new_figure(4.8)
        axes = figure.subplots(2, columns, squeeze=False)
        for row, names in enumerate((["loss", *terms], scores)):
            for ax, name in zip(axes[row], names, strict=False):
                for place, (label, history) in enumerate(histories.items()):
                    if name in history:
                        shown = history[["epoch", name]].dropna()
                        colour = PIT_COLOURS[place % len(PIT_COLOURS)]
                        mark = "." if len(shown) < _FEW else ""
                        ax.plot(
                            shown["epoch"] + 1,
                            shown[name],
                            color=colour,
                            label=label,
                            ls=_STYLES[place % len(_STYLES)],
                            marker=mark,
                        )
                title_panel(ax, letters.index(name), _CALLED.get(name, name))
                if row:
                    # A line at 0 or at 1 is seen whole.
                    ax.set_ylim(-0.03, 1.03)
                    ax.set_xlabel("epoch")
            for ax in axes[row, len(names) :]:
                ax.set_visible(False)
        figure.tight_layout(rect=(0, 0, 1, 0.93))
        figure.legend(
            *axes[0, 0].get_legend_handles_labels(), loc="upper center", ncols=len(histories)
        )
    caption = (
        "First row: the loss on the training images and its terms; second: the scores on the "
        "images that were kept aside to choose epoch and threshold."
    )
    return Panel(figure, caption, drawn={name: len(one) for name, one in histories.items()})


def draw_examples(images: Sequence[Image], labelled: Mapping[str, Sequence[Labels]]) -> Panel:
    """Draw micrographs, one per row, beside the instances of each name (paper 001, Fig. 3)."""
    columns = 1 + len(labelled)
    side = 10.0 / columns
    with mpl.rc_context(RC):
        figure = new_figure(sum(side * one.shape[0] / one.shape[1] for one in images) + 0.5)
        axes = figure.subplots(
            len(images),
            columns,
            squeeze=False,
            height_ratios=[one.shape[0] / one.shape[1] for one in images],
        )
        for row, image in enumerate(images):
            shown = [np.repeat(stretch(image, limits(image))[..., None], 3, axis=2)]
            shown += [paint_outlines(image, made[row]) for made in labelled.values()]
            for ax, picture in zip(axes[row], shown, strict=True):
                ax.imshow(picture, interpolation="antialiased")
                bare(ax)
        for place, (ax, name) in enumerate(zip(axes[0], ("micrograph", *labelled), strict=True)):
            title_panel(ax, place, fill(name, 18))
        figure.tight_layout()
    counts = {
        name: [len(np.unique(one[one > 0])) for one in made] for name, made in labelled.items()
    }
    caption = "Test images beside their labelled and their predicted instances, each outlined."
    return Panel(figure, caption, photo=True, drawn=counts)


def _columns(histories: Mapping[str, pd.DataFrame]) -> list[str]:
    return list(dict.fromkeys(name for one in histories.values() for name in one.columns))
