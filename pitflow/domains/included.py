"""Models that come with the program."""

from __future__ import annotations

from pathlib import Path

from pitflow.errors import UserError

INCLUDED = Path(__file__).parents[1] / "models"
"""One folder each."""


def find_model(name: str, hint: str | None = None) -> Path:
    """Return the folder of a model, given by its path or by its name if it is included.

    Parameters
    ----------
    hint:
        What to do if there is none; None: train one, or take one that is included.

    Raises
    ------
    UserError
        If there is no such model.
    """
    path = Path(name)
    if path.exists():
        return path
    known = sorted(folder.name for folder in INCLUDED.glob("*") if folder.is_dir())
    if name not in known:
        names = ", ".join(known) or "none"
        trained = f"give the folder that `pitflow train` wrote; included: {names}"
        raise UserError("no model of this name or path", where=name, hint=hint or trained)
    return INCLUDED / name
