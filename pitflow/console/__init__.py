"""What the user sees in the terminal."""

from __future__ import annotations

import errno
import shlex
import sys
from collections.abc import Mapping

from pitflow.errors import UserError

_FULL = (errno.ENOSPC, errno.EDQUOT)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)


def this_command() -> str:
    """Return the command line that is being carried out, for the card of what it makes."""
    return shlex.join(["pitflow", *sys.argv[1:]])


def denied(error: OSError) -> UserError | None:
    """Return what to do about a full disk or a lack of permission; None for any other error."""
    where = error.filename or "the disk"
    if error.errno in _FULL:
        hint = "make room; the same command goes on where it stopped"
        return UserError(f"cannot be written ({error.strerror})", where=where, hint=hint)
    if error.errno in _FORBIDDEN:
        hint = "change who may read and write it, or choose another place"
        return UserError(f"cannot be used ({error.strerror})", where=where, hint=hint)
    return None


def estimate(left: int, planned: int, seconds: Mapping[str, float]) -> str:
    """Return how many of the planned trainings are left and how long those of each kind take, s."""
    hours = sum(seconds.values()) / 3600
    first = f"{left} of {planned} trainings to do, about {hours:.1f} h here, one after the other\n"
    return first + "".join(f"  {name}: {time / 60:.1f} min\n" for name, time in seconds.items())


def print_error(error: UserError) -> None:
    """Print the one line of a user error to standard error, whatever the file's name is."""
    print_note(str(error))


def print_note(text: str) -> None:
    """Print one line to standard error: what the user is to know of a command that goes on."""
    line = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    sys.stderr.write(f"pitflow: {line}\n")
