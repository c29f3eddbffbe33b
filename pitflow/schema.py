"""The tables: their columns, types, units and meanings.

Every table that crosses a boundary between stages is one of these. Units and meanings travel in
the parquet schema, so a table explains itself wherever it is opened.

Conventions: ``x`` is the column and ``y`` the row in px, origin at the centre of the top-left
pixel, y down. Angles are degrees in [0, 360), 0 along +x, increasing clockwise on the screen.
``frame`` is the frame's index in the recording, from 0. The ``x`` and ``y`` of particles are where
their frame shows them; all else, their angles, distances and velocities too, is in the geometry of
the first good frame: ``x - shift_x_px`` and ``y - shift_y_px``, stage drift removed. -1 stands for
"none" in integer keys and NaN for "not measured" in floats.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pitflow.errors import UserError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

FEWEST_FOR_MODES = 8
"""Particles below which the preferred directions of a pit are not counted."""

DType = Literal["int64", "int32", "float64", "float32", "bool", "string"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its type, its unit ("" when it has none) and its meaning in one line."""

    name: str
    dtype: DType
    unit: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Table:
    """A named set of columns; tables written by pitflow hold these first, in this order.

    ``further`` are the columns that a run writes after them: a table may lack those.
    """

    name: str
    meaning: str
    columns: tuple[Column, ...]
    further: tuple[Column, ...] = ()

    @property
    def names(self) -> list[str]:
        """Column names, in order."""
        return [column.name for column in self.columns]

    def __iter__(self) -> Iterator[Column]:
        return iter(self.columns)


def _columns(text: str) -> tuple[Column, ...]:
    """Parse lines of ``name | dtype | unit | meaning``."""
    rows = ([cell.strip() for cell in line.split("|", 3)] for line in text.strip().splitlines())
    return tuple(Column(name, dtype, unit, meaning) for name, dtype, unit, meaning in rows)  # type: ignore[arg-type]


FRAMES = Table(
    "frames",
    "one row per frame of the recording",
    _columns(
        """
        frame       | int64   |    | index in the recording, from 0
        time_s      | float64 | s  | time since the first frame
        quality     | string  |    | ok, gap (lost before this frame was written), damaged or duplicate
        gain        | float64 |    | brightness relative to the first good frame
        n_particles | int64   |    | moving particles detected
        shift_x_px  | float64 | px | stage drift to the right since the first good frame
        shift_y_px  | float64 | px | stage drift down since the first good frame
        """
    ),
)

PARTICLES = Table(
    "particles",
    "one row per detected particle per frame",
    _columns(
        """
        frame           | int64   |        | index in the recording
        time_s          | float64 | s      | time since the first frame
        x               | float64 | px     | centre, column, in the frame itself (stage drift included)
        y               | float64 | px     | centre, row, in the frame itself (stage drift included)
        particle        | int64   |        | track number, -1 when not linked
        area_px         | float64 | px^2   | area of the mask
        diameter_px     | float64 | px     | diameter of the circle of the same area
        eccentricity    | float64 |        | 0 circle, towards 1 a line
        orientation_deg | float64 | deg    | direction of the long axis, [0, 180), clockwise from +x
        contrast        | float64 |        | peak darkening as a fraction of the local background
        mass            | float64 | px^2   | darkening summed over the particle, as a fraction of the background
        sharpness       | float64 | 1/px   | steepest slope of the edge over peak darkening; large when in focus
        score           | float64 |        | confidence of the detection, 0 to 1
        pit             | int64   |        | source pit, -1 none
        angle_deg       | float64 | deg    | direction from the source pit's centre, stage drift removed: of x - shift_x_px, y - shift_y_px (frames)
        distance_px     | float64 | px     | distance from the source pit's centre, stage drift removed likewise
        vx_um_s         | float64 | um/s   | velocity to the right, stage drift removed
        vy_um_s         | float64 | um/s   | velocity down, stage drift removed
        speed_px        | float64 | px/frame | speed (frames of the median rate where it varies)
        speed_um_s      | float64 | um/s   | speed
        blur_px         | float64 | px     | defocus blur (Gaussian sigma), rises with height
        z_um            | float64 | um     | height above the steel; empty without calibration
        z_err_um        | float64 | um     | standard error of the height
        is_outlier      | bool    |        | speed far from the track's own trend, in one or more frames of a velocity outlier
        """
    ),
    _columns(
        """
        is_glimpse | bool |  | too unsure, or too far off, to be linked: its track led there; no statistic uses it
        z_is_valid | bool |  | seen well enough for a height: alone, whole, with an error that is known
        """
    ),
)

