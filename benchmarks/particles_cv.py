"""How good the particle recipes are on single labelled tiles: grouped cross-validation.

    python benchmarks/particles_cv.py --tiles TILES -o WORKDIR

Tiles that share pixels (same frame, overlapping) are in one fold. Every tile is tested by a model
that has not seen its fold, and cut at a threshold that the other folds set. A second row scores
only those tiles whose place on the steel no tile of another fold shows, at any time. Prints a table
and writes it as JSON into the working folder; a stopped run goes on where it was.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pitflow.console.bar import Bar
from pitflow.domains.particles.crossfit import OutOfFold, cross_fit, fold_parts
from pitflow.domains.particles.evaluate import score_particles
from pitflow.domains.particles.fit import How
from pitflow.domains.particles.groups import tile_offset
from pitflow.domains.particles.picture import Picture
from pitflow.domains.particles.pictures import read_pictures
from pitflow.domains.particles.recipes import PAPER, SINGLE
from pitflow.domains.recipe import Recipe

N_FOLDS = 5


def main() -> None:
    """Cross-validate and print."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--tiles", type=Path, required=True, help="labelled tiles")
    options.add_argument("-o", "--output", type=Path, required=True, help="working folder")
    options.add_argument("--paper-epochs", type=int, default=15, help="of the paper's recipe")
    options.add_argument("--only", choices=("ours", "paper"), help="one recipe alone")
    given = options.parse_args()
    tiles = read_pictures([given.tiles])
    training = PAPER.training.model_copy(update={"epochs": given.paper_epochs})
    paper = PAPER.model_copy(update={"training": training})
    rows: dict[str, dict[str, Any]] = {}
    plans: list[tuple[str, str, Recipe]] = [
        ("ours", "ours", SINGLE),
        ("paper", f"paper 002, {given.paper_epochs} epochs", paper),
    ]
    for key, title, recipe in plans:
        if given.only not in (None, key):
            continue
        with Bar() as bar:
            tested = cross_fit(
                tiles,
                fold_parts(tiles, N_FOLDS),
                recipe,
                given.output / key,
                How(device="auto", progress=bar),
                flips=recipe is SINGLE,
            )
        scores = tested.scores() | {"thresholds": tested.thresholds()}
        rows[title] = scores["stills"]
        rows[f"{title}; place never seen"] = scores["place never seen"] = of_new_places(tested)
        text = json.dumps(scores, indent=2)
        (given.output / f"{key}.json").write_text(text + "\n", encoding="utf-8")
    print_table(rows)


def of_new_places(tested: OutOfFold) -> dict[str, Any]:
    """Score the tiles whose place on the steel no tile of another fold shows."""
    fold_of = {
        picture.name: fold for picture, fold in zip(tested.pictures, tested.fold, strict=True)
    }
    pictures, masks = tested.masks()
    new = [place for place, picture in enumerate(pictures) if _is_new(picture, pictures, fold_of)]
    return score_particles(None, [pictures[k] for k in new], [masks[k] for k in new])


def _is_new(picture: Picture, pictures: Sequence[Picture], fold_of: dict[str, int]) -> bool:
    own = Path(picture.name).stem
    return all(
        tile_offset(own, Path(other.name).stem) is None
        for other in pictures
        if fold_of[other.name] != fold_of[picture.name]
    )


def print_table(rows: dict[str, dict[str, Any]]) -> None:
    """Print the scores of single tiles, a row per recipe and choice of tiles."""
    sizes = list(next(iter(rows.values()))["object_by_area_px2"])
    heads = ["tiles", "pixel F1 (95 %)", "precision", "recall", "object F1"]
    print("| | " + " | ".join(heads + [f"{size} px^2" for size in sizes]) + " |")
    print("|" + "---|" * (1 + len(heads) + len(sizes)))
    for title, row in rows.items():
        pixel, (low, high) = row["pixel"], row["pixel_f1_interval_95"]
        cells = [str(row["n_images"]), f"{pixel['f1']:.3f} ({low:.3f} to {high:.3f})"]
        cells += [f"{pixel[name]:.3f}" for name in ("precision", "recall")]
        cells += [f"{row['object']['f1']:.3f}"]
        cells += [f"{row['object_by_area_px2'][size]['f1'] or 0:.3f}" for size in sizes]
        print(f"| {title} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
