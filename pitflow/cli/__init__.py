"""The command line: one command per verb, no logic.

Nothing heavy is imported before a command needs it, so that ``--help`` answers at once.
"""

from __future__ import annotations

import errno

from pitflow.cli import (
    annotate,
    calibrate,
    compare,
    panel,
    particle_study,
    particles,
    recordings,
    sem,
    simulate,
    validate,
)
from pitflow.cli.app import app
from pitflow.errors import UserError

__all__ = [
    "annotate",
    "app",
    "calibrate",
    "compare",
    "main",
    "panel",
    "particle_study",
    "particles",
    "recordings",
    "sem",
    "simulate",
    "validate",
]


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return or raise its exit code: 2 for bad input."""
    try:
        app(args=arguments, standalone_mode=True)
    except UserError as error:
        from pitflow.console import print_error

        print_error(error)
        return 2
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        from pitflow.console import print_error

        full = UserError(
            f"cannot be written ({error.strerror})",
            where=error.filename or "the disk",
            hint="make room; the same command goes on where it stopped",
        )
        print_error(full)
        return 2
    return 0
