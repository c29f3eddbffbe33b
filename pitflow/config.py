"""Every parameter of a run: one frozen model per stage, written to and read from TOML.

Unknown keys are refused, so a misspelt parameter never falls back to a default in silence. How a
run is executed (workers, progress) is not here: it must not change any result.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pitflow.errors import UserError

_HERE = Path(__file__).parent
_READY = (_HERE / "pipelines", _HERE.parent / "pipelines")
"""Where ready files of parameters lie: in an installed package, or beside it in a checkout."""
_PATHS = (("measure", "current", "file"), ("segment", "unet", "model"))
"""Parameters that name a file or folder."""


class Model(BaseModel):
    """Frozen, and refuses unknown keys and numbers that are none."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False
    )


AnyModel = TypeVar("AnyModel", bound=BaseModel)


class AcquireConfig(Model):
    """Reading, checking and storing the frames."""

    um_per_px: float = Field(0.48, gt=0, description="size of a pixel, um")
    fps: float | None = Field(None, gt=0, description="frames per second; None: as the file says")
    start: int = Field(0, ge=0, description="first frame analysed")
    stop: int | None = Field(None, gt=0, description="one past the last frame; None: to the end")
    invert: bool = Field(
        False, description="turn the grey values round, where particles are brighter than the steel"
    )
    store_frames: bool = Field(True, description="write video.zarr")
    block_frames: int = Field(48, ge=8, description="frames per background, and per task")
    background_samples: int = Field(
        13, ge=3, description="frames of a block whose median is its background"
    )


class PitConfig(Model):
    """Finding the pits: near-black regions that stay and grow."""

    darkness: float = Field(
        0.5, gt=0, lt=1, description="a pit is darker than this share of the steel around it"
    )
    min_area_px: float = Field(
        60.0,
        gt=0,
        description="smallest final area of a pit, px^2; what is there from the start and does not "
        "grow by half is dirt, unless it has six times this area",
    )


class ChangeConfig(Model):
    """Moving particles against the time-local background."""

    threshold: float = Field(5.0, gt=0, description="detection threshold, noise sigmas")
    smallest_scale_px: float = Field(
        1.2, ge=0.8, description="smallest blob scale searched (Gaussian sigma), px"
    )
    n_scales: int = Field(4, ge=1, le=6, description="number of scales, each twice the one before")


class ClaheConfig(Model):
    """The CLAHE baseline (paper 002, Fig. 11)."""

    clip_limit: float = Field(2.0, gt=0, description="CLAHE contrast limit")
    tile_px: int = Field(64, ge=8, description="CLAHE tile, px")
    min_area_px: float = Field(6.0, gt=0, description="smallest contour kept, px^2")
    max_area_px: float = Field(2000.0, gt=0, description="largest contour kept, px^2")


class ReportChainConfig(Model):
    """The paper's chain (paper 002, Fig. 2b): first-frame difference, equalisation, MOG2."""

    history: int = Field(500, gt=0, description="MOG2 history, frames")
    var_threshold: float = Field(16.0, gt=0, description="MOG2 squared Mahalanobis threshold")
    opening_px: int = Field(
        3, ge=1, description="morphological opening of the moving pixels (Fig. 11), px; 1: none"
    )
    min_area_px: float = Field(6.0, gt=0, description="smallest contour kept, px^2")
    max_area_px: float = Field(2000.0, gt=0, description="largest contour kept, px^2")


UNetPrecision = Literal["auto", "float32"]


