"""Without the learning libraries there is one clear line, and with them nothing loads early."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pitflow.domains import extra
from pitflow.errors import UserError


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extra, "PACKAGES", ("json", "no_such_package"))
    with pytest.raises(UserError, match=r"no_such_package.*pitflow\[learn\]"):
        extra.require_learning()
    monkeypatch.setattr(extra, "PACKAGES", ("json",))
    extra.require_learning()


def test_the_stages_do_without_torch() -> None:
    """What a run without a network imports must not load torch."""
    code = (
        "import sys, pitflow.segment.registry, pitflow.segment.score, pitflow.segment.tiles, "
        "pitflow.domains.extra; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
