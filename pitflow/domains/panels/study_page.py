"""The page about a study: Tables II and III, Figs. 3 and 4 of paper 000, and what they prove."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from pitflow.domains.panels.pictures import Colours, Mask, read_mask
from pitflow.domains.panels.ranking import (
    Comparison,
    Floats,
    compare_with_baseline,
    increases,
    mean_ranks,
    weighted_increases,
)
from pitflow.domains.panels.recipes import title_of
from pitflow.domains.panels.study import SCORES, Study, study_recipe
from pitflow.report.figures.study import draw_losses, draw_worst
from pitflow.report.panel import render
from pitflow.report.sheet import Block, Grid, Picture, Section, Sheet, Terms, Text, write_sheet

_NAMES = {"dice": "Dice", "iou": "IoU", "boundary_f1": "boundary F1 at 2 px"}
_WORST = 4
_SHOWN_PX = 320


def write_study_page(study: Study) -> Path:
    """Write study.html, its figures, and table2.csv and tests.csv; returns the page.

    Raises
    ------
    UserError
        If it cannot be written.
    """
    held = score_tables(study, "test")
    crossed = score_tables(study, "fold")
    table = pd.concat(
        [summary(scores, study).assign(part=part) for part, scores in
         (("held-out test", held), ("cross-validated", crossed))]
    )  # fmt: skip
    table.to_csv(study.folder / "table2.csv", index=False)
    tests = {
        name: compare_with_baseline(
            crossed[name].to_numpy(), study.config.models, _groups(study, crossed[name])
        )
        for name in SCORES
    }
    pd.DataFrame(
        [
            {"score": name, "model": c.model, "gain": c.gain, "low": c.low, "high": c.high,
             "wilcoxon_p_holm": c.wilcoxon_p, "permutation_p_holm": c.permutation_p}
            for name, comparisons in tests.items() for c in comparisons
        ]
    ).to_csv(study.folder / "tests.csv", index=False)  # fmt: skip
    sections = [
        Section("test", "Held-out test set (Table II)", _table_two(held, study, "test")),
        Section("folds", "Every photograph, cross-validated", _table_two(crossed, study, "fold")),
        Section("differences", "Are the differences real?", _differences(tests, study)),
        Section("losses", "Loss over training (Fig. 3)", [_losses(study)]),
        Section("worst", "The hardest photographs (Fig. 4)", [_worst(study, held["dice"])]),
        Section("methods", "How it was done", [_methods(study, _same(study, crossed))]),
    ]
    if len(study.grid):
        sections.insert(3, Section("grid", "Alpha and beta (Table III)", _table_three(study)))
    sheet = Sheet(
        title="Panel models compared",
        subtitle=f"{study.n_images} photographs in {study.n_groups} independent groups, "
        f"{study.config.folds} folds and a held-out test set: study by pitflow, after paper 000 "
        "(DeepSC-Edge)",
        findings=_findings(held, crossed, tests),
        sections=sections,
    )
    return write_sheet(sheet, study.folder / "study.html")


def score_tables(study: Study, part: str) -> dict[str, pd.DataFrame]:
    """Return for each score a table of images by models, in the study's order.

    Of the test set an image's score is the mean over the models of all folds; of the folds it is
    that of the model which was not trained on it.
    """
    rows = study.scores[study.scores["part"] == part]
    return {
        name: rows.pivot_table(index="image", columns="model", values=name)[
            list(study.config.models)
        ]
        for name in SCORES
    }


def summary(tables: dict[str, pd.DataFrame], study: Study) -> pd.DataFrame:
    """Return the columns of Table II for each model and score."""
    rows = []
    for name, table in tables.items():
        scores = table.to_numpy()
        columns = zip(
            table, scores.mean(axis=0), mean_ranks(scores), increases(scores),
            weighted_increases(scores), strict=True,
        )  # fmt: skip
        for model, score, rank, gain, weighted in columns:
            row = {"model": model, "score": name, "mean": score, "rank": rank,
                   "increase": gain, "w_inc": weighted}  # fmt: skip
            rows.append(row)
    return pd.DataFrame(rows)


def _spread(study: Study, part: str, score: str) -> dict[str, float]:
    """Return the standard deviation over folds of each model's mean score."""
    rows = study.scores[study.scores["part"] == part]
    means = rows.groupby(["model", "fold"])[score].mean()
    return {str(model): float(std) for model, std in means.groupby("model").std().items()}