PITS = Table(
    "pits",
    "one row per pit",
    _columns(
        f"""
        pit              | int64   |      | pit number, from 0 in order of onset
        x                | float64 | px   | centre, column, stage drift removed, which angles and distances refer to: of the final area or, where its particles plainly come from elsewhere, that place (centre_of)
        y                | float64 | px   | centre, row, stage drift removed
        onset_frame      | int64   |      | first frame in which it is seen
        onset_x          | float64 | px   | centre of its first pixels, column
        onset_y          | float64 | px   | centre of its first pixels, row
        area_px          | float64 | px^2 | final area
        area_um2         | float64 | um^2 | final area
        is_stable        | bool    |      | still growing at the end (False: stopped growing)
        n_ejected        | int64   |      | particles that left this pit
        mean_angle_deg   | float64 | deg  | circular mean direction of its ejections, one angle per particle
        resultant_length | float64 |      | 0 all directions alike, 1 one direction
        rayleigh_p       | float64 |      | p of the Rayleigh test against uniform ejection
        rayleigh_q       | float64 |      | rayleigh_p adjusted over pits (Benjamini-Hochberg)
        n_modes          | int64   |      | preferred directions, 0 uniform or fewer than {FEWEST_FOR_MODES} particles; several by BIC and with a dip between them deeper than chance
        mean_angle_lo_deg   | float64 | deg | lower end of the interval of the mean direction, 95 % unless set otherwise; NaN where any direction may be the mean one (rayleigh_q above 0.05, fewer than 5 particles)
        mean_angle_hi_deg   | float64 | deg | upper end, clockwise from the lower
        resultant_length_lo | float64 |     | lower end of its interval, likewise
        resultant_length_hi | float64 |     | upper end of its interval
        """
    ),
    _columns(
        """
        centre_of           | string  |      | what the centre is: of the final area, the onset, or where the paths of its particles meet (paths)
        area_x              | float64 | px   | centre of the final area, column
        area_y              | float64 | px   | centre of the final area, row
        perimeter_px        | float64 | px   | perimeter of the final pit
        visible_share       | float64 |      | share of directions in which a departure would be seen
        omnibus_p           | float64 |      | p of Rao's spacing test against uniform ejection, which also sees opposed directions
        omnibus_q           | float64 |      | omnibus_p adjusted over pits (Benjamini-Hochberg)
        flow_speed_um_s     | float64 | um/s | speed at the pit, of the fit v / (1 + r / flow_half_px) to speed over distance
        flow_speed_err_um_s | float64 | um/s | its standard error, of the tracks seen; what the form of the fit misses is not in it
        flow_half_px        | float64 | px   | distance from the pit's centre at which the speed has halved
        flow_half_err_px    | float64 | px   | its standard error, likewise
        """
    ),
)

GROWTH = Table(
    "growth",
    "one row per pit per frame since onset",
    _columns(
        """
        pit       | int64   |      | pit number
        frame     | int64   |      | index in the recording
        area_px   | float64 | px^2 | area in this frame
        new_px    | float64 | px^2 | pixels that became pit in this frame; too few in the last 4 frames, for they must be seen to stay, and a quarter too many in the 4 before
        angle_deg | float64 | deg  | circular mean direction of the new pixels about the onset; empty without any
        """
    ),
    _columns(
        """
        resultant_length | float64 |      | 0 new pixels in all directions alike, 1 in one direction
        area_err_px      | float64 | px^2 | standard error of the area, that of the outline as a whole (0.2 px) included
        area_noise_px    | float64 | px^2 | standard error of the area from frame to frame, with which its changes are compared
        current_a        | float64 | A    | current that dissolves the pit, by its area and an assumed shape; empty without one
        """
    ),
)

