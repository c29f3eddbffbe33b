"""The tables carry their own meaning and refuse what does not fit."""

import re
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from pitflow import schema
from pitflow.errors import UserError


@pytest.mark.parametrize("table", schema.TABLES.values(), ids=lambda table: table.name)
def test_an_empty_table_survives_the_file_with_columns_and_types(
    table: schema.Table, tmp_path: Path
) -> None:
    path = tmp_path / "tables" / f"{table.name}.parquet"
    schema.write_table(schema.empty_table(table), table, path)
    back = schema.read_table(path, table)
    assert list(back.columns) == [*table.names, *(column.name for column in table.further)]
    assert len(back) == 0
    for column in (*table, *table.further):
        expected = "str" if column.dtype == "string" else column.dtype
        assert str(back[column.name].dtype) == expected, column.name


@pytest.mark.parametrize("table", schema.TABLES.values(), ids=lambda table: table.name)
def test_every_column_has_a_meaning_and_its_unit_is_in_the_file(
    table: schema.Table, tmp_path: Path
) -> None:
    path = tmp_path / "table.parquet"
    schema.write_table(schema.empty_table(table), table, path)
    stored = pq.read_schema(path)
    for column in table:
        metadata = stored.field(column.name).metadata
        assert metadata[b"unit"].decode() == column.unit
        assert metadata[b"meaning"].decode() == column.meaning != ""


def test_the_columns_of_the_specification_are_there() -> None:
    assert schema.GROWTH.names[:5] == ["pit", "frame", "area_px", "new_px", "angle_deg"]
    assert schema.CORRELATION.names[:6] == ["pit", "lag", "r", "r_lo", "r_hi", "p"]
    assert schema.FRAMES.names[:5] == ["frame", "time_s", "quality", "gain", "n_particles"]
    particles = (
        "frame time_s x y particle area_px diameter_px eccentricity orientation_deg contrast mass "
        "sharpness score pit angle_deg distance_px vx_um_s vy_um_s speed_px speed_um_s blur_px "
        "z_um z_err_um is_outlier"
    )
    assert schema.PARTICLES.names[:24] == particles.split()


def test_no_unit_hides_in_a_meaning() -> None:
    unit = re.compile(r"(?<![\w.])(px|um|deg|mm)\b")
    for table in schema.TABLES.values():
        for column in (*table, *table.further):
            if not column.unit and column.dtype != "string":
                assert not unit.search(column.meaning), f"{table.name}.{column.name}"


@pytest.mark.parametrize("table", schema.TABLES.values(), ids=lambda table: table.name)
def test_every_position_says_whether_the_stage_drift_is_in_it(table: schema.Table) -> None:
    for column in table:
        if column.name in ("x", "y"):
            assert "stage drift" in column.meaning, column.name


def test_what_particles_are_measured_from_is_told() -> None:
    """A reader who takes x and y of a drifting recording as they are gets other angles."""
    meanings = {column.name: column.meaning for column in schema.PARTICLES}
    assert "in the frame itself (stage drift included)" in meanings["x"]
    assert "x - shift_x_px, y - shift_y_px" in meanings["angle_deg"]
    for name in ("angle_deg", "distance_px", "vx_um_s", "vy_um_s"):
        assert "stage drift removed" in meanings[name], name


def test_a_missing_column_is_named() -> None:
    with pytest.raises(ValueError, match="'flow' lacks the columns vx_um_s"):
        schema.validate_table(schema.empty_table(schema.FLOW).drop(columns="vx_um_s"), schema.FLOW)


def test_an_integer_column_refuses_empty_values() -> None:
    data = schema.empty_table(schema.PIT_PIXELS).reindex(range(1))
    with pytest.raises(ValueError, match=r"pit_pixels\.pit is an integer"):
        schema.validate_table(data, schema.PIT_PIXELS)


@pytest.mark.parametrize(
    ("table", "column", "wrong"),
    [
        (schema.PIT_PIXELS, "x", [1.7]),
        (schema.PIT_PIXELS, "x", [float("inf")]),
        (schema.PIT_PIXELS, "x", ["left"]),
        (schema.PARTICLES, "is_outlier", [float("nan")]),
        (schema.PARTICLES, "is_outlier", [None]),
        (schema.PARTICLES, "is_outlier", [2]),
    ],
)
def test_no_value_is_changed_to_fit(table: schema.Table, column: str, wrong: list[object]) -> None:
    row = {one.name: [0] for one in table} | {column: wrong}
    with pytest.raises(ValueError, match=rf"{table.name}\.{column} "):
        schema.validate_table(pd.DataFrame(row), table)


def test_whole_numbers_and_truths_of_another_type_are_converted() -> None:
    row: dict[str, list[object]] = {column.name: [0] for column in schema.PARTICLES}
    row |= {"frame": [3.0], "particle": [True], "is_outlier": [1.0]}
    out = schema.validate_table(pd.DataFrame(row), schema.PARTICLES)
    assert out.loc[0, ["frame", "particle", "is_outlier"]].tolist() == [3, 1, True]
    assert out["is_outlier"].dtype == bool


def test_order_is_restored_and_further_columns_are_kept_last() -> None:
    data = pd.DataFrame({"note": ["a"], "y": [2], "x": [1], "frame": [0], "pit": [3]})
    out = schema.validate_table(data, schema.PIT_PIXELS)
    assert list(out.columns) == ["pit", "frame", "x", "y", "note"]


def test_a_file_that_is_no_table_is_one_clear_line(tmp_path: Path) -> None:
    path = tmp_path / "frames.parquet"
    with pytest.raises(UserError, match="no such table"):
        schema.read_table(path)
    path.write_text("frame,time_s\n")
    with pytest.raises(UserError, match="not a readable parquet table"):
        schema.read_table(path)
