"""Models that come with the program."""

from __future__ import annotations

from pathlib import Path

from pitflow.errors import UserError

INCLUDED = Path(__file__).parents[1] / "models"
"""One folder each."""


def find_model(name: str, hint: str | None = None) -> Path:
    """Return the folder of a model, given by its name if it is included, else by its path.

    The bare name of an included model is always that model: a folder of this name that happens to
    lie in the working directory is meant by ``./NAME``.

    Parameters
    ----------
    hint:
        What to do if there is none; None: train one, or take one that is included.

    Raises
    ------
    UserError
        If there is no such model.
    """
    known = _included()
    if name in known:
        return INCLUDED / name
    path = Path(name)
    if path.exists():
        return path
    names = ", ".join(known) or "none"
    trained = f"give the folder that `pitflow train` wrote; included: {names}"
    raise UserError("no model of this name or path", where=name, hint=hint or trained)


def lasting_name(name: str) -> str:
    """Return a name that means the same model from another working directory.

    What is no model stays as it is, for whoever looks for it to refuse.
    """
    path = Path(name)
    return str(path.resolve()) if name not in _included() and path.exists() else name


def _included() -> list[str]:
    return sorted(folder.name for folder in INCLUDED.glob("*") if folder.is_dir())