EJECTIONS = Table(
    "ejections",
    "one row per particle that left a pit",
    _columns(
        """
        particle    | int64   |      | track number
        pit         | int64   |      | source pit
        frame       | int64   |      | departure from the rim
        x           | float64 | px   | departure, column, stage drift removed
        y           | float64 | px   | departure, row, stage drift removed
        angle_deg   | float64 | deg  | departure direction about the pit's centre
        speed_um_s  | float64 | um/s | speed at departure
        angle_err_deg | float64 | deg | standard error of the angle
        """
    ),
    _columns(
        """
        frame_err       | float64 | frames | standard error of the departure
        gap_px          | float64 | px     | way from the first detection back to the rim
        pit_probability | float64 |        | chance that it came from this pit, against other pits and the open field
        """
    ),
)

CORRELATION = Table(
    "correlation",
    "growth direction against ejection direction over lag; positive lag: ejection follows growth",
    _columns(
        """
        pit  | int64   |        | pit number, -1 pooled over pits
        lag  | int64   | frames | ejection is this much later than growth
        r    | float64 |        | correlation at this lag
        r_lo | float64 |        | lower edge of the 95 % surrogate band (no relation)
        r_hi | float64 |        | upper edge of the 95 % surrogate band (no relation)
        p    | float64 |        | chance of as large an |r|, relative to its band, anywhere over lags without a relation
        """
    ),
    _columns(
        """
        n_pairs     | float64 |  | pairs of frames
        n_effective | float64 |  | so many independent pairs would scatter as much
        q           | float64 |  | p of single pits, adjusted over pits (Benjamini-Hochberg); empty but at the clearest lag of each
        """
    ),
)

OUTLIERS = Table(
    "outliers",
    "one row per velocity outlier, an event of one or more frames",
    _columns(
        """
        particle    | int64   |          | track number
        frame       | int64   |          | index in the recording
        x           | float64 | px       | position, column, stage drift removed
        y           | float64 | px       | position, row, stage drift removed
        speed_px    | float64 | px/frame | speed of the step itself, from one detection to the next; that of particles is a slope over several
        score       | float64 |          | robust score of the residual from the track's trend
        nearest_pit | int64   |          | nearest pit other than the source, -1 none
        distance_px | float64 | px       | distance to that pit's centre
        """
    ),
    _columns(
        """
        duration | float64 | frames   | from its first to its last frame beyond the trend
        trend_px | float64 | px/frame | speed of the trend
        threshold | float64 |         | score that the events of the recording had to pass
        """
    ),
)

CLUSTERING = Table(
    "clustering",
    "whether velocity outliers lie nearer to foreign pits than chance; no row without an outlier",
    _columns(
        """
        n           | int64   |    | velocity outliers tested
        median_px   | float64 | px | their median distance to the nearest pit other than the source
        expected_px | float64 | px | the same at moments drawn at random from the same tracks, in the mean
        p           | float64 |    | chance of a median as small at moments drawn at random
        """
    ),
)

FLIGHTS = Table(
    "flights",
    "height of each track over time while it is above the steel: a parabola against a straight line; ballistic flight has acceleration below 0",
    _columns(
        """
        particle         | int64   |  | track number
        quantity         | string  |  | what was fitted: z_um (um), or blur_px (px) without a calibration
        n                | int64   |  | detections fitted
        rate             | float64 |  | change of the quantity per s at the track's first detection
        rate_err         | float64 |  | its standard error
        acceleration     | float64 |  | change of the rate per s
        acceleration_err | float64 |  | its standard error
        r2_line          | float64 |  | share of the variance that a straight line explains
        r2_parabola      | float64 |  | share of the variance that a parabola explains
        p                | float64 |  | F test of the parabola against the straight line, for errors that persist over frames; empty for the blur, which a fall along a straight line bends too
        """
    ),
    _columns(
        """
        q | float64 |  | p adjusted over flights (Benjamini-Hochberg)
        """
    ),
)

FLOW = Table(
    "flow",
    "mean particle velocity on a grid",
    _columns(
        """
        x       | float64 | px   | centre of the cell, column, stage drift removed
        y       | float64 | px   | centre of the cell, row, stage drift removed
        vx_um_s | float64 | um/s | mean velocity to the right, each track counting once
        vy_um_s | float64 | um/s | mean velocity down, likewise
        n       | int64   |      | velocities in the cell
        domain  | int64   |      | pit whose flow prevails here, -1 none
        """
    ),
    _columns(
        """
        vx_err_um_s | float64 | um/s | standard error over tracks; empty for one track
        vy_err_um_s | float64 | um/s | likewise
        n_tracks    | int64   |      | tracks averaged
        """
    ),
)

