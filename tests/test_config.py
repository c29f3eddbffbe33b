"""Parameters are read, refused and written without loss."""

import tomllib
from pathlib import Path

import pytest

from pitflow.config import (
    Config,
    LinkConfig,
    SegmentConfig,
    dump_config,
    load_config,
    read_toml,
    ready_file,
    ready_pipelines,
)
from pitflow.errors import UserError

ROOT = Path(__file__).resolve().parents[1]
PIPELINES = ROOT / "pipelines"


def test_what_is_written_reads_back_the_same(tmp_path: Path) -> None:
    config = Config(seed=3, link=LinkConfig(memory=5), segment=SegmentConfig(segmenter="clahe"))
    path = tmp_path / "config.toml"
    path.write_text(dump_config(config))
    assert load_config(path) == config


def test_overrides_win_over_the_file_and_none_is_skipped(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("[acquire]\num_per_px = 1.0\nstart = 5\n")
    config = load_config(path, {"acquire.um_per_px": 0.25, "acquire.start": None})
    assert config.acquire.um_per_px == 0.25
    assert config.acquire.start == 5


def test_an_unknown_key_is_named_with_the_known_ones(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("[link]\nmemroy = 5\n")
    with pytest.raises(UserError, match=r"unknown key 'link\.memroy'.*memory"):
        load_config(path)


def test_a_value_out_of_range_is_named(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("[acquire]\num_per_px = -1\n")
    with pytest.raises(UserError, match=r"acquire\.um_per_px = -1"):
        load_config(path)


@pytest.mark.parametrize("text", ["not = = toml", "\x00"])
def test_a_file_that_is_not_toml_is_one_clear_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text)
    with pytest.raises(UserError, match="not a TOML file"):
        load_config(path)


def test_a_missing_file_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot read the configuration"):
        load_config(tmp_path / "none.toml")


RUNS = [
    path
    for path in sorted(PIPELINES.glob("*.toml"))
    if not {"base", "model"} & set(read_toml(path))
]
"""Files that name a base or a model are recipes of trainings."""


@pytest.mark.parametrize(
    ("text", "gate"), [('"auto"', "auto"), ("true", True), ("false", False), ("", "auto")]
)
def test_the_gate_is_on_off_or_as_the_device_needs_it(
    tmp_path: Path, text: str, gate: str | bool
) -> None:
    path = tmp_path / "run.toml"
    path.write_text("[segment.unet]\n" + (f"gate = {text}\n" if text else ""))
    config = load_config(path)
    assert config.segment.unet.gate == gate
    path.write_text(dump_config(config))
    assert load_config(path) == config
    without = load_config(path, {"segment.unet.gate": False})
    assert without.segment.unet.gate is False


@pytest.mark.parametrize("path", RUNS, ids=lambda path: path.stem)
def test_every_pipeline_that_ships_is_valid(path: Path) -> None:
    load_config(path)


def test_the_default_pipeline_shows_the_defaults() -> None:
    assert load_config(PIPELINES / "default.toml") == Config()
    assert (PIPELINES / "default.toml").read_text() == dump_config(Config())


def test_a_ready_pipeline_is_called_by_its_bare_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert ready_pipelines() == [path.stem for path in RUNS]
    for path in RUNS:
        assert load_config(Path(path.stem)) == load_config(path)
    # A file of one's own goes before; a folder is none.
    Path("fast").write_text("seed = 5\n")
    Path("classical").mkdir()
    assert load_config(Path("fast")) == Config(seed=5)
    assert load_config(Path("classical")).segment.segmenter == "clahe"
    with pytest.raises(UserError, match=r"report-2024.*ready ones: .*report-2025"):
        load_config(Path("report-2024"))
    assert ready_file(Path("else/fast")) == Path("else/fast")


def test_ready_pipelines_are_in_the_installed_package() -> None:
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    assert build["targets"]["wheel"]["force-include"] == {"pipelines": "pitflow/pipelines"}


def test_on_a_cluster_no_node_computes_in_its_own_way() -> None:
    unet = load_config(PIPELINES / "slurm.toml").segment.unet
    assert (unet.device, unet.precision) == ("cpu", "float32")


def test_paths_in_a_file_are_looked_for_beside_it_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    for folder in (home, elsewhere):
        folder.mkdir()
        (folder / "f2.csv").touch()
    for name in ("mine", "particles"):
        (home / name).mkdir()
    (elsewhere / "only-here.csv").touch()
    monkeypatch.chdir(elsewhere)
    path = home / "run.toml"

    def read(file: str, model: str) -> tuple[str | None, str]:
        path.write_text(f"[measure.current]\nfile = '{file}'\n[segment.unet]\nmodel = '{model}'\n")
        config = load_config(Path("../home/run.toml"))
        return config.measure.current.file, config.segment.unet.model

    assert read("f2.csv", "mine") == (str(home / "f2.csv"), str(home / "mine"))
    # Where it is not beside the file, and by the names that are no paths, all is as it was.
    assert read("only-here.csv", "particles") == ("only-here.csv", "particles")
    assert read("nowhere.csv", "./particles") == ("nowhere.csv", str(home / "particles"))
    assert read(str(elsewhere / "f2.csv"), "nowhere") == (str(elsewhere / "f2.csv"), "nowhere")
    # What is given beside the file is from the working directory.
    own = load_config(path, {"measure.current.file": "f2.csv"})
    assert own.measure.current.file == "f2.csv"
    path.write_text("measure = 1\n[segment]\nunet = 2\n")
    with pytest.raises(UserError):
        load_config(path)