def _table_two(tables: dict[str, pd.DataFrame], study: Study, part: str) -> list[Block]:
    found = summary(tables, study)
    blocks: list[Block] = []
    for score in SCORES:
        spread = _spread(study, part, score)
        rows = [
            [
                title_of(str(row.model)),
                f"{row.mean:.4f} ± {spread[str(row.model)]:.4f}",
                f"{row.rank:.4f}",
                f"{row.increase:+.4f}",
                f"{row.w_inc:+.4f}",
            ]
            for row in found[found["score"] == score].itertuples()
        ]
        headings = (
            ("model", ""),
            (_NAMES[score], "mean ± spread of folds"),
            ("rank", "1 is best"),
            ("increase", f"over {title_of(study.config.models[0])}"),
            ("W-Inc", "hard images weigh more"),
        )
        ties = _tied(tables[score].to_numpy())
        caption = (
            f"{len(tables[score])} photographs. "
            + ("Each score is the mean over the models of all folds. " if part == "test" else "")
            + f"{ties} of the images have equal scores of two or more models, which share the "
            "mean of their ranks."
        )
        blocks.append(Grid(headings, rows, caption))
    return blocks


def _same(study: Study, tables: dict[str, pd.DataFrame]) -> list[tuple[str, str]]:
    """Return the pairs of models that are one network.

    They score the same on every photograph, as two that find nothing do too, and had the same loss
    in every epoch.
    """
    models = list(tables["dice"].columns)
    losses = {
        model: [
            [row["loss"] for row in study.histories[model, fold]]
            for fold in range(study.config.folds)
        ]
        for model in models
    }
    return [
        (first, second)
        for place, first in enumerate(models)
        for second in models[place + 1 :]
        if losses[first] == losses[second]
        and all(np.array_equal(table[first], table[second]) for table in tables.values())
    ]


def _tied(scores: Floats) -> int:
    return sum(len(set(np.round(row, 12))) < len(row) for row in scores)


def _differences(tests: dict[str, list[Comparison]], study: Study) -> list[Block]:
    intro = (
        f"Each model against {title_of(study.config.models[0])} on the cross-validated scores: "
        "mean gain with its 95 % bootstrap interval, and two-sided paired p-values, corrected by "
        "Holm for the number of models. Independent groups of photographs are the units."
    )
    blocks: list[Block] = [Text(intro)]
    for score, comparisons in tests.items():
        rows = [
            [
                title_of(c.model),
                f"{c.gain:+.4f}",
                f"{c.low:+.4f} to {c.high:+.4f}",
                _p(c.wilcoxon_p),
                _p(c.permutation_p),
            ]
            for c in comparisons
        ]
        headings = (
            (f"{_NAMES[score]}", ""),
            ("gain", ""),
            ("95 % interval", ""),
            ("Wilcoxon", "p"),
            ("permutation", "p"),
        )
        blocks.append(Grid(headings, rows))
    return blocks


def _table_three(study: Study) -> list[Block]:
    rows = study.grid[study.grid["part"] == "test"]
    means = rows.groupby(["model", "beta", "alpha"])["dice"].mean()
    settings = [(beta, alpha) for beta in study.config.betas for alpha in study.config.alphas]
    headings = [("model", ""), *((f"α = {alpha:g}", f"β = {beta:g}") for beta, alpha in settings)]
    models = list(dict.fromkeys(study.grid["model"]))
    cells = [
        [title_of(model), *(f"{means[model, beta, alpha]:.4f}" for beta, alpha in settings)]
        for model in models
    ]
    folds = min(study.config.grid_folds, study.config.folds)
    caption = (
        f"Mean Dice on the held-out test set, models of {folds} of the folds. α weighs missed "
        "pixels. These are the same photographs as in Table II, so the best cell is a choice made "
        "on them."
    )
    return [Grid(headings, cells, caption)]


def _losses(study: Study) -> Picture:
    baseline = study.config.models[0]
    rows = study.scores[(study.scores["model"] == baseline) & (study.scores["part"] == "fold")]
    by_fold = rows.groupby("fold")["dice"].mean()
    best = int(by_fold.index.to_numpy()[by_fold.argmax()])
    histories = {title_of(name): study.histories[name, best] for name in study.config.models}
    panel = draw_losses(histories, title_of(baseline))
    picture = render(panel, study.folder / "figures" / "losses", svg=True)
    return Picture(picture, f"Losses, fold {best}", panel.caption)