class UNetConfig(Model):
    """The particle network, and where it looks."""

    model: str = Field("particles", description="name of an included model, or path of one")
    device: str = Field("auto", description="auto, cpu, cuda (all GPUs), cuda:N or mps")
    precision: UNetPrecision = Field(
        "auto",
        description="auto: half on a GPU; on the processor bfloat16 where it has instructions for "
        "it, else whole numbers of 8 bits; float32: single precision everywhere",
    )
    threshold: float | None = Field(
        None, gt=0, lt=1, description="confidence from which on it is a particle; None: the model's"
    )
    gate: Literal["auto"] | bool = Field(
        "auto",
        description="look only where something is darker than before; auto: on the processor, "
        "while on a GPU whole frames are searched",
    )
    gate_threshold: float = Field(
        5.0,
        gt=0,
        description="how much darker, noise sigmas of a frame and those around it together",
    )
    gate_rim_px: float = Field(
        24.0, ge=0, description="and everywhere as near as this to a pit, px"
    )
    full_every: int = Field(
        300,
        ge=1,
        description="each place is looked at once in so many frames whatever it shows, to measure "
        "what is lost",
    )


class SegmentConfig(Model):
    """Which segmenter, and the parameters of each; change finds candidates for unet too."""

    segmenter: str = Field("unet", description="unet, change, clahe or report")
    pits: PitConfig = PitConfig()
    unet: UNetConfig = UNetConfig()
    change: ChangeConfig = ChangeConfig()
    clahe: ClaheConfig = ClaheConfig()
    report: ReportChainConfig = ReportChainConfig()


class LinkConfig(Model):
    """Joining detections into tracks with trackpy."""

    search_range_px: float = Field(
        25.0, gt=0, description="largest distance from the predicted position, px"
    )
    memory: int = Field(3, ge=0, description="frames a particle may be missed")
    gap_frames: int = Field(
        10, ge=1, description="longest gap between two pieces of a track that are joined, frames"
    )
    gap_px: float = Field(50.0, gt=0, description="and the longest way across it, px")
    min_length: int = Field(4, ge=1, description="shortest track kept, detections")
    least_move_px: float = Field(
        6.0, ge=0, description="a track that never gets further than this is not seen to move, px"
    )
    keep_unlinked: bool = Field(
        False,
        description="keep all detections in no track, which are not seen to move; else only the "
        "sure ones at the end, which came too late for one",
    )
    glimpse_px: float = Field(
        4.0,
        ge=0,
        description="where a track leads, what is too unsure to be a particle by itself continues "
        "it from as near as this, px; 0: never",
    )
    rest_px: float = Field(
        1.5, ge=0, description="a particle that stays within this of its last place is at rest, px"
    )
    rest_frames: int = Field(
        15, ge=2, description="frames at rest from which on a particle counts as landed"
    )


class EjectionConfig(Model):
    """Source pit and ejection angle."""

    rim_distance_px: float = Field(
        45.0, gt=0, description="farthest from the rim that an ejected particle is first seen, px"
    )
    early_px: float = Field(
        12.0, gt=0, description="length of a track's start whose direction is that at departure, px"
    )
    confidence: float = Field(0.95, gt=0, lt=1, description="coverage of every interval")
    bootstrap: int = Field(1000, ge=100, description="bootstrap resamples")


class GrowthConfig(Model):
    """The current that dissolves a pit, from its area and an assumed shape."""

    geometry: Literal["none", "hemisphere", "disc"] = Field(
        "none", description="assumed shape: none (no current), hemisphere or disc"
    )
    depth_ratio: float = Field(
        1.0, gt=0, description="hemisphere: depth over the radius of the mouth, 1 for a hemisphere"
    )
    disc_depth_um: float = Field(20.0, gt=0, description="disc: its constant depth, um")
    current_window_frames: float = Field(
        5.0, ge=0.5, description="Gaussian window over which the volume's slope is taken, frames"
    )


class CorrelationConfig(Model):
    """Growth direction against ejection direction over lag."""

    method: Literal["circular", "report"] = Field(
        "circular", description="circular correlation, or the paper's Pearson of mean angles"
    )
    max_lag: int = Field(60, ge=1, description="largest lag, frames")
    surrogates: int = Field(500, ge=50, description="surrogate series behind the band and p")
    smooth_frames: float = Field(
        1.5, ge=0, description="Gaussian window over which growth directions are averaged, frames"
    )