PIT_PIXELS = Table(
    "pit_pixels",
    "every pixel that became pit, and when; pit areas and growth follow from it",
    _columns(
        """
        pit   | int64 |    | pit number
        frame | int64 |    | first frame in which the pixel is pit
        x     | int64 | px | column, stage drift removed
        y     | int64 | px | row, stage drift removed
        """
    ),
)

BUBBLES = Table(
    "bubbles",
    "one row per gas bubble per frame; they are no particles",
    _columns(
        """
        frame       | int64   |    | index in the recording
        x           | float64 | px | centre, column, in the frame itself (stage drift included)
        y           | float64 | px | centre, row, in the frame itself (stage drift included)
        diameter_px | float64 | px | diameter of the outer edge of its dark rim
        """
    ),
)

COATED_PANELS = Table(
    "panels",
    "one row per photograph of a coated panel (panels.csv); empty where there is no scribe",
    _columns(
        """
        image                | string  |      | file name of the photograph
        width_px             | int64   | px   | width of the photograph
        height_px            | int64   | px   | height of the photograph
        mm_per_px            | float64 | mm   | size of a pixel, as given
        method               | string  |      | model, colour, or mask given
        scribe               | string  | px   | axis of the scribe, x0,y0,x1,y1; of several, separated by spaces
        scribe_source        | string  |      | given, auto or none
        scribe_length_mm     | float64 | mm   | length of all scribes
        corroded_area_mm2    | float64 | mm^2 | corroded area of the photograph
        corroded_percent     | float64 | %    | its share of the photograph
        scribe_area_mm2      | float64 | mm^2 | that part of it which touches the scribe
        other_area_mm2       | float64 | mm^2 | the rest
        creep_mean_mm        | float64 | mm   | mean creep from the scribe, both sides
        creep_max_mm         | float64 | mm   | largest creep
        creep_left_mean_mm   | float64 | mm   | mean creep to the left (above, if the scribe lies flatter than 45 degrees)
        creep_left_max_mm    | float64 | mm   | largest creep to the left
        creep_right_mean_mm  | float64 | mm   | mean creep to the right (below)
        creep_right_max_mm   | float64 | mm   | largest creep to the right
        rating               | int64   |      | ASTM D1654 rating of the scribe from the mean creep: 10 none, 0 over 16 mm
        rating_unscribed     | int64   |      | ASTM D1654 rating of the rest from its corroded share of the photograph
        """
    ),
)

CREEP = Table(
    "creep",
    "creep along each scribe, one row per px (creep.csv)",
    _columns(
        """
        image       | string  |    | file name of the photograph
        scribe      | int64   |    | number of the scribe, from 0
        position_mm | float64 | mm | distance from the scribe's first end
        left_mm     | float64 | mm | creep to the left (above); empty where another scribe's begins
        right_mm    | float64 | mm | creep to the right (below)
        """
    ),
)

CURRENT = Table(
    "current",
    "one row per frame: what a potentiostat measured then; no rows without `--current`",
    _columns(
        """
        frame       | int64   |    | index in the recording
        time_s      | float64 | s  | time since the first frame
        current_a   | float64 | A  | current; empty outside the potentiostat's file, or if it has densities only
        current_density_a_cm2 | float64 | A/cm^2 | current per area of the electrode
        potential_v | float64 | V  | potential
        n_samples   | int64   |    | samples averaged; 0: interpolated between samples
        """
    ),
    _columns(
        """
        ejections_per_s | float64 | 1/s    | particles that left a pit; the mean of frames lost, damaged or repeated and the next good one; empty after the last good one
        growth_um2_s    | float64 | um^2/s | area that became pit, onsets apart; likewise, and empty in the last 4 good frames, in which it is not yet known
        """
    ),
)

