"""The folder that a command writes to."""

from __future__ import annotations

import tempfile
from pathlib import Path

from pitflow.errors import UserError


def make_folder(out: Path) -> None:
    """Make a folder for what a command writes, if it is not there.

    Raises
    ------
    UserError
        If it cannot be made, or not be written to.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise UserError(
            f"cannot be made, or not be written to ({error.strerror})",
            where=out,
            hint="change --output",
        ) from error


def check_free(out: Path, *results: str, overwrite: bool) -> None:
    """Refuse a folder that holds one of the named results, unless told to overwrite.

    Raises
    ------
    UserError
        If it does, or is a file.
    """
    if out.exists() and not out.is_dir():
        raise UserError("the output is a file", where=out, hint="choose another -o")
    if not overwrite and (there := [name for name in results if (out / name).exists()]):
        raise UserError(
            f"holds results already ({there[0]})", where=out, hint="--overwrite replaces them"
        )