class VelocityConfig(Model):
    """Velocity outliers."""

    threshold: float = Field(5.0, gt=0, description="robust score that makes an outlier")
    false_share: float = Field(
        0.1, gt=0, le=1, description="the score asked for rises until this share of events is false"
    )
    min_excess: float = Field(
        0.5, ge=0, description="and its excess over the trend, as a share of the trend's speed"
    )
    max_mass_change: float = Field(
        2.0, gt=1, description="where the mass changes by a larger factor, links are wrong"
    )
    max_speed_um_s: float = Field(
        1000.0, gt=0, description="faster steps are wrong links, not motion, um/s"
    )


class FocusConfig(Model):
    """Height from focus: sigma^2 = sigma0^2 + (k |z|)^2."""

    sigma0_px: float | None = Field(None, gt=0, description="blur in focus, px; None: uncalibrated")
    k_px_per_um: float | None = Field(None, gt=0, description="blur per height, px/um")
    sigma0_err_px: float = Field(0.0, ge=0, description="standard error of sigma0_px, px")
    k_err_px_per_um: float = Field(0.0, ge=0, description="standard error of k_px_per_um, px/um")


class FlowConfig(Model):
    """The mean velocity field."""

    cell_px: float = Field(64.0, gt=0, description="side of a grid cell, px")


class CurrentConfig(Model):
    """What a potentiostat recorded meanwhile."""

    file: str | None = Field(None, description="its file of time, potential and current")
    time_column: str | None = Field(None, description="name of a column; None: by its usual names")
    current_column: str | None = Field(None, description="name of a column; None: likewise")
    potential_column: str | None = Field(None, description="name of a column; None: likewise")
    offset_s: float = Field(
        0.0,
        description="time in the recording less time in the file, s: 2 if the file began 2 s on",
    )
    area_cm2: float | None = Field(None, gt=0, description="area of the electrode, cm^2")
    baseline_s: float = Field(
        10.0, gt=0, description="window over which the level under the transients is followed, s"
    )
    threshold: float = Field(
        5.0, gt=0, description="height of a transient above its baseline, noise sigmas"
    )


class MeasureConfig(Model):
    """From tracks to the answers."""

    ejection: EjectionConfig = EjectionConfig()
    growth: GrowthConfig = GrowthConfig()
    correlation: CorrelationConfig = CorrelationConfig()
    velocity: VelocityConfig = VelocityConfig()
    focus: FocusConfig = FocusConfig()
    flow: FlowConfig = FlowConfig()
    current: CurrentConfig = CurrentConfig()


class ReportConfig(Model):
    """The page and its figures."""

    title: str = Field("", description="title of the page; empty: the name of the recording")
    svg: bool = Field(True, description="write every figure as SVG too")
    equal_area: bool = Field(
        False, description="sectors of polar plots have areas, not radii, in proportion to shares"
    )
    max_pits: int = Field(
        12, ge=1, le=60, description="pits drawn one by one; the table always has all"
    )


class Config(Model):
    """All parameters of a run."""

    seed: int = Field(0, ge=0, description="seed of every random draw")
    acquire: AcquireConfig = AcquireConfig()
    segment: SegmentConfig = SegmentConfig()
    link: LinkConfig = LinkConfig()
    measure: MeasureConfig = MeasureConfig()
    report: ReportConfig = ReportConfig()


def load_config(path: Path | None, overrides: dict[str, Any] | None = None) -> Config:
    """Read a TOML file over the defaults, then dotted ``overrides`` over both.

    A relative path in the file is looked for beside the file first, then in the working directory.

    Parameters
    ----------
    path:
        The file, or the bare name of a ready one; None: the defaults.
    overrides:
        Dotted names ("segment.segmenter") to values; None values are skipped.

    Raises
    ------
    UserError
        If the file is missing or not TOML, or a key is unknown or out of range.
    """
    values: dict[str, Any] = {}
    if path is not None:
        path = ready_file(path)
        if not path.suffix and not path.is_file():
            raise UserError(
                "no configuration of this name or path",
                where=path,
                hint=f"ready ones: {', '.join(ready_pipelines())}",
            )
        values = read_toml(path)
        _look_beside(path.parent, values)
    for dotted, value in (overrides or {}).items():
        if value is None:
            continue
        *parents, name = dotted.split(".")
        target = values
        for parent in parents:
            target = target.setdefault(parent, {})
        target[name] = value
    return build(Config, values, where=path or "configuration")


