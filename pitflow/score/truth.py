"""Reading tables to be compared, with whatever of them is there."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from pitflow import schema
from pitflow.errors import UserError


@dataclass(frozen=True, slots=True)
class Truth:
    """What is known to be true of a recording: tables in the columns of `pitflow.schema`.

    Parameters
    ----------
    tables:
        Those that are present, by name; they may lack columns that nothing needs.
    facts:
        The content of ``truth.json``: ``lag_frames`` and the like.
    """

    tables: dict[str, pd.DataFrame]
    facts: dict[str, Any]


def read_truth(folder: Path) -> Truth:
    """Read ``truth.json`` and the tables in a folder or in its ``tables``, parquet or CSV.

    Raises
    ------
    UserError
        If there is no such folder, no table in it, or a file in it cannot be read.
    """
    tables = read_tables(folder)
    if not tables:
        raise UserError(
            "holds no table of truth",
            where=folder,
            hint=f"it should hold tables such as particles.parquet; known: {_known()}",
        )
    path = folder / "truth.json"
    facts: Any = {}
    if path.is_file():
        try:
            facts = json.loads(path.read_text(encoding="utf-8"))
        except (ValueError, OSError) as error:
            raise UserError(f"not readable as JSON ({error})", where=path) from error
        if not isinstance(facts, dict):
            raise UserError("holds no JSON object", where=path)
    return Truth(tables, facts)


def read_tables(folder: Path) -> dict[str, pd.DataFrame]:
    """Read every table of `pitflow.schema` found in a folder or in its ``tables``.

    Raises
    ------
    UserError
        If there is no such folder or a table cannot be read.
    """
    if not folder.is_dir():
        raise UserError("no such folder", where=folder)
    found: dict[str, pd.DataFrame] = {}
    for name in schema.TABLES:
        for path in (folder / "tables", folder):
            if (path / f"{name}.parquet").is_file():
                found[name] = schema.read_table(path / f"{name}.parquet")
                break
            if (path / f"{name}.csv").is_file():
                found[name] = _read_csv(path / f"{name}.csv")
                break
    return found


def _read_csv(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path)
    except (ValueError, OSError) as error:
        raise UserError(f"not a readable CSV table ({error})", where=path) from error


def _known() -> str:
    return ", ".join(schema.TABLES)