def _worst(study: Study, dice: pd.DataFrame) -> Picture:
    baseline = study.config.models[0]
    others = dice.drop(columns=baseline).mean()
    chosen = [baseline] + ([str(others.idxmax())] if len(others) else [])
    names = list(dice[baseline].sort_values(kind="stable").index[:_WORST])
    panels = {panel.name: panel for panel in study.test}
    read = [panels[name].read() for name in names]
    fold = study.scores[study.scores["part"] == "test"].set_index(["model", "fold", "image"])
    found, scores = {}, {}
    for model in chosen:
        folder = study.folder / "runs" / model / "fold-0" / "masks"
        found[title_of(model)] = [small_mask(read_mask(folder / f"{name}.png")) for name in names]
        scores[title_of(model)] = [float(fold.loc[(model, 0, name), "dice"]) for name in names]
    panel = draw_worst(
        [_small(image) for image, _ in read],
        [small_mask(mask) for _, mask in read],
        found,
        scores,
        title_of(baseline),
    )
    picture = render(panel, study.folder / "figures" / "worst", svg=False)
    return Picture(picture, "Models of fold 0", panel.caption)


def _methods(study: Study, same: Sequence[tuple[str, str]]) -> Terms:
    config = study.config
    recipe = study_recipe(config.models[0], config)
    training = recipe.training
    return Terms(
        [
            (
                "Data",
                (
                    f"{study.n_images} labelled photographs. Near duplicates (perceptual hash and "
                    "correlation, under the symmetries of the square) and photographs that the "
                    "ratings file puts in one group stay on one side of every split. Strata: "
                    "rating, or fifths of the corroded share."
                ),
            ),
            (
                "Not the paper's data",
                (
                    "The 600 panels of paper 000 are not public with their masks, so its numbers "
                    "cannot be repeated here; only the protocol is the same."
                ),
            ),
            (
                "Training",
                (
                    f"Photographs at {recipe.tile_px} px on the longer side"
                    f"{', U-Nets on 2 x 2 blocks of pixels' if config.blocks else ''}, "
                    f"{training.epochs} epochs, batch {training.batch}, Adam at "
                    f"{training.learning_rate:g} with a cosine schedule; the averaged weights of "
                    "the last epoch are kept and the threshold is 0.5, so no choice is made on "
                    "photographs that are scored."
                ),
            ),
            *(
                (
                    "Equal models",
                    (
                        f"{title_of(first)} and {title_of(second)} are one network: the loss of "
                        "the mask did not exceed theta, so the weight of its edges was 1 "
                        "throughout."
                    ),
                )
                for first, second in same
            ),
            (
                "Scores",
                (
                    "Per photograph at its full size, then averaged; an empty mask that is found "
                    "empty scores 1."
                ),
            ),
            (
                "W-Inc",
                (
                    "Mean gain over the first model, each photograph weighted by its rank among "
                    "that model's scores, the worst heaviest."
                ),
            ),
            (
                "Spread",
                (
                    "Standard deviation over folds of the mean score. Gains smaller than it can "
                    "still be real, since all models see the same photographs: the paired tests "
                    "tell."
                ),
            ),
        ]
    )


def _findings(
    held: dict[str, pd.DataFrame],
    crossed: dict[str, pd.DataFrame],
    tests: dict[str, list[Comparison]],
) -> list[str]:
    baseline = str(crossed["dice"].columns[0])
    base = title_of(baseline)
    found = []
    for score in ("dice", "boundary_f1"):
        means = crossed[score].mean()
        best = str(means.idxmax())
        sentence = (
            f"Best {_NAMES[score]}, cross-validated: {title_of(best)}, {means[best]:.3f} "
            f"(held-out test {held[score][best].mean():.3f})"
        )
        if best == baseline:
            found.append(f"{sentence}. No other model is better than this baseline.")
            continue
        c = next(c for c in tests[score] if c.model == best)
        verdict = "more than chance" if max(c.wilcoxon_p, c.permutation_p) < 0.05 else (
            "not told from chance"
        )  # fmt: skip
        found.append(
            f"{sentence}; {c.gain:+.3f} over {base} ({c.low:+.3f} to {c.high:+.3f}), {verdict} "
            f"(Wilcoxon {_p(c.wilcoxon_p)}, permutation {_p(c.permutation_p)}, after Holm)."
        )
    worse = [title_of(c.model) for c in tests["dice"] if c.high < 0]
    if worse:
        found.append(f"Below {base} in Dice with all of the interval: {', '.join(worse)}.")
    return found


def _groups(study: Study, table: pd.DataFrame) -> Sequence[str]:
    group = study.scores.drop_duplicates("image").set_index("image")["group"]
    return [str(group[image]) for image in table.index]


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _small(image: Colours) -> Colours:
    factor = min(1.0, _SHOWN_PX / max(image.shape[:2]))
    size = round(image.shape[1] * factor), round(image.shape[0] * factor)
    result: Colours = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return result


def small_mask(mask: Mask) -> Mask:
    """Return a mask at the size that figures show."""
    shrunk: Mask = _small((mask * np.uint8(255)).astype(np.uint8)) >= 128
    return shrunk
