"""The index of a recording: one row per frame, built once, saved beside the run and used again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

_KEY = b"pitflow_index"

DEFAULT_FPS = 15.0
"""The rate of the published recordings, taken where a recording states none."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a recording as a whole.

    Parameters
    ----------
    fingerprint:
        Changes when the recording does.
    height, width:
        Size of every frame, px.
    dtype:
        "uint8" or "uint16".
    fps:
        Frames per second as the recording states it.
    strict:
        Whether a decoder must report faults that it could paint over.
    notes:
        What was converted, assumed or lost, one line each.
    """

    fingerprint: str
    height: int
    width: int
    dtype: str
    fps: float
    strict: bool
    notes: tuple[str, ...]


def with_gaps(rows: pd.DataFrame, columns: Mapping[str, Any]) -> pd.DataFrame:
    """Return one row for every frame number: ``rows`` and, between them, gaps.

    Parameters
    ----------
    rows:
        One row per frame that is there, with ``frame``.
    columns:
        Value of every other column in the row of a gap.
    """
    n_frames = int(rows["frame"].iloc[-1]) + 1
    if n_frames == len(rows):
        return rows.reset_index(drop=True)
    missing = np.setdiff1d(np.arange(n_frames), rows["frame"])
    gaps = pd.DataFrame({"frame": missing, **columns})[list(rows.columns)]
    whole = pd.concat([rows, gaps.astype(rows.dtypes.to_dict())])
    return whole.sort_values("frame", ignore_index=True)


def kept_index(
    index_file: Path | None,
    fingerprint: str,
    build: Callable[[], tuple[pd.DataFrame, Facts]],
) -> tuple[pd.DataFrame, Facts]:
    """Return the index that is kept in a file, or build it and keep it there.

    Parameters
    ----------
    index_file:
        Where it is kept; None: nowhere.
    fingerprint:
        Of the recording as it is now; an index of another one is built anew.
    build:
        Reads the recording.
    """
    known = None if index_file is None else load_index(index_file, fingerprint)
    if known is None:
        known = build()
        if index_file is not None:
            save_index(index_file, *known)
    return known


@cache
def _code() -> str:
    """Return a hash of the code that reads recordings: other code may make another index."""
    digest = hashlib.blake2b(digest_size=8)
    for file in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def save_index(path: Path, index: pd.DataFrame, facts: Facts) -> None:
    """Write the index and the facts as one parquet file; atomic."""
    table = pa.Table.from_pandas(index, preserve_index=False)
    header = {"code": _code(), **asdict(facts)}
    table = table.replace_schema_metadata(
        {**(table.schema.metadata or {}), _KEY: json.dumps(header).encode()}
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    pq.write_table(table, partial, compression="zstd")
    partial.replace(path)


def load_index(path: Path, fingerprint: str) -> tuple[pd.DataFrame, Facts] | None:
    """Read a saved index; None if there is none of this recording as it is now, by this code."""
    try:
        table = pq.read_table(path)
        header = json.loads((table.schema.metadata or {})[_KEY])
        if header.pop("code") != _code() or header["fingerprint"] != fingerprint:
            return None
        facts = Facts(**{**header, "notes": tuple(header["notes"])})
    except (OSError, pa.ArrowInvalid, KeyError, ValueError, TypeError):
        # A missing, cut off or foreign file: the index is built anew and written over it.
        return None
    return table.to_pandas(), facts
