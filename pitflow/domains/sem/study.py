"""The paper's experiments on labelled micrographs: Tables 1 and 2, Figs. 3 and 8 (paper 001).

Every training is a task of its own with a folder of its own; a study that was stopped goes on where
it was, and a finished training is not repeated.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pitflow.compute import Compute, Progress, Silent
from pitflow.domains.recipe import InstanceRecipe
from pitflow.domains.sem.channels import CHANNELS
from pitflow.domains.sem.labels import read_labelled
from pitflow.domains.sem.recipes import MASK_RCNN, NO_TEXTURE, SEM
from pitflow.domains.sem.study_task import BASELINE, FRESH, TRANSFER, WITH, WITHOUT, Task, run_task
from pitflow.domains.training import check_recipe
from pitflow.errors import UserError
from pitflow.output_folder import make_folder
from pitflow.segment.devices import choose_device

N_SPLITS = 7
TEST_SHARE = 0.2


def sem_study(
    data: Sequence[Path],
    out: Path,
    *,
    pretrain: Sequence[Path] = (),
    recipe: InstanceRecipe = SEM,
    n_splits: int = N_SPLITS,
    test_share: float = TEST_SHARE,
    epochs: int | None = None,
    baseline_epochs: int | None = None,
    paired: bool = False,
    device: str = "auto",
    overwrite: bool = False,
    compute: Compute | None = None,
    progress: Progress | None = None,
) -> Path:
    """Train and test every experiment and write the page.

    Table 1 is on the first split: the pretrained network alone, without and with texture
    refinement, and Mask R-CNN on the same images. Table 2 repeats "with texture refinement" on
    further random splits. Splits keep groups together (``group_of``).

    Parameters
    ----------
    out:
        Gets ``study.html`` with its ``figures/``, ``table1.csv``, ``table2.csv``, ``study.json``
        and a folder per training, which holds its model.
    pretrain:
        Labelled folders that every network learns first; without, the experiments that need it are
        left out.
    epochs, baseline_epochs:
        Of each training, and of Mask R-CNN's; None: the recipe's.
    paired:
        Train without texture refinement, and Mask R-CNN, on every split too: the difference then
        has an interval.
    overwrite:
        Drop trainings with other parameters or data that are in ``out``.
    compute:
        Trainings at a time; default one.

    Returns
    -------
    The page.

    Raises
    ------
    UserError
        If the data cannot be read or split, or ``out`` cannot be written to or holds another study.
    """
    tasks = plan(
        data,
        out,
        pretrain=pretrain,
        recipe=recipe,
        n_splits=n_splits,
        test_share=test_share,
        epochs=epochs,
        baseline_epochs=baseline_epochs,
        paired=paired,
        device=device,
        overwrite=overwrite,
    )
    make_folder(out)
    progress, compute = progress or Silent(), compute or Compute(workers=1)
    results: dict[tuple[str, int], dict[str, Any]] = {}

    def done(task: Task, result: dict[str, Any]) -> None:
        results[task.experiment, task.split] = result
        progress.advance()

    progress.start("trainings", len(tasks))
    # The first of each recipe also pretrains; the others then find that done.
    first = {task.recipe.name: task for task in reversed(tasks)}
    compute.map(run_task, list(first.values()), done)
    compute.map(run_task, [task for task in tasks if task not in first.values()], done)
    # Matplotlib is loaded only where it draws.
    from pitflow.domains.sem.study_page import write_study

    page = write_study(out, tasks, results, read_labelled(data))
    progress.finish(str(page))
    return page


def plan(
    data: Sequence[Path],
    out: Path,
    *,
    pretrain: Sequence[Path] = (),
    recipe: InstanceRecipe = SEM,
    n_splits: int = N_SPLITS,
    test_share: float = TEST_SHARE,
    epochs: int | None = None,
    baseline_epochs: int | None = None,
    paired: bool = False,
    device: str = "auto",
    overwrite: bool = False,
) -> list[Task]:
    """Return every training of a study, in the order of the tables; raises what that does."""
    if n_splits < 1 or not 0 < test_share < 1:
        raise UserError(f"{n_splits} splits with a test share of {test_share} make no study")
    if len({one.group for one in read_labelled(data)}) < 3:
        raise UserError(
            "training, choosing the epoch and testing need three groups of micrographs at least"
        )
    choose_device(device)
    check_recipe(recipe, CHANNELS)
    without = recipe.model_copy(update={"name": NO_TEXTURE.name, "network": NO_TEXTURE.network})
    if hasattr(recipe.network, "texture"):
        plain = recipe.network.model_copy(update={"texture": "none"})
        without = without.model_copy(update={"network": plain})
    baseline = recipe.model_copy(
        update={
            "name": MASK_RCNN.name,
            "network": MASK_RCNN.network,
            "training": recipe.training.model_copy(
                update={"learning_rate": MASK_RCNN.training.learning_rate}
            ),
        }
    )

    def task(name: str, number: int, own: InstanceRecipe, **more: Any) -> Task:
        wanted = baseline_epochs or epochs if name == BASELINE else epochs
        options: dict[str, Any] = {"pretrain": tuple(pretrain)} | more
        return Task(
            name,
            number,
            _with_epochs(own, wanted),
            tuple(data),
            out=out,
            test_share=test_share,
            device=device,
            overwrite=overwrite,
            **options,
        )

    tasks = []
    if pretrain:
        tasks.append(task(TRANSFER, 0, without, trains=False))
    for number in range(n_splits):
        if number == 0 or paired:
            tasks.append(task(WITHOUT, number, without))
        tasks.append(task(WITH, number, recipe))
        if number == 0 and pretrain:
            tasks.append(task(FRESH, number, recipe, pretrain=()))
        if number == 0 or paired:
            tasks.append(task(BASELINE, number, baseline))
    return tasks


def _with_epochs(recipe: InstanceRecipe, epochs: int | None) -> InstanceRecipe:
    if epochs is None:
        return recipe
    every = min(recipe.training.validate_every, epochs)
    training = recipe.training.model_copy(update={"epochs": epochs, "validate_every": every})
    return recipe.model_copy(update={"training": training})
