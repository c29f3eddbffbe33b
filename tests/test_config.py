"""Parameters are read, refused and written without loss."""

from pathlib import Path

import pytest

from pitflow.config import Config, LinkConfig, SegmentConfig, dump_config, load_config, read_toml
from pitflow.errors import UserError

PIPELINES = Path(__file__).resolve().parents[1] / "pipelines"


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
