"""Time, potential and current as a potentiostat writes them.

Gamry (.DTA), BioLogic (.mpt) and other text exports alike: the table of numbers is found, and its
columns by their names and units, unless the configuration names them.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
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

_TIME = re.compile(r"t|time|elapsed( time)?|corrected time|time ?stamp|date ?time|zeit|temps", re.I)
_CURRENT = re.compile(
    r"i1?|<i>|im|i ?m(eas(ured)?)?|j|<j>|ia|i density"
    r"|(we\(\d\)\.)?(current|strom|courant|intensity)( density)?",
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
_CLOCK = re.compile(r"h+:m+:s+([.,]\S*)?")
_MINUTES = re.compile(r"^\s*(\d+:\d{1,2}(?:[.,]\d*)?)\s*$")
_AMPERE = re.compile(r"([pnuµμmk]?)A(?:mp(?:ere)?s?)?(.*)", re.I)
_PER_AREA = re.compile(
    r"(?:/ ?| ?per ?|[·. *]?)(c|m)?m(?:(?:\^|\*\*)?[-−]?2|²|⁻²|[-−]2|\^\(?-2\)?)"
)
_VOLT = re.compile(r"([nuµμmk]?)V(?:olts?)?\b.*")
_TO_CM2 = {"c": 1.0, "": 1e-4, "m": 1e2}
_OVERFLOW = 9e36
"""Instruments write 9.9e37 for what they cannot measure (SCPI-99, 7.2)."""
_DAY_S = 86400.0
_UNIX_S, _UNIX_MS = 1e9, 1e12
"""Since 1970: from 2001 on, and none that counts from its start."""
_SERIAL_DAYS = 36526.0, 73051.0
"""2000 to 2099 in the days of spreadsheets."""
_SHORTEST_STEP = 1e-3
"""Days are this close to each other; seconds of a file that lasts longer than one are not."""


@dataclass(frozen=True, slots=True)
class _Head:
    """A column's name and unit, told apart."""

    whole: str
    name: str
    unit: str


