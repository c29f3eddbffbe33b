"""`pitflow calibrate`: files in, a calibration that a run reads."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tifffile

from pitflow.calibration import calibrate, read_calibration
from pitflow.cli import main
from pitflow.config import load_config
from pitflow.errors import UserError
from pitflow.schema import read_table
from pitflow.simulate.optics import darkening

Z = np.arange(-8.0, 8.1, 2.0)
K, SIGMA0 = 0.3, 1.2


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine images of four particles, named by number; zipped and as one TIFF beside."""
    folder = tmp_path_factory.mktemp("stack") / "images"
    folder.mkdir()
    rng = np.random.default_rng(1)
    images = []
    for height in Z:
        light = np.full((120, 120), 0.82)
        for i, (x, y) in enumerate(((31, 30), (90, 33), (30, 88), (87, 90))):
            sigma = float(np.hypot(SIGMA0, K * height))
            left, top, patch = darkening(i, 1.2, 3.5, 0.0, sigma, (x, y))
            light[top : top + patch.shape[0], left : left + patch.shape[1]] -= patch
        images.append(np.clip(255 * light + rng.normal(0, 1, light.shape), 0, 255).astype(np.uint8))
    for number, image in enumerate(images):
        tifffile.imwrite(folder / f"z{number:02d}.tif", image)
    tifffile.imwrite(folder.parent / "stack.tif", np.stack(images))
    with zipfile.ZipFile(folder.parent / "stack.zip", "w") as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, file.name)
    return folder


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", ["images", "stack.tif", "stack.zip"])
def test_every_kind_of_stack_gives_the_optics(stack: Path, tmp_path: Path, name: str) -> None:
    made = calibrate(stack.parent / name, tmp_path / "c.toml", step_um=2.0)
    low, high = made.fit.k_px_per_um.interval()
    assert low <= K <= high
    assert made.fit.focus_um.value == pytest.approx(8.0, abs=0.3)
    assert made.figure.stat().st_size > 10_000
    config = load_config(made.toml)
    assert config.measure.focus.k_px_per_um == pytest.approx(made.fit.k_px_per_um.value, rel=1e-5)
    assert read_calibration(made.toml) == config.measure.focus.model_dump()


@pytest.mark.parametrize(
    ("head", "row"),
    [
        ("image,z_um", lambda i, z: f"z{i:02d}.tif,{z}"),
        ("File;z (um)", lambda i, z: f"Z{i:02d};{str(z).replace('.', ',')}"),
        ("index\tz", lambda i, z: f"{i}\t{z}"),
    ],
)
def test_positions_by_name_and_by_index(stack, tmp_path, head, row) -> None:
    rows = [row(i, z) for i, z in enumerate(Z)][::-1]
    positions = write(tmp_path / "positions.csv", "\n".join([head, *rows]))
    made = calibrate(stack, tmp_path / "c.toml", positions=positions)
    assert made.fit.focus_um.value == pytest.approx(0.0, abs=0.3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("picture,height\nz00.tif,1\n", "lacks the columns image and z_um; found: picture, height"),
        ("image,z_um\nz00.tif,low\n", "line 2: 'low' is no height"),
        ("image,z_um\nz77.tif,1\n", "holds no image 'z77.tif'"),
        ("image,z_um\nz00.tif,0\nz01.tif,1\n", "2 heights only"),
        ("image,z_um\nz00.tif,0\n0,1\n", "line 3: the image '0' has a height already"),
        ("", "is empty"),
    ],
)
def test_bad_positions_are_one_line(stack, tmp_path, text, message) -> None:
    positions = write(tmp_path / "positions.csv", text)
    with pytest.raises(UserError, match=message):
        calibrate(stack, tmp_path / "c.toml", positions=positions)
    assert not (tmp_path / "c.toml").exists()


def test_heights_must_be_known_and_other_files_are_kept(stack: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not known"):
        calibrate(stack, tmp_path / "c.toml")
    with pytest.raises(UserError, match="no distance"):
        calibrate(stack, tmp_path / "c.toml", step_um=0.0)
    mine = write(tmp_path / "config.toml", "seed = 3\n")
    with pytest.raises(UserError, match="no calibration"):
        calibrate(stack, mine, step_um=1.0)
    assert mine.read_text() == "seed = 3\n"
    with pytest.raises(UserError, match="holds no calibration"):
        read_calibration(mine)


def test_the_command(stack, tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as code:
        main(["calibrate", str(stack), "--step-um", "2", "--json"])
    assert code.value.code in (0, None)
    facts = json.loads(capsys.readouterr().out)
    assert facts["k_interval_px_per_um"][0] <= K <= facts["k_interval_px_per_um"][1]
    assert Path("calibration.toml").is_file()
    assert main(["calibrate", str(stack)]) == 2
    assert "--step-um" in capsys.readouterr().err


def test_a_run_with_a_calibration_measures_again_and_no_more(small_run, stack, tmp_path) -> None:
    toml = calibrate(stack, tmp_path / "c.toml", step_um=2.0).toml
    folder = tmp_path / "run.pitflow"
    shutil.copytree(small_run, folder)
    began = json.loads((folder / "run.json").read_text())["stages"]
    clip = small_run.parent / "small.avi"
    with pytest.raises(SystemExit) as code:
        main(["run", str(clip), "-o", str(folder), "--calibration", str(toml)])
    assert code.value.code == 0
    ended = json.loads((folder / "run.json").read_text())["stages"]
    same = {name: began[name]["started"] == ended[name]["started"] for name in began}
    assert [name for name, kept in same.items() if not kept] == ["measure", "report"]
    particles = read_table(folder / "tables" / "particles.parquet")
    assert particles["z_um"].notna().any()
