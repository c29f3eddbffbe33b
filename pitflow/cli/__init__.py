"""The command line: one command per verb, no logic.

Nothing heavy is imported before a command needs it, so that ``--help`` answers at once.
"""

from __future__ import annotations

from typing import Any

import typer

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


_USAGE_ERROR: type[Exception] = typer.BadParameter.__mro__[1]
"""What all errors of usage are: typer's own class, or in earlier versions that of click."""

_INTERRUPTED = 130
"""The exit code that typer gives where Ctrl-C ended a command."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return 2 for bad input, and raise the exit code of what was done."""
    try:
        code = app(args=arguments, prog_name="pitflow", standalone_mode=False)
    except _USAGE_ERROR as error:
        return _refuse(error)
    except UserError as error:
        from pitflow.console import print_error

        print_error(error)
        return 2
    except OSError as error:
        from pitflow.console import denied, print_error

        refusal = denied(error)
        if refusal is None:
            raise
        print_error(refusal)
        return 2
    if code == _INTERRUPTED:
        from pitflow.console import print_note

        print_note("stopped; a run, a training or a study goes on with the same command")
    raise SystemExit(code if isinstance(code, int) else 0)


def _refuse(error: Any) -> int:
    """Say in one line what is wrong with the command line, or show the help it asks for."""
    from pitflow.console import print_error

    said = error.format_message()
    if not said:  # The help has been printed.
        return 2
    if "\n" in said.strip():
        error.show()
        return 2
    command = error.ctx.command_path if error.ctx is not None else "pitflow"
    print_error(UserError(said.rstrip("."), where=command, hint=f"see {command} --help"))
    return 2