@dataclass(frozen=True, slots=True)
class _Measurement:
    """Rows of a file that go on in time, their seconds, heads, and the column of the current."""

    data: pd.DataFrame
    time_s: Floats
    heads: list[_Head]
    time_at: int
    current_at: int


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
        and its density follow from each other where the area is given. ``attrs["notes"]`` says in
        words what of the file was left out.

    Raises
    ------
    UserError
        If the file cannot be read, has no column of time or current (with those it has), or its
        times do not increase.
    """
    import pandas as pd

    measured, notes = _choose(path, config)
    data, time_s, heads = measured.data, measured.time_s, measured.heads
    potential_at = _column(heads, config.potential_column, _POTENTIAL, _is_volts)
    if potential_at is None and config.potential_column is not None:
        raise _missing(path, ["potential_column"], config, heads)
    ampere, per_cm2 = _current_unit(heads[measured.current_at].unit)
    current = ampere * _numbers(data[measured.current_at])
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
    elif (beside := _density_column(heads, config.current_column)) is not None:
        ampere, per_cm2 = _current_unit(heads[beside].unit)
        density = ampere * _numbers(data[beside])[known] * (per_cm2 or 1.0)
    elif config.area_cm2 is not None:
        density = current / config.area_cm2
    potential = empty
    if potential_at is not None:
        volts = _VOLT.fullmatch(heads[potential_at].unit)
        scale = _PREFIX[volts[1]] if volts else 1.0
        potential = scale * _numbers(data[potential_at])[known]
    samples = pd.DataFrame(
        {
            "time_s": time_s + config.offset_s,
            "current_a": current,
            "current_density_a_cm2": density,
            "potential_v": potential,
        }
    )
    samples.attrs["notes"] = notes
    return samples


def _choose(path: Path, config: CurrentConfig) -> tuple[_Measurement, list[str]]:
    """Return the longest measurement in a file, and notes on what else it holds.

    Tables of the same columns of which each goes on in time where the one before ends, as a
    potentiostat writes the steps of one measurement, are one.
    """
    seen: list[tuple[int, list[_Head]]] = []
    found: list[_Measurement] = []
    for heads, tables in _alike(find_tables(path)):
        seen.append((sum(map(len, tables)), heads))
        time_at = _column(heads, config.time_column, _TIME, _is_time)
        current_at = _current_column(heads, config.current_column)
        if time_at is not None and current_at is not None:
            found += _measurements(heads, tables, time_at, current_at)
    if found:
        longest = max(found, key=lambda one: len(one.data))
        others = sum(len(one.data) for one in found) - len(longest.data)
        note = (
            f"{path.name} holds {len(found)} tables of time and current that do not go on from "
            f"each other: the longest, of {len(longest.data)} rows, was used, the other {others} "
            "rows were not"
        )
        notes = [note] if len(found) > 1 else []
        time_at = longest.time_at
        if not longest.heads[time_at].unit and _parts_of_a_day(_numbers(longest.data[time_at])):
            notes.append(
                f"times in {path.name} have no unit and stay below 1: they were read as parts of a "
                "day; if they are seconds, name the column Time (s)"
            )
        return longest, notes
    _, heads = max(seen, key=lambda one: one[0])
    lacking = ["time_column"] * (_column(heads, config.time_column, _TIME, _is_time) is None)
    lacking += ["current_column"] * (_current_column(heads, config.current_column) is None)
    raise _missing(path, lacking, config, heads)


def _measurements(
    heads: list[_Head], tables: list[pd.DataFrame], time_at: int, current_at: int
) -> list[_Measurement]:
    """Return tables of the same columns, joined where the time goes on from one to the next."""
    import pandas as pd

    data = pd.concat(tables, ignore_index=True)
    time_s = _times(data[time_at], heads[time_at])
    reached = np.fmax.accumulate(np.concatenate([[-np.inf], time_s[:-1]]))
    begin = np.cumsum([len(table) for table in tables[:-1]], dtype=np.int64)
    cut = [0, *begin[time_s[begin] < reached[begin]], len(data)]
    return [
        _Measurement(data[start:stop], time_s[start:stop], heads, time_at, current_at)
        for start, stop in pairwise(cut)
    ]


def _alike(tables: list[TextTable]) -> Iterator[tuple[list[_Head], list[pd.DataFrame]]]:
    """Yield heads and values of the tables of the same columns, in order of the file.

    Rows below a blank line or a remark have no names of their own: they go on with those above.
    """
    found: dict[tuple[_Head, ...], list[pd.DataFrame]] = {}
    heads: tuple[_Head, ...] = ()
    for table in tables:
        if len(table.names) != len(heads) or any(table.names) or any(table.units):
            heads = tuple(_head(*pair) for pair in zip(table.names, table.units, strict=True))
        found.setdefault(heads, []).append(table.data)
    for own, data in found.items():
        yield list(own), data


def _missing(
    path: Path, lacking: list[str], config: CurrentConfig, heads: list[_Head]
) -> UserError:
    what = []
    for name in lacking:
        chosen = getattr(config, name)
        kind = name.removesuffix("_column")
        what.append(f"no column {chosen!r}" if chosen else f"no column of {kind} that is known")
    columns = [head.whole or head.unit for head in heads if head.whole or head.unit]
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
            # "j/(A/cm2)": the stroke is no part of the name.
            return _Head(whole, match[1].strip(" /"), match[2].strip())
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
    return unit.lower() in _SECONDS or bool(_CLOCK.fullmatch(unit.lower()))


def _is_ampere(unit: str) -> bool:
    match = _AMPERE.fullmatch(unit)
    return bool(match and (not match[2].strip() or _PER_AREA.fullmatch(match[2].strip())))


def _is_per(unit: str) -> bool:
    return _is_ampere(unit) and _current_unit(unit)[1] is not None


def _is_volts(unit: str) -> bool:
    return bool(_VOLT.fullmatch(unit))


def _column(
    heads: list[_Head], chosen: str | None, name: re.Pattern[str], fits: Callable[[str], bool]
) -> int | None:
    """Return the column of that name; else the first whose name and unit fit, or whose name does.

    Where a file gives units only, the first with such a unit.

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
    nameless = [at for at, head in enumerate(heads) if not head.name and fits(head.unit)]
    return next(iter(with_unit + without + nameless), None)


