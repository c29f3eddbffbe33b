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
