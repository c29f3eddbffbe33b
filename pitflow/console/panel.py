"""Coated panels in the terminal."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pitflow.console import estimate, this_command
from pitflow.console.bar import Bar
from pitflow.errors import UserError

if TYPE_CHECKING:
    from pitflow.domains.recipe import Recipe


def chosen_recipe(
    file: Path | None,
    model: str,
    loss: str,
    alpha: float | None,
    beta: float | None,
    theta: float | None,
    theta_share: float | None,
) -> Recipe:
    """Return the recipe of a file, or of a model and a loss with their parameters.

    Raises
    ------
    UserError
        If there is none, or a parameter is given that it does not have.
    """
    from pitflow.domains.panels.recipes import panel_recipe, read_recipe, with_theta

    for option, value in (("--alpha", alpha), ("--beta", beta)):
        if value is not None and (file is not None or loss != "ftl"):
            raise UserError("goes with --loss ftl, and without --recipe", where=option)
    chosen = (
        panel_recipe(model, loss, alpha=alpha, beta=beta) if file is None else read_recipe(file)
    )
    return with_theta(chosen, theta, theta_share)


def train_with_progress(
    data: Sequence[Path],
    output: Path,
    recipe: Recipe,
    ratings: Path | None,
    size: int | None,
    training: dict[str, Any],
    device: str,
    workers: int | None,
    note: str,
    overwrite: bool,
) -> None:
    """Train a panel model and print where it is, and how good."""
    from pitflow.domains.panels.recipes import adapted
    from pitflow.domains.panels.train import train_panel
    from pitflow.report.words import count

    with Bar() as bar:
        card = train_panel(
            data,
            output,
            adapted(recipe, size=size, **training),
            ratings=ratings,
            device=device,
            workers=workers or 1,
            overwrite=overwrite,
            command=this_command(),
            note=note,
            progress=bar,
        )
    sys.stdout.write(f"{output}\n")
    for name, scores in card.scores.items():
        sys.stdout.write(
            f"{name}: {count(scores['n_images'], 'photograph')}, mean Dice "
            f"{scores['mean_dice']:.3f}, IoU {scores['mean_iou']:.3f}, "
            f"boundary F1 at 2 px {scores['mean_boundary_f1']:.3f}\n"
        )


def assess_with_progress(
    images: Sequence[Path],
    output: Path,
    scale: float,
    scribe: Sequence[str] | None,
    scribe_width: float,
    model: str | None,
    masks: Path | None,
    device: str,
    *,
    overwrite: bool,
) -> int:
    """Measure photographs; one that cannot be read does not keep the others from it.

    Returns
    -------
    0, or 2 if a photograph could not be measured.
    """
    import math

    from pitflow.console import print_error, print_note
    from pitflow.domains.panels.assess import assess_panels, choose_method
    from pitflow.domains.panels.assessed import AssessConfig
    from pitflow.image_file import left_out
    from pitflow.scribe import parse_scribe

    if not 1e-9 <= scale <= 1e9:
        raise UserError(f"{scale} mm per px is no scale", where="--scale", hint="such as 0.1")
    if not (math.isfinite(scribe_width) and scribe_width >= 0):
        raise UserError(f"{scribe_width} mm is no width", where="--scribe-width")
    if model is not None and masks is not None:
        raise UserError("takes either --model or --masks, not both", where="pitflow panel")
    given = None
    if scribe and list(scribe) != ["auto"]:
        given = tuple(parse_scribe(text) for text in scribe)
    for said in left_out(images):
        print_note(said)
    refused: list[UserError] = []

    def tell(error: UserError) -> None:
        refused.append(error)
        print_error(error)

    with Bar() as bar:
        page = assess_panels(
            images,
            output,
            AssessConfig(scale, given, scribe_width),
            choose_method(model, masks, device, print_note),
            overwrite=overwrite,
            progress=bar,
            refused=tell,
            note=print_note,
        )
    sys.stdout.write(f"{page}\n")
    return 2 if refused else 0


def study_with_progress(
    data: Sequence[Path],
    output: Path,
    values: dict[str, Any],
    ratings: Path | None,
    device: str,
    cluster: str | None,
    *,
    only_estimate: bool,
    overwrite: bool,
) -> None:
    """Say how long a study takes, run it, and print where its page is."""
    from pitflow.compute import Compute
    from pitflow.config import build
    from pitflow.domains.panels.recipes import title_of
    from pitflow.domains.panels.study import (
        StudyConfig,
        estimate_seconds,
        plan_tasks,
        run_study,
        seconds_per_step,
    )
    from pitflow.domains.panels.study_page import write_study_page

    given = {name: value for name, value in values.items() if value is not None}
    config = build(StudyConfig, given, where="panel-study")
    tasks = plan_tasks(data, output, config, ratings=ratings, device=device)
    left = [task for task in tasks if not task.is_done()]
    seconds = estimate_seconds(left, lambda recipe: seconds_per_step(recipe, device))
    named = {title_of(name.split("@")[0]): s for name, s in seconds.items() if "@" not in name}
    if grid := sum(s for name, s in seconds.items() if "@" in name):
        named["grid of alpha and beta"] = grid
    say = sys.stdout if only_estimate else sys.stderr
    say.write(estimate(len(left), len(tasks), named))
    if only_estimate:
        return
    with Bar() as bar:
        study = run_study(
            data,
            output,
            config,
            ratings=ratings,
            device=device,
            overwrite=overwrite,
            compute=Compute(1, cluster),
            progress=bar,
        )
    sys.stdout.write(f"{write_study_page(study)}\n")
