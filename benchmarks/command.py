"""The program's commands, as the benchmarks run them."""

from __future__ import annotations

import sys


def pitflow(*arguments: object) -> list[str]:
    """Return the command line of a pitflow command of this interpreter."""
    code = "import sys; from pitflow.cli import main; sys.exit(main())"
    return [sys.executable, "-c", code, *map(str, arguments)]