TRANSIENTS = Table(
    "transients",
    "one row per transient of the current: a rise above its baseline and its decay",
    _columns(
        """
        transient    | int64   |      | number, in order of onset
        onset_frame  | int64   |      | frame nearest to the onset
        peak_frame   | int64   |      | frame nearest to the peak
        onset_s      | float64 | s    | onset, time since the first frame
        peak_s       | float64 | s    | peak
        end_s        | float64 | s    | back at the baseline
        rise_s       | float64 | s    | from onset to peak
        decay_s      | float64 | s    | from peak to end
        peak_a       | float64 | A    | height above the baseline
        charge_c     | float64 | C    | charge above the baseline
        peak_a_cm2   | float64 | A/cm^2 | height per area of the electrode
        charge_c_cm2 | float64 | C/cm^2 | charge per area of the electrode
        """
    ),
)

CURRENT_CORRELATION = Table(
    "current_correlation",
    "ejection rate and growth rate against the current over lag; positive lag: they follow it",
    _columns(
        """
        series | string  |        | ejections (per second) or growth (area per second)
        lag    | int64   | frames | the series is this much later than the current
        r      | float64 |        | Pearson's correlation at this lag
        r_lo   | float64 |        | lower edge of the 95 % surrogate band (no relation)
        r_hi   | float64 |        | upper edge of the 95 % surrogate band (no relation)
        p      | float64 |        | chance of as large an |r|, relative to its band, anywhere over lags without a relation
        """
    ),
    _columns(
        """
        n_effective | float64 | | so many independent pairs would scatter as much
        """
    ),
)

MICROGRAPH_PITS = Table(
    "micrograph_pits",
    "one row per pit (or other instance) of a micrograph",
    _columns(
        """
        image           | string  |       | name of the micrograph, without suffix
        pit             | int64   |       | its number in the label image, from 1
        x               | float64 | px    | centre, column
        y               | float64 | px    | centre, row
        score           | float64 |       | confidence of the detection, 0 to 1; empty for given labels
        area_px         | float64 | px^2  | area
        area_um2        | float64 | um^2  | area; empty without a scale
        diameter_px     | float64 | px    | diameter of the circle of the same area
        diameter_um     | float64 | um    | the same; empty without a scale
        circularity     | float64 |       | 4 pi area / perimeter^2 of the outline: 1 a circle
        aspect          | float64 |       | long over short axis of the ellipse of the same moments, from 1
        solidity        | float64 |       | area of the outline over that of its convex hull: 1 convex
        orientation_deg | float64 | deg   | direction of the long axis, [0, 180), clockwise from +x
        contrast        | float64 |       | how much darker than the surface around it, over the brighter of both
        nearest_px      | float64 | px    | distance to the centre of the nearest other pit
        nearest_um      | float64 | um    | the same; empty without a scale
        touches_border  | bool    |       | cut off by the border of the image: its shape is not whole
        line_share      | float64 |       | share of its inside that is dark lines; empty if too small to tell
        line_deg        | float64 | deg   | main direction of the lines, [0, 180), clockwise from +x
        crossing_deg    | float64 | deg   | angle between two families of lines; empty with one or none
        morphology      | string  |       | plain, fissured, crosshatch; empty if too small to tell
        is_flagged      | bool    |       | fissured or crosshatch: may turn into a crack
        """
    ),
)

MICROGRAPHS = Table(
    "micrographs",
    "one row per micrograph, those without a pit too (micrographs.csv)",
    _columns(
        """
        image              | string  |        | name of the micrograph, without suffix
        width_px           | int64   | px     | width of the picture
        height_px          | int64   | px     | its height, without the data bar
        n_pits             | int64   |        | pits in it
        n_at_border        | int64   |        | those of them that its border cuts off
        covered_percent    | float64 | %      | share of it that is pit; what is drawn into it counts neither way
        pits_per_mm2       | float64 | 1/mm^2 | pits over the same area; empty without a scale
        median_diameter_px | float64 | px     | median diameter of its pits; empty without any
        median_diameter_um | float64 | um     | the same; empty without a scale
        """
    ),
)

TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        FRAMES,
        PARTICLES,
        PITS,
        GROWTH,
        EJECTIONS,
        CORRELATION,
        OUTLIERS,
        CLUSTERING,
        FLIGHTS,
        FLOW,
        PIT_PIXELS,
        BUBBLES,
        CURRENT,
        TRANSIENTS,
        CURRENT_CORRELATION,
    )
}


