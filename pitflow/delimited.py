"""Tables in text files that other programs and people write: any delimiter, decimal sign, header.

Instruments put lines of settings above their columns, units in the names or on a line of their own,
and commas for points where the language asks for it. The table is found by its rows of numbers.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pitflow.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

_NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?|nan|inf", re.IGNORECASE)
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}((,\d{3})+(\.\d*)?|(\.\d{3})+(,\d*)?)([eE][+-]?\d+)?")
_THOUSANDS_APART = re.compile(r"(?<=\d)[\u00a0\u202f'](?=\d{3})")
_DATE = re.compile(
    r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}[ T]\d{1,2}:\d{2}.*|\d{1,2}:\d{2}(:\d{2}.*|[.,]\d+)?"
)
_DELIMITERS = ("\t", ";", ",", " ")
"""In the order of preference; before that counts which splits most rows, and into numbers only."""
_LEAST_ROWS = 3
"""Fewest rows of numbers that make a table; settings come in ones and twos."""


@dataclass(frozen=True)
class TextTable:
    """A table found in a text file.

    Parameters
    ----------
    names, units:
        One per column, as the file writes them; "" where it has none.
    data:
        The values, columns numbered from 0.
    """

    names: tuple[str, ...]
    units: tuple[str, ...]
    data: pd.DataFrame


def read_text(path: Path) -> str:
    """Return the text of a file in UTF-8, UTF-16 (with its mark or without) or Latin-1.

    Raises
    ------
    UserError
        If the file cannot be read, is empty or is not text.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot be read ({error.strerror})", where=path) from error
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = raw.decode("utf-16", "replace")
    elif len(raw) > 1 and (raw[0] == 0) != (raw[1] == 0):
        text = raw.decode("utf-16-le" if raw[0] else "utf-16-be", "replace")
    else:
        try:
            text = raw.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = raw.decode("latin-1")
    if not text.strip():
        raise UserError("the file is empty", where=path)
    if "\0" in text:
        raise UserError("not a text file", where=path)
    return text


def find_tables(path: Path) -> list[TextTable]:
    """Return every table of numbers in a text file, in order.

    Raises
    ------
    UserError
        If the file cannot be read or holds no table of two columns and three rows.
    """
    lines = _THOUSANDS_APART.sub("", read_text(path)).splitlines()
    found = max(
        (_blocks(lines, delimiter) for delimiter in _DELIMITERS),
        key=lambda blocks: (_rows(blocks), _is_all_numbers(lines, blocks)),
    )
    if not found:
        raise UserError("holds no table of numbers", where=path)
    return [_table(lines, block) for block in found]


def read_columns(path: Path, wanted: dict[str, Sequence[str]]) -> pd.DataFrame:
    """Read a small table whose first line names its columns; every value stays text.

    Parameters
    ----------
    wanted:
        Name of each column to return -> the names under which the file may have it, in any case.

    Raises
    ------
    UserError
        If a column is missing, with those that were found.
    """
    import pandas as pd

    rows = [line for line in read_text(path).splitlines() if line.strip()]
    delimiter = max("\t;,", key=rows[0].count)
    table = pd.read_csv(
        io.StringIO("\n".join(rows)),
        sep=delimiter,
        dtype=str,
        keep_default_na=False,
        skipinitialspace=True,
        index_col=False,
        on_bad_lines="skip",
    )
    heads = {str(name).strip().lstrip("#").strip().lower(): name for name in table.columns}
    chosen = {
        name: next((heads[alias.lower()] for alias in aliases if alias.lower() in heads), None)
        for name, aliases in wanted.items()
    }
    missing = [name for name, head in chosen.items() if head is None]
    if missing:
        raise UserError(
            f"lacks the column{'s' if len(missing) > 1 else ''} {' and '.join(missing)}",
            where=path,
            hint=f"found: {', '.join(str(name).strip() for name in table.columns)}",
        )
    return pd.DataFrame({name: table[head].str.strip() for name, head in chosen.items()})


def to_number(text: str) -> float:
    """Return the number that a text holds, with a point or a comma; NaN if it holds none."""
    return float(text.replace(",", ".")) if _NUMBER.fullmatch(text) else float("nan")


@dataclass(frozen=True, slots=True)
class _Block:
    """Lines ``start`` to ``stop`` (exclusive) that are rows of ``width`` cells."""

    start: int
    stop: int
    width: int
    delimiter: str


def _rows(blocks: list[_Block]) -> int:
    return max((block.stop - block.start for block in blocks), default=0)


def _is_all_numbers(lines: list[str], blocks: list[_Block]) -> bool:
    """Whether every cell of the first row is a number: a comma in numbers may split them too."""
    cells = _split(lines[blocks[0].start], blocks[0].delimiter) if blocks else []
    return bool(cells) and all(map(_is_number, filter(None, cells)))


