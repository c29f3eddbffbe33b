"""Potentiostats' files of every make give the same numbers, and useless ones a clear line."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from pitflow.acquire.current import read_current
from pitflow.config import CurrentConfig
from pitflow.errors import UserError

T = 0.1 * np.arange(40)
E = -0.2 + 1e-3 * np.arange(40)
I = 1e-6 * (1.5 + np.sin(T))  # noqa: E741
ROWS = list(zip(T, E, I, strict=True))


def comma(text: str) -> str:
    return text.replace(".", ",")


def gamry() -> str:
    ocv = "".join(f"\t{k}\t{k}\t-0.2\t-0.2\t0\t...........\t0\n" for k in range(6))
    head = "\tPt\tT\tVf\tIm\tVu\tSig\tAch\tIERange\tOver\tTemp\n"
    units = "\t#\ts\tV vs. Ref.\tA\tV\tV\tV\t#\tbits\tdeg C\n"
    rows = "".join(
        f"\t{k}\t{t:.5E}\t{e:.5E}\t{i:.5E}\t0\t0\t0\t8\t...........\t0\n"
        for k, (t, e, i) in enumerate(ROWS)
    )
    return (
        "EXPLAIN\nTAG\tCHRONOA\nAREA\tQUANT\t1.0E+000\tSample Area (cm^2)\n"
        "OCVCURVE\tTABLE\t6\n\tPt\tT\tVf\tVm\tAch\tOver\tTemp\n"
        "\t#\ts\tV vs. Ref.\tV\tV\tbits\tdeg C\n"
        f"{ocv}CURVE\tTABLE\t40\n{head}{units}{rows}"
    )


def biologic() -> str:
    head = "mode\tox/red\terror\ttime/s\tcontrol/V\tEwe/V\t<I>/mA\tdq/mA.h\n"
    rows = "".join(comma(f"2\t1\t0\t{t:.5E}\t0\t{e:.5E}\t{1e3 * i:.5E}\t0\n") for t, e, i in ROWS)
    return f"EC-Lab ASCII FILE\nNb header lines : 6\n\nElectrode area : 0,001 cm²\n\n{head}{rows}"


def lines(head: str, form: str) -> str:
    return "\n".join([head, *(form.format(t=t, e=e, i=i) for t, e, i in ROWS)])


FILES = {
    "plain": lines("time_s,potential_v,current_a", "{t:.4f},{e:.4f},{i:.7e}"),
    "spaces": lines("Time/sec  Potential/V  Current/A", "{t:.4f}  {e:.4f}  {i:.7e}"),
    "nova": lines("Time (s);WE(1).Potential (V);WE(1).Current (A)", "{t:.4f};{e:.4f};{i:.7e}"),
    "comment": "Instrument: X\nDate: 1 May\n\n"
    + lines("# t/s, I/A, E/V vs SCE", "{t:.4f}, {i:.7e}, {e:.4f}"),
    "unit row": lines("Time,Voltage,Current\ns,V,A", "{t:.4f},{e:.4f},{i:.7e}"),
    "german": comma("\n".join(
        ["Zeit (s);Potential (mV);Strom (µA)",
         *(f"{t:.4f};{1e3 * e:.4f};{1e6 * i:.6f}" for t, e, i in ROWS)]
    )),
    "lower case": "\n".join(
        ["time_ms,i_ua,ewe_mv", *(f"{1e3 * t:.2f},{1e6 * i:.6f},{1e3 * e:.3f}" for t, e, i in ROWS)]
    ),
    "volts": lines("E(Volts)\tI(Amps)\tT(Seconds)", "{e:.4f}\t{i:.7e}\t{t:.4f}"),
    "remark between": lines("Time/s;I/A;E/V", "{t:.4f};{i:.7e};{e:.4f}").replace(
        "\n2.0000;", "\n# the camera starts\n2.0000;"
    ),
    "both currents": lines(
        "t/s;j/(A/cm2);I/A;E/V", "{t:.4f};9.0;{i:.7e};{e:.4f}"
    ),
    "gamry": gamry(),
    "biologic": biologic(),
}  # fmt: skip


def write(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    file = folder / "current.txt"
    file.write_text(text, encoding=encoding)
    return file


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_every_make_gives_the_same_numbers(tmp_path, name, encoding) -> None:
    table = read_current(write(tmp_path, FILES[name], encoding), CurrentConfig(offset_s=2.0))
    np.testing.assert_allclose(table["time_s"], T + 2.0, atol=1e-4)
    np.testing.assert_allclose(table["potential_v"], E, atol=1e-5)
    np.testing.assert_allclose(table["current_a"], I, rtol=1e-4)
    density = table["current_density_a_cm2"]
    assert (density == 9).all() if name == "both currents" else density.isna().all()


def test_the_tables_of_one_measurement_are_one(tmp_path) -> None:
    head = "\tPt\tT\tVf\tIm\n\t#\ts\tV vs. Ref.\tA\n"

    def curves(restart: bool) -> str:
        text = "EXPLAIN\nTAG\tCHRONOA\n"
        for number, (start, stop) in enumerate(((0, 10), (10, 30), (30, 40)), start=1):
            begin = T[start] if restart else 0.0
            rows = (
                f"\t{k}\t{T[k] - begin:.4f}\t{E[k]:.4f}\t{I[k]:.7e}\n" for k in range(start, stop)
            )
            text += f"CURVE{number}\tTABLE\t{stop - start}\n{head}{''.join(rows)}"
        return text

    table = read_current(write(tmp_path, curves(restart=False)), CurrentConfig())
    np.testing.assert_allclose(table["time_s"], T, atol=1e-4)
    np.testing.assert_allclose(table["current_a"], I, rtol=1e-6)
    assert table.attrs["notes"] == []
    table = read_current(write(tmp_path, curves(restart=True)), CurrentConfig())
    np.testing.assert_allclose(table["current_a"], I[10:30], rtol=1e-6)
    (note,) = table.attrs["notes"]
    assert "3 tables of time and current" in note
    assert "of 20 rows, was used, the other 20 rows were not" in note


def test_units_alone_tell_the_columns(tmp_path) -> None:
    rows = "".join(f"{t:.3f},{1e6 * i:.7f}\n" for t, _, i in ROWS)
    text = f"Notes:\n\nChronoamperometry: 316L,\nDate and time:,2024-05-03 14:23:05\ns,µA\n{rows}"
    for above in (text, f"s,µA\n{rows}"):
        table = read_current(write(tmp_path, above, "utf-16"), CurrentConfig())
        np.testing.assert_allclose(table["current_a"], I, rtol=1e-5)
        np.testing.assert_allclose(table["time_s"], T, atol=1e-3)


def test_an_overload_is_no_current(tmp_path) -> None:
    rows = [(t, 9.91e37 if 5 <= k < 8 else i) for k, (t, _, i) in enumerate(ROWS)]
    text = "\n".join(["time_s,current_a", *(f"{t:.3f},{i:.6e}" for t, i in rows)])
    table = read_current(write(tmp_path, text), CurrentConfig())
    np.testing.assert_allclose(table["current_a"], np.delete(I, [5, 6, 7]), rtol=1e-5)


def test_hours_may_be_more_than_a_day(tmp_path) -> None:
    stamps = [f"{23 + k // 10}:{6 * (k % 10):02d}:00.5" for k in range(40)]
    text = "\n".join(["Time (h:m:s);I (A)", *(f"{t};1e-6" for t in stamps)])
    table = read_current(write(tmp_path, text), CurrentConfig())
    np.testing.assert_allclose(table["time_s"], 360.0 * np.arange(40))


@pytest.mark.parametrize(
    ("first", "form"),
    [
        ("2024-05-12 23:59:59", "%d.%m.%Y %H:%M:%S.%f"),
        ("2024-05-31 23:59:59", "%d/%m/%Y %H:%M:%S.%f"),
        ("2024-05-12 23:59:59", "%m/%d/%Y %H:%M:%S.%f"),
        ("2024-05-12 23:59:59", "%Y-%m-%d %H:%M:%S.%f"),
        ("2024-05-12 23:59:59", "%H:%M:%S.%f"),
    ],
)
def test_dates_and_times_of_day_go_on_over_midnight(tmp_path, first, form) -> None:
    stamps = [(datetime.fromisoformat(first) + timedelta(seconds=t)).strftime(form) for t in T]
    text = "\n".join(["Time;I (A)", *(f"{t};{i:.6e}" for t, i in zip(stamps, I, strict=True))])
    table = read_current(write(tmp_path, text), CurrentConfig())
    np.testing.assert_allclose(table["time_s"], T, atol=1e-4)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_is_read_without_its_mark(tmp_path, encoding) -> None:
    table = read_current(write(tmp_path, FILES["plain"], encoding), CurrentConfig())
    np.testing.assert_allclose(table["current_a"], I, rtol=1e-4)


@pytest.mark.parametrize(
    "signs", [",.", ".,", "\u00a0.", "\u202f,", "'."], ids=["en", "de", "space", "narrow", "ch"]
)
def test_signs_between_thousands_are_no_decimals(tmp_path, signs) -> None:
    place = str.maketrans(",.", signs)
    time_s = 2.5 + 100.0 * np.arange(40)
    rows = (f"{t:,.3f}\t{1e9 * i:,.3f}".translate(place) for t, i in zip(time_s, I, strict=True))
    table = read_current(write(tmp_path, "\n".join(["t/s\tI/nA", *rows])), CurrentConfig())
    np.testing.assert_allclose(table["time_s"], time_s)
    np.testing.assert_allclose(table["current_a"], I, rtol=1e-3)
    # Of whole numbers the decimals of the other columns tell.
    rows = (f"{100 * k:,}\t{1e6 * i:.4f}".translate(place) for k, i in enumerate(I))
    table = read_current(write(tmp_path, "\n".join(["t/s\tI/uA", *rows])), CurrentConfig())
    np.testing.assert_allclose(table["time_s"], 100.0 * np.arange(40))
    np.testing.assert_allclose(table["current_a"], I, rtol=1e-3)


def test_a_decimal_comma_between_spaces_splits_no_number(tmp_path) -> None:
    rows = (comma(f"{t:.3f}  {i:.6e}") for t, _, i in ROWS)
    config = CurrentConfig(time_column="column 1", current_column="column 2")
    table = read_current(write(tmp_path, "\n".join(["t/s  I/A", *rows])), config)
    np.testing.assert_allclose(table["time_s"], T, atol=1e-3)
    np.testing.assert_allclose(table["current_a"], I, rtol=1e-5)


@pytest.mark.parametrize(
    ("head", "times"),
    [
        ("Time (s)", 1714746185.0 + T),
        ("timestamp", 1000 * (1714746185.0 + T)),
        ("Time", 45415.6 + T / 86400),
        ("Time", 0.6 + T / 86400),
        ("Time", [f"{int(t) // 60:02d}:{t % 60:04.1f}" for t in 50 * T]),
        ("Datetime", [f"2025-11-03 11:{int(t) // 60:02d}:{t % 60:06.3f}" for t in 50 * T]),
    ],
    ids=["since 1970", "ms since 1970", "serial days", "parts of a day", "minutes", "dates"],
)
def test_times_of_other_beginnings_count_from_the_first(tmp_path, head, times) -> None:
    cells = (time if isinstance(time, str) else f"{time:.9f}" for time in times)
    rows = (f"{time},{i:.6e}" for time, i in zip(cells, I, strict=True))
    table = read_current(write(tmp_path, "\n".join([f"{head},I (A)", *rows])), CurrentConfig())
    expected = 50 * T if isinstance(times, list) else T
    np.testing.assert_allclose(table["time_s"], expected, atol=1e-3)


@pytest.mark.parametrize(("head", "told"), [("Time", True), ("Time (s)", False)])
def test_times_below_1_are_told_to_be_taken_for_parts_of_a_day(tmp_path, head, told) -> None:
    rows = (f"{k / 4000:.5f},1e-6" for k in range(1000))
    table = read_current(write(tmp_path, "\n".join([f"{head},I (A)", *rows])), CurrentConfig())
    assert any("parts of a day" in note for note in table.attrs["notes"]) == told
    assert table["time_s"].max() == pytest.approx(999 / 4000 * (86400 if told else 1))


@pytest.mark.parametrize("head", ["Current (ma)", "I/MA", "i1/mA"])
def test_the_case_of_a_unit_does_not_matter(tmp_path, head) -> None:
    text = "\n".join([f"t/s;{head}", *(f"{t:.3f};{1e3 * i:.8f}" for t, _, i in ROWS)])
    table = read_current(write(tmp_path, text), CurrentConfig())
    np.testing.assert_allclose(table["current_a"], I, rtol=1e-4)


@pytest.mark.parametrize(
    ("head", "factor"),
    [
        ("t (min);j (uA/cm^2)", 1e6),
        ("t (min);j (µA/cm²)", 1e6),
        ("t (min);Current density (mA cm-2)", 1e3),
        ("t (min);j [A/m2]", 1e4),
        ("t (min);j (mA / cm^2)", 1e3),
        ("t (min);j (mA/cm**2)", 1e3),
        ("time_min;i_ma_cm2", 1e3),
    ],
)
def test_currents_per_area(tmp_path, head, factor) -> None:
    text = "\n".join([head, *(f"{t / 60:.8f};{i * factor:.8e}" for t, _, i in ROWS)])
    file = write(tmp_path, text)
    table = read_current(file, CurrentConfig())
    np.testing.assert_allclose(table["time_s"], T, atol=1e-5)
    np.testing.assert_allclose(table["current_density_a_cm2"], I, rtol=1e-6)
    assert table["current_a"].isna().all()
    assert table["potential_v"].isna().all()
    with_area = read_current(file, CurrentConfig(area_cm2=0.5))
    np.testing.assert_allclose(with_area["current_a"], 0.5 * I, rtol=1e-6)


def test_columns_by_name_by_place_and_times_of_day(tmp_path) -> None:
    text = "\n".join(["when;strange;other", *(f"{t:.3f};{i:.6e};{e:.4f}" for t, e, i in ROWS)])
    config = CurrentConfig(
        time_column="when", current_column="strange", potential_column="column 3"
    )
    table = read_current(write(tmp_path, text), config)
    np.testing.assert_allclose(table["current_a"], I, rtol=1e-5)
    np.testing.assert_allclose(table["potential_v"], E, atol=1e-6)
    stamps = "\n".join(
        ["time,I (A)", *(f"2024-05-03 12:59:{58 + t:06.3f},{i:.6e}" for t, _, i in ROWS[:20])]
    )
    table = read_current(write(tmp_path, stamps), CurrentConfig())
    np.testing.assert_allclose(table["time_s"], T[:20], atol=1e-6)


@pytest.mark.parametrize(
    ("text", "config", "message"),
    [
        ("a,b\n1,2\n2,3\n3,4\n", {}, "no column of time .* no column of current .* found: a, b"),
        ("time_s,b\n1,2\n2,3\n3,4\n", {}, "no column of current that is known; found: time_s, b"),
        ("time_s,current_a\n1,2\n2,3\n3,4\n", {"current_column": "x"}, "no column 'x'"),
        ("time_s,current_a\n1,2\n2,3\n1,4\n", {}, "time goes back in row 3"),
        ("nothing here\n", {}, "no table of numbers"),
        ("", {}, "is empty"),
    ],
)
def test_useless_files_are_one_line(tmp_path, text, config, message) -> None:
    with pytest.raises(UserError, match=message):
        read_current(write(tmp_path, text), CurrentConfig(**config))


def test_a_missing_file_is_one_line(tmp_path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        read_current(tmp_path / "none.csv", CurrentConfig())
