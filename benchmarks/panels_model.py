"""Print how well the included panel model, the colour, and the default of the two find rust.

    python benchmarks/panels_model.py --data rust --data rendered

On the photographs that were kept aside when the model was trained on these folders: its own split
is made again, so the folders must be the same, in the same order. Those photographs chose the
epoch and the threshold.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from pitflow.domains.included import find_model
from pitflow.domains.panels.assess import choose_method
from pitflow.domains.panels.folds import stratified_parts
from pitflow.domains.panels.pictures import LabelledPanel, read_panels
from pitflow.domains.panels.scores import boundary_score, dice_score, iou_score
from pitflow.domains.recipe import Recipe
from pitflow.segment.checkpoint import read_card

SCORES = (dice_score, iou_score, boundary_score)


def kept_aside(data: list[Path], recipe: Recipe) -> list[LabelledPanel]:
    """Return the photographs that a training by this recipe keeps aside."""
    panels = read_panels(data)
    share = recipe.validation_share or 0.1
    _, aside = stratified_parts(
        [panel.group for panel in panels],
        [panel.stratum for panel in panels],
        (1 - share, share),
        recipe.training.seed,
    )
    return [panels[index] for index in aside]


def main() -> None:
    """Score and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, action="append", required=True)
    parser.add_argument("--model", default="panels")
    options = parser.parse_args()
    recipe = Recipe.model_validate(read_card(find_model(options.model)).recipe)
    aside = kept_aside(options.data, recipe)
    for folder in options.data:
        panels = [panel for panel in aside if panel.image.parent == folder]
        print(f"{folder.name}, {len(panels)} photographs     Dice    IoU  boundary F1 at 2 px")
        for name in ("colour", options.model, None):
            method = choose_method(name)
            rows, used = [], []
            for panel in panels:
                image, truth = panel.read()
                found, by = method.segment(panel.image, image)
                rows.append([score(found, truth) for score in SCORES])
                used.append(by)
            dice, iou, boundary = np.mean(rows, axis=0)
            by_colour = f"   ({used.count('colour')} by colour)" if name is None else ""
            print(f"  {name or 'default':<26}{dice:.3f}  {iou:.3f}  {boundary:.3f}{by_colour}")


if __name__ == "__main__":
    main()
