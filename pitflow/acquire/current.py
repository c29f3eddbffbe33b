"""Time, potential and current as a potentiostat writes them.

Gamry (.DTA), BioLogic (.mpt) and other text exports alike: the table of numbers is found, and its
columns by their names and units, unless the configuration names them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pitflow.config import CurrentConfig
from pitflow.delimited import TextTable, find_tables
from pitflow.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]

_TIME = re.compile(r"t|time|elapsed( time)?|corrected time|time stamp|timestamp|zeit|temps", re.I)
_CURRENT = re.compile(
    r"i|<i>|im|i ?m(eas(ured)?)?|j|<j>|ia|(we\(\d\)\.)?(current|strom|courant|intensity)( density)?"
    r"|i density",
    re.I,
)
_POTENTIAL = re.compile(
    r"e|ewe|<ewe>|vf|u|v|(we\(\d\)\.)?(potential|voltage|spannung|tension)( applied)?", re.I
)
_PREFIX = {"p": 1e-12, "n": 1e-9, "u": 1e-6, "µ": 1e-6, "μ": 1e-6, "m": 1e-3, "k": 1e3, "": 1.0}
_SECONDS = {
    "s": 1.0, "sec": 1.0, "second": 1.0, "seconds": 1.0, "ms": 1e-3, "min": 60.0, "minutes": 60.0,
    "h": 3600.0, "hr": 3600.0, "hour": 3600.0, "hours": 3600.0,
}  # fmt: skip
_AMPERE = re.compile(r"([pnuµμmk]?)A(?:mp(?:ere)?s?)?(.*)")
_PER_AREA = re.compile(r"(?:/| ?per ?|[·. *]?)(c|m)?m(?:\^?[-−]?2|²|⁻²|[-−]2|\^\(?-2\)?)")
_VOLT = re.compile(r"([nuµμmk]?)V\b.*")
_TO_CM2 = {"c": 1.0, "": 1e-4, "m": 1e2}


@dataclass(frozen=True, slots=True)
class _Head:
    """A column's name and unit, told apart."""

    whole: str
    name: str
    unit: str


def read_current(path: Path, config: CurrentConfig) -> pd.DataFrame:
    """Return what a potentiostat recorded, on the clock of the recording.

    Parameters
    ----------
    path:
        Text file.
    config:
        Names of its columns where they are not plain, offset of its clock, area of the electrode.

    Returns
    -------
    DataFrame
        ``time_s`` (increasing; the recording's first frame is 0), ``current_a``,
        ``current_density_a_cm2``, ``potential_v``; what the file does not tell is empty. Current
        and its density follow from each other where the area is given.

    Raises
    ------
    UserError
        If the file cannot be read, has no column of time or current (with those it has), or its
        times do not increase.
    """
    import pandas as pd

    table, heads, time_at, current_at = _choose(path, config)
    potential_at = _column(heads, config.potential_column, _POTENTIAL, _is_volts)
    if potential_at is None and config.potential_column is not None:
        raise _missing(path, ["potential_column"], config, [heads])
    time_s = _times(table.data[time_at], heads[time_at])
    ampere, per_cm2 = _current_unit(heads[current_at].unit)
    current = ampere * _numbers(table.data[current_at])
    known = np.isfinite(time_s) & np.isfinite(current)
    if known.sum() < 2:
        raise UserError("fewer than two rows hold a time and a current", where=path)
    time_s, current = time_s[known], current[known]
    back = np.flatnonzero(np.diff(time_s) < 0)
    if back.size:
        raise UserError(
            f"time goes back in row {back[0] + 2} of the table, from {time_s[back[0]]:g} to "
            f"{time_s[back[0] + 1]:g} s",
            where=path,
            hint="cut the file to one measurement, or name another column as time_column",
        )
    empty = np.full(time_s.size, np.nan)
    density = current if per_cm2 is not None else empty
    if per_cm2 is not None:
        density = density * per_cm2
        current = density * config.area_cm2 if config.area_cm2 is not None else empty
    elif config.area_cm2 is not None:
        density = current / config.area_cm2
    potential = empty
    if potential_at is not None:
        volts = _VOLT.fullmatch(heads[potential_at].unit)
        scale = _PREFIX[volts[1]] if volts else 1.0
        potential = scale * _numbers(table.data[potential_at])[known]
    return pd.DataFrame(
        {
            "time_s": time_s + config.offset_s,
            "current_a": current,
            "current_density_a_cm2": density,
            "potential_v": potential,
        }
    )


