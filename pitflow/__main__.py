"""The command as ``python -m pitflow``."""

from __future__ import annotations

import sys

from pitflow.cli import main

if __name__ == "__main__":
    sys.exit(main())
