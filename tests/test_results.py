"""A run as a notebook reads it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import zarr

from pitflow import schema
from pitflow.acquire.opening import open_source
from pitflow.acquire.store import image_file
from pitflow.compute import Compute
from pitflow.config import Config
from pitflow.errors import UserError
from pitflow.results import open_results
from pitflow.run import run, write_report_again


@pytest.fixture
def moved(small_run: Path, tmp_path: Path) -> Path:
    """The run taken to another place, its recording gone."""
    folder = Path(shutil.copytree(small_run, tmp_path / "moved.pitflow"))
    manifest = json.loads((folder / "run.json").read_text())
    manifest["input"]["path"] = str(tmp_path / "gone.avi")
    (folder / "run.json").write_text(json.dumps(manifest))
    return folder


@pytest.mark.parametrize("name", schema.TABLES)
def test_every_table_has_a_meaning_for_each_column(small_run: Path, name: str) -> None:
    results = open_results(small_run)
    units = results.units(name)
    assert list(units.index) == list(results.table(name).columns)
    for column in schema.TABLES[name]:
        assert units.loc[column.name, "unit"] == column.unit
        assert units.loc[column.name, "meaning"] == column.meaning


def test_images_are_those_of_the_recording(small_clip: Path, small_run: Path) -> None:
    results = open_results(str(small_run))
    number, image, _ = next(iter(open_source(small_clip).read(7, 8)))
    np.testing.assert_array_equal(results.frame(number), image)
    masks = zarr.open_array(small_run / "masks.zarr" / "0", mode="r")
    np.testing.assert_array_equal(results.mask(7), masks[7])
    # The steel behind a frame is the frame but for noise and what is on it.
    difference = results.background(7).astype(float) - image
    assert results.background(7).shape == image.shape
    assert abs(np.median(difference)) < 3


def test_stacks_are_lazy(small_run: Path) -> None:
    results = open_results(small_run)
    assert isinstance(results.video, da.Array)
    assert results.video.shape == results.masks.shape == (30, 160, 200)
    assert results.video.chunksize == (1, 160, 200)
    np.testing.assert_array_equal(results.video[7].compute(), results.frame(7))
    np.testing.assert_array_equal(results.masks[7].compute(), results.mask(7))


def test_everything_is_there_without_the_recording(small_run: Path, moved: Path) -> None:
    here, there = open_results(small_run), open_results(moved)
    np.testing.assert_array_equal(there.frame(29), here.frame(29))
    np.testing.assert_array_equal(there.background(29), here.background(29))
    np.testing.assert_array_equal(there.mask(29), here.mask(29))
    assert there.table("particles").equals(here.table("particles"))
    assert there.figure("overview").axes


def test_frames_that_were_not_stored_come_from_the_recording(
    small_clip: Path, small_run: Path, tmp_path: Path
) -> None:
    clip = Path(shutil.copy(small_clip, tmp_path / "clip.avi"))
    config = Config.model_validate(
        {"acquire": {"store_frames": False, "start": 10, "stop": 24}, "report": {"svg": False}}
    )
    run(clip, tmp_path / "run", config, Compute(2))
    results = open_results(tmp_path / "run")
    np.testing.assert_array_equal(results.frame(12), open_results(small_run).frame(12))
    with pytest.raises(UserError, match="stored no frames"):
        results.video  # noqa: B018
    with pytest.raises(UserError, match="frame 3 was not analysed, only 10 to 23"):
        results.mask(3)
    clip.unlink()
    again = open_results(tmp_path / "run")
    assert again.mask(12).shape == again.background(12).shape == (160, 200)
    with pytest.raises(UserError, match="the recording is gone"):
        again.frame(12)


def test_frames_that_were_not_stored_are_turned_round_as_they_were_analysed(
    small_clip: Path, small_run: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(small_run, tmp_path / "run"))
    manifest = json.loads((folder / "run.json").read_text())
    manifest["config"]["acquire"] |= {"invert": True, "store_frames": False}
    (folder / "run.json").write_text(json.dumps(manifest))
    _, image, _ = next(iter(open_source(small_clip).read(7, 8)))
    np.testing.assert_array_equal(open_results(folder).frame(7), 255 - image)


def test_a_corrected_scale_is_that_of_the_images(
    small_clip: Path, small_run: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(small_run, tmp_path / "copy.pitflow"))
    config = Config.model_validate(
        {"acquire": {"um_per_px": 1.2, "fps": 30}, "report": {"svg": False}}
    )
    run(small_clip, folder, config, Compute(2))
    for name, step_s in (("video", 1 / 30), ("masks", 1 / 30), ("background", 48 / 30)):
        ome = zarr.open_group(folder / f"{name}.zarr", mode="r").attrs["ome"]
        (dataset,) = ome["multiscales"][0]["datasets"]
        (transformation,) = dataset["coordinateTransformations"]
        assert transformation["scale"] == pytest.approx([step_s, 1.2, 1.2])
    assert "image-label" in zarr.open_group(folder / "masks.zarr", mode="r").attrs["ome"]


def test_a_lost_frame_is_no_black_image(moved: Path) -> None:
    path = moved / "parts" / "acquire" / "frames.parquet"
    frames = schema.read_table(path, schema.FRAMES)
    frames.loc[frames["frame"] == 5, "quality"] = "gap"
    schema.write_table(frames, schema.FRAMES, path)
    with pytest.raises(UserError, match="frame 5 is lost or damaged"):
        open_results(moved).frame(5)


def test_a_frame_whose_file_is_gone_or_damaged_is_no_black_image(moved: Path) -> None:
    image_file(moved / "video.zarr", 7).unlink()
    image_file(moved / "video.zarr", 8).write_bytes(b"nonsense")
    results = open_results(moved)
    with pytest.raises(UserError, match=r"video\.zarr: image 7 is lost"):
        results.frame(7)
    with pytest.raises(UserError, match=r"video\.zarr: image 8 is damaged"):
        results.frame(8)
    image_file(moved / "background.zarr", 0).unlink()
    with pytest.raises(UserError, match=r"background\.zarr: image 0 is lost"):
        open_results(moved).background(7)


def test_a_class_map_whose_file_is_gone_is_told_from_an_empty_one(moved: Path) -> None:
    masks = zarr.open_array(moved / "masks.zarr" / "0", mode="r+")
    masks = masks.with_config({"write_empty_chunks": True})
    masks[6] = 0
    image_file(moved / "masks.zarr", 7).unlink()
    results = open_results(moved)
    assert not results.mask(6).any()
    with pytest.warns(UserWarning, match=r"class map of 1 frame \(the first is 7\)"):
        assert not results.mask(7).any()
    page = write_report_again(moved).read_text(encoding="utf-8")
    said = "class map of 1 frame (the first is 7)"
    assert page.count(said) == 1
    assert sum(said in text for text in open_results(moved).manifest.warnings) == 1
    masks[7] = 0
    assert said not in write_report_again(moved).read_text(encoding="utf-8")


def test_figures_of_the_report_are_drawn_anew(small_run: Path) -> None:
    results = open_results(small_run)
    figure = results.figure("quality")
    assert len(figure.axes) >= 2
    with pytest.raises(UserError, match="known: overview, "):
        results.figure("nonsense")


def test_the_summary_is_short_and_safe(moved: Path) -> None:
    manifest = json.loads((moved / "run.json").read_text())
    manifest["input"]["name"] = "<script>.avi"
    (moved / "run.json").write_text(json.dumps(manifest))
    results = open_results(moved)
    assert "<script>.avi, 200 x 160 px, 15 frames/s" in repr(results)
    assert "frames (30 rows), " in repr(results)
    assert "pits (1 row), " in repr(results)
    page = results._repr_html_()
    assert "&lt;script&gt;.avi" in page
    assert "<script>" not in page


def test_what_is_not_there_is_one_clear_line(small_run: Path, moved: Path) -> None:
    with pytest.raises(UserError, match="no run here"):
        open_results(moved.parent)
    with pytest.raises(UserError, match="no table is called 'pit'; known: frames, "):
        open_results(small_run).table("pit")
    (moved / "tables" / "pits.parquet").unlink()
    for look in (open_results(moved).table, open_results(moved).units):
        with pytest.raises(UserError, match=r"pits.* has not got that far"):
            look("pits")
    assert "pits (" not in repr(open_results(moved))


def test_a_run_that_was_stopped_early_opens_with_what_is_done(moved: Path) -> None:
    manifest = json.loads((moved / "run.json").read_text())
    (moved / "run.json").write_text(json.dumps(manifest | {"recording": {}, "stages": {}}))
    for part in ("tables", "masks.zarr", "video.zarr", "parts", "background.zarr"):
        shutil.rmtree(moved / part)
    results = open_results(moved)
    for text in (repr(results), results._repr_html_()):
        assert "not read yet" in text
        assert "nothing yet" in text
    assert results.rows == {}
    for look in (results.frame, results.mask, results.background):
        with pytest.raises(UserError, match="before it had read its recording"):
            look(0)
    for stack in ("video", "masks"):
        with pytest.raises(UserError, match="has not got that far"):
            getattr(results, stack)
    with pytest.raises(UserError, match="before it had read its recording"):
        results.figure("polar")


def test_class_maps_that_are_not_there_yet_are_one_clear_line(moved: Path) -> None:
    shutil.rmtree(moved / "masks.zarr")
    with pytest.raises(UserError, match=r"masks.zarr: the run has not got that far"):
        open_results(moved).mask(3)


def test_a_run_that_was_renamed_while_open_says_so(moved: Path) -> None:
    results = open_results(moved)
    moved.rename(moved.with_name("renamed.pitflow"))
    for look in (lambda: results.table("pits"), lambda: results.frame(2), lambda: results.masks):
        with pytest.raises(UserError, match="no longer there; open it where it is now"):
            look()


@pytest.mark.parametrize("index", [1.5, "3", None])
def test_a_frame_is_a_whole_number(small_run: Path, index: object) -> None:
    with pytest.raises(UserError, match="is no frame; frames are whole numbers"):
        open_results(small_run).frame(index)  # type: ignore[arg-type]


def test_what_a_notebook_calls_takes_paths_as_text(moved: Path, tmp_path: Path) -> None:
    from pitflow.comparison import compare
    from pitflow.score import score_run
    from pitflow.simulate.config import SimulateConfig
    from pitflow.simulate.simulate import simulate

    scene = SimulateConfig(frames=30, height=64, width=64, pits=1)
    simulate(str(tmp_path / "clip.avi"), scene, str(tmp_path / "truth"), seed=1)
    assert (tmp_path / "truth" / "truth.json").is_file()
    assert score_run(str(moved), str(tmp_path / "truth")).sections
    assert write_report_again(str(moved)) == moved / "report.html"
    groups = tmp_path / "groups.csv"
    groups.write_text("run,concentration_mM\nmoved.pitflow,10\n")
    compare([str(moved)], str(tmp_path / "compared"), groups=str(groups))
    assert (tmp_path / "compared" / "compare.html").is_file()


def test_a_tilde_is_the_home_folder(moved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(moved.parent))
    monkeypatch.setenv("USERPROFILE", str(moved.parent))
    monkeypatch.chdir(moved)
    assert open_results("~/moved.pitflow").folder == moved
    with pytest.raises(UserError, match=str(moved.parent / "no.avi")):
        run("~/no.avi", "~/no.pitflow")
    assert not Path("~").exists()
