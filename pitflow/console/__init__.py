"""What the user sees in the terminal."""

from __future__ import annotations

import shlex
import sys

from pitflow.errors import UserError


def this_command() -> str:
    """Return the command line that is being carried out, for the card of what it makes."""
    return shlex.join(["pitflow", *sys.argv[1:]])


def print_error(error: UserError) -> None:
    """Print the one line of a user error to standard error, whatever the file's name is."""
    print_note(str(error))


def print_note(text: str) -> None:
    """Print one line to standard error: what the user is to know of a command that goes on."""
    line = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    sys.stderr.write(f"pitflow: {line}\n")
