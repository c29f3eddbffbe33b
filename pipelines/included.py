"""Store a trained model as those in the program are: float16 weights, and where they come from.

    python pipelines/included.py MODEL OUT --command TEXT [--note TEXT] [--micrographs FOLDER]

Last step of particles-model.sh and micrographs-model.sh. With ``--micrographs`` the model, as it is
stored, is scored on labelled micrographs that its training has not seen.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from pitflow.domains.sem.labels import read_labelled
from pitflow.domains.sem.model import load_instance_model
from pitflow.domains.sem.train import score_model
from pitflow.segment.checkpoint import load_checkpoint, save_checkpoint


def main() -> None:
    """Convert, score, write."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("model", type=Path, help="folder of the trained model")
    options.add_argument("out", type=Path, help="folder that gets the model")
    options.add_argument("--command", required=True, help="what makes the model, for its card")
    options.add_argument("--note", default="", help="whose the data are, under which licence")
    options.add_argument("--micrographs", type=Path, help="labelled, seen by no training")
    given = options.parse_args()
    network, card = load_checkpoint(given.model)
    card = card.model_copy(update={"command": given.command, "note": given.note})
    card = save_checkpoint(given.out, network, card, half=True)
    if given.micrographs is not None:
        scores = score_model(
            load_instance_model(str(given.out)), read_labelled([given.micrographs])
        )
        scored = {**card.scores, "test, seen by no training": scores}
        save_checkpoint(given.out, network, card.model_copy(update={"scores": scored}), half=True)


if __name__ == "__main__":
    main()