def _current_column(heads: list[_Head], chosen: str | None) -> int | None:
    """Return the column of the current, or where there is none that of its density."""
    whole = _column(heads, chosen, _CURRENT, lambda unit: _is_ampere(unit) and not _is_per(unit))
    return _column(heads, chosen, _CURRENT, _is_ampere) if whole is None else whole


def _density_column(heads: list[_Head], chosen: str | None) -> int | None:
    """Return the column of the current's density beside that of the current itself."""
    at = None if chosen is not None else _column(heads, None, _CURRENT, _is_per)
    return at if at is not None and _is_per(heads[at].unit) else None


def _current_unit(unit: str) -> tuple[float, float | None]:
    """Return the factor to A, and to A/cm^2 where the unit is per area (None where it is not)."""
    match = _AMPERE.fullmatch(unit.strip())
    if not match:
        return 1.0, None
    area = _PER_AREA.fullmatch(match[2].strip()) if match[2].strip() else None
    return _PREFIX[match[1].lower()], None if area is None else _TO_CM2[area[1] or ""]


def _numbers(column: pd.Series) -> Floats:
    """Return the numbers of a column, NaN where it holds none or one that says overload."""
    import pandas as pd

    numbers = np.asarray(pd.to_numeric(column, errors="coerce"), dtype=np.float64)
    return np.where(np.abs(numbers) < _OVERFLOW, numbers, np.nan)


def _times(column: pd.Series, head: _Head) -> Floats:
    """Return seconds; dates and times of day count from the first of them."""
    seconds = _numbers(column)
    if np.isfinite(seconds).any():
        return _counted(seconds, _SECONDS.get(head.unit.lower()))
    text = column.astype(str).str.replace(_MINUTES, r"0:\1", regex=True)
    # 05/06 may be the 5th of June or the 6th of May: a measurement is the shorter of the two.
    some = text.iloc[np.linspace(0, len(text) - 1, min(len(text), 1000)).astype(np.int64)]
    since = _since(text, min((False, True), key=lambda first: _span(_since(some, first))))
    if not text.str.contains(r"[-/]|\d\.\d+\.\d").any():
        # Times of day begin anew at midnight.
        known = np.isfinite(since)
        days = np.cumsum(np.diff(since[known], prepend=since[known][:1]) < -_DAY_S / 2.0)
        since[known] += _DAY_S * days
        since -= np.nanmin(since, initial=np.inf)
    return since


def _counted(number: Floats, unit_s: float | None) -> Floats:
    """Return seconds; since 1970, days of spreadsheets and parts of one count from the first on."""
    known = number[np.isfinite(number)]
    first = float(known[0])
    if first > _UNIX_S:
        return (number - first) * (unit_s or (1e-3 if first > _UNIX_MS else 1.0))
    serial = _SERIAL_DAYS[0] <= first <= _SERIAL_DAYS[1] and _are_close(known)
    if unit_s is None and (serial or _parts_of_a_day(number)):
        return (number - first) * _DAY_S
    return number * (unit_s or 1.0)


def _parts_of_a_day(number: Floats) -> bool:
    known = number[np.isfinite(number)]
    return bool(known.size and known[0] >= 0.0 and known[-1] < 1.0 and _are_close(known))


def _are_close(number: Floats) -> bool:
    """Return whether numbers follow each other as closely as days do."""
    return number.size > 1 and 0.0 < float(np.median(np.diff(number))) < _SHORTEST_STEP


def _since(text: pd.Series, dayfirst: bool) -> Floats:
    """Return the seconds since the first of times of day or dates, NaN for what is neither."""
    import pandas as pd

    # Hours may be more than 24 of a time that counts from the start.
    clock = pd.to_timedelta(text.str.replace(",", "."), errors="coerce")
    if clock.notna().any():
        return np.array((clock - clock.min()).dt.total_seconds(), dtype=np.float64)
    with warnings.catch_warnings():
        # A date that can only be read the other way is read so.
        warnings.simplefilter("ignore", UserWarning)
        stamps = pd.to_datetime(text, errors="coerce", format="mixed", dayfirst=dayfirst)
    return np.array((stamps - stamps.dropna().min()).dt.total_seconds(), dtype=np.float64)


def _span(since: Floats) -> tuple[int, float]:
    """Return how many times are not known, and the length of what the others span, s."""
    known = since[np.isfinite(since)]
    return since.size - known.size, float(known.max(initial=0.0))
