"""Where a validation is written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import pitflow.console.validate
from pitflow.cli import main
from pitflow.validate.claim import Validation


def test_a_validation_is_replaced_only_when_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = tmp_path / "validate.json"
    found.write_text('"of hours"')
    monkeypatch.setattr(pitflow.console.validate, "validate", lambda *_, **__: Validation((), {}))
    assert main(["validate", "-o", str(tmp_path)]) == 2
    assert found.read_text() == '"of hours"'
    with pytest.raises(SystemExit):
        main(["validate", "-o", str(tmp_path), "--overwrite"])
    assert json.loads(found.read_text())["findings"] == []


def test_a_validation_that_is_stopped_leaves_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = tmp_path / "validate.json"
    found.write_text('"of hours"')

    def stopped(*_: object, **__: object) -> Validation:
        raise KeyboardInterrupt

    monkeypatch.setattr(pitflow.console.validate, "validate", stopped)
    with pytest.raises(SystemExit):
        main(["validate", "-o", str(tmp_path), "--overwrite"])
    assert found.read_text() == '"of hours"'