def _blocks(lines: list[str], delimiter: str) -> list[_Block]:
    """Return the runs of rows of numbers."""
    found: list[_Block] = []
    start, width = 0, 0
    for number, line in enumerate([*lines, ""]):
        # Within a table only the number of cells and the first sign are looked at: files are long.
        if width and _continues(line, delimiter, width):
            continue
        if width and number - start >= _LEAST_ROWS:
            found.append(_Block(start, number, width, delimiter))
        cells = _split(line, delimiter)
        start, width = (number, len(cells)) if _is_row(cells) else (0, 0)
    return found


def _continues(line: str, delimiter: str, width: int) -> bool:
    if delimiter == " ":
        return len(line.split()) == width and line.lstrip()[0] in "+-.0123456789nNiI"
    return line.count(delimiter) == width - 1 and line.lstrip(f" {delimiter}")[:1] not in ("", "#")


def _split(line: str, delimiter: str) -> list[str]:
    if delimiter == " ":
        return line.split()
    return [cell.strip().strip('"') for cell in line.split(delimiter)]


def _is_row(cells: list[str]) -> bool:
    """Whether most cells are numbers, and two are; a date and time counts."""
    filled = [cell for cell in cells if cell]
    numbers = sum(_is_number(cell) or bool(_DATE.fullmatch(cell)) for cell in filled)
    return numbers >= 2 and 2 * numbers >= len(filled)


def _is_number(cell: str) -> bool:
    return bool(_NUMBER.fullmatch(cell) or _THOUSANDS.fullmatch(cell))


def _table(lines: list[str], block: _Block) -> TextTable:
    import pandas as pd

    names, units = _header(lines, block)
    body = lines[block.start : block.stop]
    text = "\n".join(body)
    decimal, thousands = _signs(text, block.delimiter)
    data = pd.read_csv(
        io.StringIO(text),
        sep=r"\s+" if block.delimiter == " " else block.delimiter,
        decimal=decimal,
        thousands=thousands,
        header=None,
        names=list(range(block.width)),
        skipinitialspace=True,
        index_col=False,
        low_memory=False,
    )
    return TextTable(names, units, data)


def _signs(text: str, delimiter: str) -> tuple[str, str | None]:
    """Return the decimal sign of a table, and the sign between thousands if it has one.

    Where both signs are in numbers, the one between thousands is followed by three digits wherever
    it stands. Thousands may be reached late: in such numbers as 1,234.5 they are looked for in all
    rows, else the first ones tell.
    """
    if delimiter == ",":
        return ".", None
    for decimal, thousands in (".,", ",."):
        both = rf"(?<![\d.,])[1-9]\d{{0,2}}(?:\{thousands}\d{{3}})+\{decimal}\d"
        if re.search(both, text):
            return decimal, thousands
    some = [cell for line in text.split("\n", 200)[:200] for cell in _split(line, delimiter)]
    commas, points = ([cell for cell in some if sign in cell and _is_number(cell)] for sign in ",.")
    if commas and points and all(map(_THOUSANDS.fullmatch, commas)):
        return ".", ","
    if commas and points and all(map(_THOUSANDS.fullmatch, points)):
        return ",", "."
    return "," if commas else ".", None


def _header(lines: list[str], block: _Block) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return names and units of the columns from the lines above the rows."""
    above = list(_above(lines, block))
    none = ("",) * block.width
    if not above:
        return none, none
    if _all_units(above[0]):
        if len(above) == 2 and not any(_is_setting(cell) for cell in above[1]):
            return above[1], above[0]
        if all(_UNIT.fullmatch(cell.strip("[]() ")) for cell in above[0]):
            return none, above[0]
    return above[0], none


def _above(lines: list[str], block: _Block) -> Iterator[tuple[str, ...]]:
    """Yield up to two lines above the rows that have as many cells, the nearest first."""
    number = block.start - 1
    while number >= 0 and not lines[number].strip():
        number -= 1
    for line in reversed(lines[max(number - 1, 0) : number + 1]):
        cells = _split(line.lstrip("#%") if line[:1] in "#%" else line, block.delimiter)
        if len(cells) == block.width - 1 and lines[block.start].rstrip()[-1:] == block.delimiter:
            cells.append("")
        if len(cells) != block.width or _is_row(cells):
            return
        yield tuple(cells)


def _is_setting(cell: str) -> bool:
    """Whether a cell names or holds a setting, as in "Date and time:", "2024-05-03 14:23:05"."""
    return cell.endswith(":") or bool(_NUMBER.fullmatch(cell) or _DATE.fullmatch(cell))


_UNIT = re.compile(
    r"#|-|bits?|pt|deg ?C|°C|"
    r"([pnuµμmkM]?(s|sec|min|h|hr|V|A|C|Q|Ohm|W|Hz)(?![a-z])|mm|hours?|seconds?)"
    r"([ /*·^.²\-\d]|cm|m\b|vs\.?|Ref\.?|SCE|SHE|RHE|Ag|AgCl|Eoc)*",
)


def _all_units(cells: tuple[str, ...]) -> bool:
    """Whether a line holds units, not names."""
    filled = [cell.strip("[]() ") for cell in cells if cell]
    known = sum(bool(_UNIT.fullmatch(cell)) for cell in filled)
    return known >= 2 and 2 * known >= len(filled)