def _choose(path: Path, config: CurrentConfig) -> tuple[TextTable, list[_Head], int, int]:
    """Return the longest table that has time and current, and where it has them."""
    tables = sorted(find_tables(path), key=lambda table: -len(table.data))
    seen = []
    for table in tables:
        heads = [_head(*pair) for pair in zip(table.names, table.units, strict=True)]
        seen.append(heads)
        time_at = _column(heads, config.time_column, _TIME, _is_time)
        current_at = _column(heads, config.current_column, _CURRENT, _is_ampere)
        if time_at is not None and current_at is not None:
            return table, heads, time_at, current_at
    lacking = [
        name
        for name, chosen, pattern, fits in (
            ("time_column", config.time_column, _TIME, _is_time),
            ("current_column", config.current_column, _CURRENT, _is_ampere),
        )
        if _column(seen[0], chosen, pattern, fits) is None
    ]
    raise _missing(path, lacking, config, seen)


def _missing(
    path: Path, lacking: list[str], config: CurrentConfig, seen: list[list[_Head]]
) -> UserError:
    what = []
    for name in lacking:
        chosen = getattr(config, name)
        kind = name.removesuffix("_column")
        what.append(f"no column {chosen!r}" if chosen else f"no column of {kind} that is known")
    columns = [head.whole for head in seen[0] if head.whole]
    return UserError(
        " and ".join(what),
        where=path,
        hint=f"found: {', '.join(columns) or 'columns without names'}; name yours under "
        f"[measure.current] as {' and '.join(lacking)}",
    )


def _head(name: str, unit: str) -> _Head:
    """Split "Current (mA)", "<I>/mA", "I [uA/cm^2]" or "current_a" into name and unit."""
    whole = name.strip()
    if unit:
        return _Head(whole, whole, unit.strip("[]() "))
    for form in (r"(.+?)\s*[\[(]([^\[\]()]*(?:\([^()]*\))?[^\[\]()]*)[\])]", r"([^/]+?)\s*/\s*(.+)",
                 r"([^,]+?)\s*,\s*(.+)"):  # fmt: skip
        match = re.fullmatch(form, whole)
        # "WE(1).Current (A)": brackets may be part of the name.
        if match and (_known_unit(match[2])):
            return _Head(whole, match[1].strip(), match[2].strip())
    match = re.fullmatch(r"(.+?)[_ ]+([a-zµμ]{1,3}?)((?:_|/| per )?(?:c|m)m\^?-?2)?", whole, re.I)
    if match:
        base = match[2]
        # In names such as current_ma the unit lost its capital.
        base = re.sub("a$", "A", base) if base not in ("a",) else "A"
        base = re.sub("v$", "V", base)
        bare = base + (f"/{match[3].lstrip('_/ ')}" if match[3] else "")
        if _known_unit(bare):
            return _Head(whole, match[1].strip(), bare)
    return _Head(whole, whole, "")


def _known_unit(unit: str) -> bool:
    unit = unit.strip()
    return _is_time(unit) or _is_ampere(unit) or _is_volts(unit)


def _is_time(unit: str) -> bool:
    return unit.lower() in _SECONDS


def _is_ampere(unit: str) -> bool:
    match = _AMPERE.fullmatch(unit)
    return bool(match and (not match[2].strip() or _PER_AREA.fullmatch(match[2].strip())))


def _is_volts(unit: str) -> bool:
    return bool(_VOLT.fullmatch(unit))


def _column(
    heads: list[_Head], chosen: str | None, name: re.Pattern[str], fits: Callable[[str], bool]
) -> int | None:
    """Return the column of that name; else the first whose name and unit fit, or whose name does.

    Columns without names are chosen by "column 1", "column 2" and so on.
    """
    if chosen is not None:
        wanted = chosen.strip().lower()
        for number, head in enumerate(heads):
            if wanted in (head.whole.lower(), head.name.lower(), f"column {number + 1}"):
                return number
        return None
    named = [at for at, head in enumerate(heads) if name.fullmatch(head.name.replace("_", " "))]
    with_unit = [at for at in named if fits(heads[at].unit)]
    without = [at for at in named if not heads[at].unit]
    return next(iter(with_unit + without), None)


def _current_unit(unit: str) -> tuple[float, float | None]:
    """Return the factor to A, and to A/cm^2 where the unit is per area (None where it is not)."""
    match = _AMPERE.fullmatch(unit.strip())
    if not match:
        return 1.0, None
    area = _PER_AREA.fullmatch(match[2].strip()) if match[2].strip() else None
    return _PREFIX[match[1]], None if area is None else _TO_CM2[area[1] or ""]


def _numbers(column: pd.Series) -> Floats:
    import pandas as pd

    return np.asarray(pd.to_numeric(column, errors="coerce"), dtype=np.float64)


def _times(column: pd.Series, head: _Head) -> Floats:
    """Return seconds; dates and times of day count from the first of them."""
    import pandas as pd

    seconds = _numbers(column)
    if np.isfinite(seconds).any():
        return seconds * _SECONDS.get(head.unit.lower(), 1.0)
    stamps = pd.to_datetime(column.astype(str), errors="coerce", format="mixed")
    since = (stamps - stamps.dropna().min()).dt.total_seconds()
    return np.asarray(since, dtype=np.float64)
