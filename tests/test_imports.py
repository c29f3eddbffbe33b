"""What pipelines, benchmarks, documentation and notebooks import of pitflow is there."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PLACES = ("pipelines", "benchmarks", "docs", "notebooks")
SUFFIXES = {".py", ".sh", ".md", ".ipynb"}
FILES = sorted(
    file for place in PLACES for file in (ROOT / place).rglob("*") if file.suffix in SUFFIXES
)
IMPORT = re.compile(r"^[ >]*from (pitflow[\w.]*) import (\([^)]*\)|[^\n#]*)", re.MULTILINE)


def text_of(file: Path) -> str:
    text = file.read_text(encoding="utf-8")
    if file.suffix != ".ipynb":
        return text
    return "\n".join("".join(cell["source"]) for cell in json.loads(text)["cells"])


def imported(text: str) -> Iterator[tuple[str, str]]:
    for module, names in IMPORT.findall(text):
        for name in names.strip("()").split(","):
            if name.strip():
                yield module, name.split()[0]


def is_there(module: str, name: str) -> bool:
    try:
        return hasattr(importlib.import_module(module), name) or bool(
            importlib.import_module(f"{module}.{name}")
        )
    except ImportError:
        return False


def test_all_ways_of_importing_are_seen() -> None:
    text = "from pitflow import run\nfrom pitflow.run import (\n    one,\n    two as three,\n)\n"
    assert list(imported(text)) == [
        ("pitflow", "run"),
        ("pitflow.run", "one"),
        ("pitflow.run", "two"),
    ]


@pytest.mark.parametrize("file", [ROOT / "README.md", *FILES], ids=lambda file: file.name)
def test_what_is_imported_is_there(file: Path) -> None:
    missing = [what for what in imported(text_of(file)) if not is_there(*what)]
    assert not missing