def ready_file(path: Path) -> Path:
    """Return the ready file of parameters that a bare name means; a file of that name goes before.

    What is no such name is returned as it is.
    """
    if path.name == str(path) and not path.is_file():
        for folder in _READY:
            if (found := folder / f"{path}.toml").is_file():
                return found
    return path


def ready_pipelines() -> list[str]:
    """Return the names of the ready configurations of a run."""
    files = [file for folder in _READY for file in folder.glob("*.toml")]
    known = Config.model_fields.keys()
    return sorted(file.stem for file in files if read_toml(file).keys() <= known)


def _look_beside(folder: Path, values: dict[str, Any]) -> None:
    """Replace relative paths that lead to something from a folder by absolute ones."""
    included = {model.name for model in (_HERE / "models").iterdir()}
    for *parents, name in _PATHS:
        table: Any = values
        for parent in parents:
            table = table.get(parent) if isinstance(table, dict) else None
        given = table.get(name) if isinstance(table, dict) else None
        # The bare name of an included model is always that model.
        if isinstance(given, str) and given not in {"", *included}:
            beside = folder / given
            if beside.exists():
                table[name] = str(beside.resolve())


def read_toml(path: Path) -> dict[str, Any]:
    """Return what a TOML file holds.

    Raises
    ------
    UserError
        If the file is missing or not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UserError(f"cannot read the configuration ({error.strerror})", where=path) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"not a TOML file ({error})", where=path) from error


def build(model: type[AnyModel], values: dict[str, Any], *, where: object) -> AnyModel:
    """Return a validated model of ``values``.

    Raises
    ------
    UserError
        If a key is unknown, with the keys that are known there, or a value is out of range.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            known = ", ".join(_keys_at(model, first["loc"][:-1]))
            raise UserError(
                f"unknown key {key!r}", where=where, hint=f"known keys there: {known}"
            ) from error
        place = f"{key} = {first['input']!r}: " if key else ""
        raise UserError(f"{place}{first['msg']}", where=where) from error


def merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Return ``base`` with the values of ``over``, tables merged key by key.

    A table that says its ``kind`` anew replaces the one of another kind whole.
    """
    result = dict(base)
    for key, value in over.items():
        old: Any = result.get(key)
        tables = isinstance(old, dict) and isinstance(value, dict)
        if tables and value.get("kind", old.get("kind")) == old.get("kind"):
            result[key] = merged(old, value)
        else:
            result[key] = value
    return result


def dump_config(config: Config) -> str:
    """Return the configuration as TOML with every parameter and its meaning.

    Parameters that are None stand in a comment, since TOML has no empty value.
    """
    lines: list[str] = []
    _dump(config, (), lines)
    return "\n".join(lines).strip() + "\n"


def _keys_at(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    for part in location:
        annotation = model.model_fields[str(part)].annotation
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        model = annotation
    return list(model.model_fields)


def _dump(model: BaseModel, path: tuple[str, ...], lines: list[str]) -> None:
    import json

    tables: list[tuple[str, BaseModel]] = []
    if path:
        lines += ["", f"[{'.'.join(path)}]"]
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            tables.append((name, value))
        elif value is None:
            lines.append(f"# {name} =  # {field.description}")
        else:
            lines.append(f"{name} = {json.dumps(value)}  # {field.description}")
    for name, value in tables:
        _dump(value, (*path, name), lines)
