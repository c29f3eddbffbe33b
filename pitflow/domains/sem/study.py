"""The paper's experiments on labelled micrographs: Tables 1 and 2, Figs. 3 and 8 (paper 001).

Every training is a task of its own with a folder of its own; a study that was stopped goes on where
it was, and a finished training is not repeated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pitflow.compute import Compute, Progress, Silent
from pitflow.domains.recipe import InstanceRecipe
from pitflow.domains.sem.channels import CHANNELS
from pitflow.domains.sem.labels import read_labelled
from pitflow.domains.sem.micrographs import Micrograph
from pitflow.domains.sem.recipes import MASK_RCNN, NO_TEXTURE, SEM, with_epochs
from pitflow.domains.sem.study_task import BASELINE, FRESH, TRANSFER, WITH, WITHOUT, Task, run_task
from pitflow.domains.training import check_recipe
from pitflow.errors import UserError
from pitflow.output_folder import make_folder
from pitflow.segment.devices import choose_device

TEST_SHARE = 0.2
"""Share of the micrographs that tests."""


@dataclass(frozen=True, slots=True)
class StudyConfig:
    """What a study trains.

    Parameters
    ----------
    recipe:
        Of the network with texture refinement; the others differ from it in their network alone.
    pretrain:
        Labelled folders that every network learns first; without, the experiments that need it are
        left out.
    n_splits, test_share:
        Random splits, and the share of the micrographs that tests.
    baseline_epochs:
        Of Mask R-CNN's trainings; None: the recipe's.
    paired:
        Train without texture refinement, and Mask R-CNN, on every split too: the difference then
        has an interval.
    """

    recipe: InstanceRecipe = SEM
    pretrain: tuple[Path, ...] = ()
    n_splits: int = 7
    test_share: float = TEST_SHARE
    baseline_epochs: int | None = None
    paired: bool = False


def sem_study(
    data: Sequence[Path],
    out: Path,
    config: StudyConfig,
    *,
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
    micrographs = read_labelled(data)
    tasks = _tasks(micrographs, data, out, config, device=device, overwrite=overwrite)
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

    page = write_study(out, tasks, results, micrographs)
    progress.finish(str(page))
    return page


def plan(
    data: Sequence[Path], out: Path, config: StudyConfig, *, device: str, overwrite: bool
) -> list[Task]:
    """Return every training of a study, in the order of the tables; raises what that does."""
    return _tasks(read_labelled(data), data, out, config, device=device, overwrite=overwrite)


def _tasks(
    micrographs: Sequence[Micrograph],
    data: Sequence[Path],
    out: Path,
    config: StudyConfig,
    *,
    device: str,
    overwrite: bool,
) -> list[Task]:
    recipe, pretrain = config.recipe, config.pretrain
    if config.n_splits < 1 or not 0 < config.test_share < 1:
        raise UserError(
            f"{config.n_splits} splits with a test share of {config.test_share} make no study"
        )
    if len({one.group for one in micrographs}) < 3:
        raise UserError(
            "training, choosing the epoch and testing need three groups of micrographs at least"
        )
    choose_device(device)
    check_recipe(recipe, CHANNELS)
    without = recipe.model_copy(update={"name": NO_TEXTURE.name, "network": NO_TEXTURE.network})
    if hasattr(recipe.network, "texture"):
        plain = recipe.network.model_copy(update={"texture": "none"})
        without = without.model_copy(update={"network": plain})
    training = recipe.training.model_copy(
        update={"learning_rate": MASK_RCNN.training.learning_rate}
    )
    if config.baseline_epochs is not None:
        training = with_epochs(training, config.baseline_epochs)
    baseline = recipe.model_copy(
        update={"name": MASK_RCNN.name, "network": MASK_RCNN.network, "training": training}
    )

    def task(name: str, number: int, own: InstanceRecipe, **more: Any) -> Task:
        options: dict[str, Any] = {"pretrain": pretrain} | more
        return Task(
            name,
            number,
            own,
            tuple(data),
            out=out,
            test_share=config.test_share,
            device=device,
            overwrite=overwrite,
            **options,
        )

    tasks = []
    if pretrain:
        tasks.append(task(TRANSFER, 0, without, trains=False))
    for number in range(config.n_splits):
        if number == 0 or config.paired:
            tasks.append(task(WITHOUT, number, without))
        tasks.append(task(WITH, number, recipe))
        if number == 0 and pretrain:
            tasks.append(task(FRESH, number, recipe, pretrain=()))
        if number == 0 or config.paired:
            tasks.append(task(BASELINE, number, baseline))
    return tasks