def empty_table(table: Table) -> pd.DataFrame:
    """Return the table without rows, with all columns that a run writes and their types."""
    import pandas as pd

    columns = (*table.columns, *table.further)
    return pd.DataFrame({column.name: pd.Series(dtype=_pandas_dtype(column)) for column in columns})


def validate_table(data: pd.DataFrame, table: Table) -> pd.DataFrame:
    """Return ``data`` with the table's columns first, in order and of the right types.

    Further columns are kept, after the table's own.

    Raises
    ------
    ValueError
        If a column is missing or cannot be converted without loss.
    """
    missing = [name for name in table.names if name not in data.columns]
    if missing:
        raise ValueError(f"table {table.name!r} lacks the columns {', '.join(missing)}")
    extra = [str(name) for name in data.columns if name not in table.names]
    out = data[table.names + extra].reset_index(drop=True)
    for column in table:
        wanted = _pandas_dtype(column)
        if str(out[column.name].dtype) == wanted:
            continue
        try:
            out[column.name] = _converted(out[column.name], column.dtype)
        except ValueError as error:
            raise ValueError(f"{table.name}.{column.name} {error}") from error
    return out


def _converted(values: pd.Series, dtype: DType) -> pd.Series:
    """Return values as another type; integers and truths must be the same numbers as before."""
    if dtype in ("string", "float64", "float32"):
        return values.astype("str" if dtype == "string" else dtype)
    kind = "true or false" if dtype == "bool" else "an integer"
    if values.isna().any():
        raise ValueError(f"is {kind} and holds empty values")
    numbers = values.astype("float64")
    out = numbers.astype(dtype) if values.dtype == object else values.astype(dtype)
    if (out.astype("float64") != numbers).any():
        raise ValueError(f"is {kind} and holds other values")
    return out


def write_table(data: pd.DataFrame, table: Table, path: Path) -> None:
    """Write a validated table as parquet, units and meanings in its schema; atomic."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    arrow = pa.Table.from_pandas(validate_table(data, table), preserve_index=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    pq.write_table(arrow.cast(arrow_schema(arrow.schema, table)), partial, compression="zstd")
    partial.replace(path)


def arrow_schema(schema: pa.Schema, table: Table) -> pa.Schema:
    """Return ``schema`` with the units and meanings of ``table`` in its field metadata."""
    import pyarrow as pa

    known = {column.name: column for column in (*table, *table.further)}
    fields: list[pa.Field] = []
    for field in schema:
        column = known.get(field.name)
        if column is not None:
            field = field.with_metadata({"unit": column.unit, "meaning": column.meaning})
        fields.append(field)
    metadata = dict(schema.metadata or {}) | {b"pitflow_table": table.name.encode()}
    return pa.schema(fields, metadata=metadata)


_PARQUET = b"PAR1"
"""Begins and ends a parquet file."""


def is_parquet(path: Path) -> bool:
    """Return whether a file is a parquet table that was written to its end."""
    with path.open("rb") as file:
        begins = file.read(len(_PARQUET))
        if file.seek(0, 2) < 3 * len(_PARQUET):
            return False
        file.seek(-len(_PARQUET), 2)
        return begins == file.read() == _PARQUET


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Tell what is wrong with a parquet file that is read meanwhile.

    Raises
    ------
    UserError
        If the file is missing or is not parquet.
    """
    import pyarrow as pa

    try:
        yield
    except FileNotFoundError as error:
        raise UserError("no such table", where=path, hint="run `pitflow run` first") from error
    except (pa.ArrowInvalid, OSError) as error:
        raise UserError(
            f"not a readable parquet table ({error})",
            where=path,
            hint="if it is a run's, delete it, and `pitflow run` makes it again",
        ) from error


def read_table(path: Path, table: Table | None = None) -> pd.DataFrame:
    """Read a parquet table; with ``table`` it is validated.

    Raises
    ------
    UserError
        If the file is missing, is not parquet or does not hold the table's columns.
    """
    import pandas as pd

    with readable(path):
        data = pd.read_parquet(path)
    if table is None:
        return data
    try:
        return validate_table(data, table)
    except ValueError as error:
        raise UserError(str(error), where=path) from error


def _pandas_dtype(column: Column) -> str:
    return "str" if column.dtype == "string" else column.dtype
