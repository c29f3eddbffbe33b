"""The whole pipeline on a small recording: what it leaves, and how it resumes."""

from __future__ import annotations

import json
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import zarr

from pitflow import run as pipeline
from pitflow import schema
from pitflow.acquire.current import read_current
from pitflow.acquire.opening import open_source
from pitflow.comparison import compare
from pitflow.compute import THREADS_PER_PROCESS, Compute, Silent
from pitflow.config import (
    ClaheConfig,
    Config,
    CurrentConfig,
    MeasureConfig,
    SegmentConfig,
    UNetConfig,
)
from pitflow.console.recordings import print_score
from pitflow.domains.included import find_model
from pitflow.errors import UserError
from pitflow.figure_process import FigureProcess
from pitflow.provenance import COMMON_CODE, open_run
from pitflow.results import open_results
from pitflow.score import score_run
from pitflow.segment.checkpoint import CARD
from pitflow.segment.classical import window
from pitflow.simulate.config import SimulateConfig
from pitflow.simulate.simulate import simulate
from pitflow.stages.inputs import lasting
from pitflow.stages.job import Job, finished_job
from pitflow.stages.report import report

FRAMES = 72
CONFIG = Config.model_validate(
    {"acquire": {"block_frames": 24}, "report": {"svg": False}, "measure": {}}
)


class Recorded(Silent):
    """Progress that remembers what every stage said at its end."""

    def __init__(self) -> None:
        self.said: dict[str, str] = {}
        self._stage = ""

    def start(self, stage: str, total: int) -> None:
        self._stage = stage

    def finish(self, message: str = "") -> None:
        self.said[self._stage] = message


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording of two pits, with its truth beside it."""
    folder = tmp_path_factory.mktemp("clip")
    config = SimulateConfig(frames=FRAMES, height=300, width=360, pits=2, rate=0.5)
    simulate(folder / "clip.avi", config, folder / "truth", seed=5)
    return folder / "clip.avi"


@pytest.fixture(scope="module")
def finished(clip: Path) -> Path:
    """An uninterrupted run of the recording."""
    folder = clip.parent / "finished.pitflow"
    pipeline.run(clip, folder, CONFIG, Compute(2))
    return folder


@pytest.fixture
def copied(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished run, to be changed."""
    return Path(shutil.copytree(finished, tmp_path / "copy.pitflow"))


def tables(folder: Path) -> dict[str, pd.DataFrame]:
    return {
        name: schema.read_table(folder / "tables" / f"{name}.parquet", table)
        for name, table in schema.TABLES.items()
    }


def assert_same(left: Path, right: Path) -> None:
    """All tables and class maps of two runs are equal."""
    one, two = tables(left), tables(right)
    for name in one:
        pd.testing.assert_frame_equal(one[name], two[name], check_exact=True, obj=name)
    masks = [np.asarray(zarr.open_array(folder / "masks.zarr" / "0")) for folder in (left, right)]
    np.testing.assert_array_equal(*masks)


def test_the_run_directory_is_complete(finished: Path) -> None:
    for name in ("run.json", "config.toml", "report.html", "log.jsonl", "index.parquet"):
        assert (finished / name).stat().st_size > 0
    assert set(tables(finished)) == set(schema.TABLES)
    assert len(tables(finished)["frames"]) == FRAMES
    for path in (finished / "tables").glob("*.parquet"):
        for column in pq.read_schema(path):
            assert column.metadata[b"meaning"], f"{path.stem}.{column.name} says not what it is"
    video = zarr.open_array(finished / "video.zarr" / "0", mode="r")
    masks = zarr.open_array(finished / "masks.zarr" / "0", mode="r")
    assert video.shape == masks.shape == (FRAMES, 300, 360)
    assert set(np.unique(masks[FRAMES - 1])) == {0, 1, 2}
    manifest = json.loads((finished / "run.json").read_text())
    assert {state["state"] for state in manifest["stages"].values()} == {"done"}
    assert manifest["versions"]["numpy"] == np.__version__


def test_the_answers_agree_with_the_truth(clip: Path, finished: Path) -> None:
    sections = score_run(finished, clip.parent / "truth").sections
    assert sections["pits"]["missed"] == sections["pits"]["invented"] == 0
    assert sections["detection"]["contrast >=0.07"]["f1"] > 0.85
    assert sections["ejections"]["angle_error_median_deg"] < 10


def test_the_number_of_workers_changes_nothing(clip: Path, finished: Path, tmp_path: Path) -> None:
    pipeline.run(clip, tmp_path / "one", CONFIG, Compute(1))
    assert_same(finished, tmp_path / "one")


def test_blocks_are_cut_where_workers_would_be_idle(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(window, "_LONGEST", 10)
    monkeypatch.setattr(pipeline, "STAGES", pipeline.STAGES[:2])
    quick = CONFIG.model_copy(update={"segment": SegmentConfig(segmenter="change")})
    keep, tasks = Compute.map, []

    def recorded(self: Compute, function, items, done, **how) -> None:  # type: ignore[no-untyped-def]
        tasks.append([sum(map(len, item)) for item in items])
        keep(self, function, items, done, **how)

    def found(name: str) -> pd.DataFrame:
        return pd.read_parquet(tmp_path / name / "parts" / "segment" / "detections.parquet")

    monkeypatch.setattr(Compute, "map", recorded)
    for name, workers in (("one", 1), ("two", 2)):
        pipeline.run(clip, tmp_path / name, quick, Compute(workers))
    _, whole, _, cut = tasks
    assert (whole, cut) == ([24, 24, 24], [8, 8, 8] * 3)
    pd.testing.assert_frame_equal(found("one"), found("two"), check_exact=True)
    # What was begun in parts is ended in parts, though nobody would be idle now.
    for part in sorted((tmp_path / "two" / "parts" / "segment").glob("blocks-*.parquet"))[1:]:
        part.unlink()
    # A run in whole blocks was stopped while it wrote these: they are none of this one.
    for side in ("glimpses-{}.parquet", "arrival-{}.npy", "search-{}.json"):
        name = side.format("000000000-000000024")
        (tmp_path / "two" / "parts" / "segment" / name).write_bytes(b"PAR1")
    manifest = tmp_path / "two" / "run.json"
    manifest.write_text(manifest.read_text().replace('"done"', '"running"'))
    pipeline.run(clip, tmp_path / "two", quick, Compute(1))
    assert tasks[-1] == cut[1:]
    pd.testing.assert_frame_equal(found("one"), found("two"), check_exact=True)


def test_frames_that_are_not_stored_change_nothing(
    clip: Path, finished: Path, tmp_path: Path
) -> None:
    config = CONFIG.model_copy(
        update={"acquire": CONFIG.acquire.model_copy(update={"store_frames": False})}
    )
    pipeline.run(clip, tmp_path / "run", config, Compute(2))
    assert not (tmp_path / "run" / "video.zarr").exists()
    assert_same(finished, tmp_path / "run")


def test_a_cluster_gives_the_same_result(clip: Path, finished: Path, tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None
    ) as cluster:
        pipeline.run(clip, tmp_path / "run", CONFIG, Compute(2, cluster.scheduler_address))
    assert_same(finished, tmp_path / "run")


def test_processes_give_the_same_result(clip: Path, finished: Path, tmp_path: Path) -> None:
    """Which many workers are shared out among."""
    pipeline.run(clip, tmp_path / "run", CONFIG, Compute(THREADS_PER_PROCESS + 1))
    assert_same(finished, tmp_path / "run")


def test_a_finished_run_is_not_done_again(clip: Path, copied: Path) -> None:
    progress = Recorded()
    pipeline.run(clip, copied, CONFIG, Compute(2), progress)
    assert set(progress.said.values()) == {"unchanged"}


@pytest.mark.parametrize(
    ("section", "change", "redone"),
    [
        ("acquire", {"um_per_px": 1.0}, {"measure", "report"}),
        ("link", {"memory": 1}, {"link", "measure", "report"}),
        # Only pictures show what a segmenter finds that is not used.
        ("segment", {"clahe": ClaheConfig(tile_px=32)}, {"report"}),
        ("report", {"title": "Steel"}, {"report"}),
    ],
)
def test_a_changed_parameter_redoes_only_what_depends_on_it(
    clip: Path, copied: Path, section: str, change: dict[str, object], redone: set[str]
) -> None:
    part = getattr(CONFIG, section).model_copy(update=change)
    progress = Recorded()
    pipeline.run(clip, copied, CONFIG.model_copy(update={section: part}), Compute(2), progress)
    assert {stage for stage, said in progress.said.items() if said != "unchanged"} == redone


def test_another_threshold_of_the_model_redoes_the_segmentation(tmp_path: Path) -> None:
    folder = shutil.copytree(find_model("particles"), tmp_path / "model")
    unet = UNetConfig(model=str(folder))
    config = CONFIG.model_copy(update={"segment": SegmentConfig(unet=unet)})
    before = pipeline.stage_keys(config, "mark")
    card = json.loads((folder / CARD).read_text())
    card["thresholds"][-1] = 0.9
    (folder / CARD).write_text(json.dumps(card))
    same = [
        old == new for old, new in zip(before, pipeline.stage_keys(config, "mark"), strict=True)
    ]
    assert same == [True, False, False, False, False]


def test_another_recording_redoes_all_stages() -> None:
    one, two = (pipeline.stage_keys(CONFIG, mark) for mark in ("one", "two"))
    assert not set(one) & set(two)


def test_the_run_of_a_folder_goes_on_though_it_lies_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snaps = tmp_path / "snaps"
    snaps.mkdir()
    monkeypatch.chdir(snaps)
    monkeypatch.setattr(pipeline, "STAGES", ())
    for number in range(3):
        cv2.imwrite(f"{number}.png", np.full((64, 64), 50 + number, np.uint8))
    for _ in range(2):
        pipeline.run(".", None, CONFIG)
        pipeline.run(snaps, snaps / "out", CONFIG)
    for name in ("snaps.pitflow", "out"):
        assert open_run(snaps / name).manifest.input["name"] == "snaps"
    cv2.imwrite("1.png", np.zeros((64, 64), np.uint8))
    with pytest.raises(UserError, match=r"another recording \(snaps\)"):
        pipeline.run(".", None, CONFIG)


def test_an_overwritten_run_reads_the_recording_anew(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pitflow.acquire import video

    monkeypatch.setattr(pipeline, "STAGES", ())
    pipeline.run(clip, tmp_path / "run", CONFIG)
    keep, built = video._build_index, []
    monkeypatch.setattr(video, "_build_index", lambda *what: built.append(what) or keep(*what))
    pipeline.run(clip, tmp_path / "run", CONFIG)
    assert not built
    pipeline.run(clip, tmp_path / "run", CONFIG, overwrite=True)
    assert built


def test_the_path_of_a_model_means_the_same_from_elsewhere(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(shutil.copytree(find_model("particles"), tmp_path / "mine"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pipeline, "STAGES", ())
    config = CONFIG.model_copy(update={"segment": SegmentConfig(unet=UNetConfig(model="mine"))})
    pipeline.run(clip, "run", config)
    assert open_run(tmp_path / "run").manifest.config["segment"]["unet"]["model"] == str(folder)


def test_the_path_of_a_current_means_the_same_from_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = Config.model_validate({"measure": {"current": {"file": "f2.csv"}}})
    assert lasting(config).measure.current.file == str(tmp_path / "f2.csv")
    assert lasting(Config()) == Config()


def test_what_is_left_out_of_a_current_is_told(
    clip: Path, copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []

    def counted(path: Path, config: CurrentConfig) -> pd.DataFrame:
        read.append(path)
        return read_current(path, config)

    monkeypatch.setattr("pitflow.acquire.current.read_current", counted)
    head = "T\tIm\ns\tA\n"
    for name, begins in (("steps.DTA", (0, 2)), ("curves.DTA", (0, 0))):
        steps = [
            f"CURVE{number}\n{head}" + "".join(f"{start + 0.1 * k:.1f}\t1e-6\n" for k in range(20))
            for number, start in enumerate(begins)
        ]
        file = copied.parent / name
        file.write_text("".join(steps))
        config = CONFIG.model_copy(
            update={"measure": MeasureConfig(current=CurrentConfig(file=str(file)))}
        )
        progress = Recorded()
        pipeline.run(clip, copied, config, Compute(2), progress)
        told = "the longest, of 20 rows, was used, the other 20 rows were not"
        assert (told in progress.said["measure"]) is (name == "curves.DTA")
        assert any(told in note for note in open_run(copied).manifest.notes) is (
            name == "curves.DTA"
        )
        assert read.pop() == file
        assert not read


def test_what_the_code_of_a_stage_imports_is_in_its_key() -> None:
    root = Path(pipeline.__file__).parent
    harmless = {"config", "errors", "compute", "scribe"}
    for stage in pipeline.STAGES:
        places = [root / name for name in stage.code if not name.startswith("domains")]
        files = [file for place in places for file in place.rglob("*.py")]
        files += [place for place in places if place.is_file()]
        names = {
            name
            for file in files
            for name in re.findall(r"from pitflow\.(\w+)", file.read_text(encoding="utf-8"))
        }
        modules = {name for name in names if (root / f"{name}.py").is_file()} - harmless
        known = {Path(name).stem for name in (*stage.code, *COMMON_CODE)}
        assert modules <= known, stage.name


def test_a_corrected_frame_rate_reaches_times_and_speeds(
    clip: Path, finished: Path, copied: Path
) -> None:
    part = CONFIG.acquire.model_copy(update={"fps": 30.0})
    pipeline.run(clip, copied, CONFIG.model_copy(update={"acquire": part}), Compute(2))
    before, after = tables(finished), tables(copied)
    np.testing.assert_allclose(after["frames"]["time_s"] * 2, before["frames"]["time_s"])
    np.testing.assert_allclose(after["particles"]["time_s"] * 2, before["particles"]["time_s"])
    np.testing.assert_allclose(
        after["particles"]["speed_um_s"] / 2, before["particles"]["speed_um_s"]
    )


def test_parameters_are_a_file_or_the_name_of_a_ready_one_too(
    clip: Path, finished: Path, copied: Path
) -> None:
    progress = Recorded()
    pipeline.run(clip, copied, str(finished / "config.toml"), Compute(2), progress)
    assert set(progress.said.values()) == {"unchanged"}
    with pytest.raises(UserError, match="no configuration of this name"):
        pipeline.run(clip, copied, "clasical")
    with pytest.raises(UserError, match="unknown key 'panels'"):
        pipeline.run(clip, copied, {"panels": 3})


def test_results_of_other_parameters_are_not_given_out(clip: Path, copied: Path) -> None:
    """The run is stopped as it links anew."""
    link = CONFIG.link.model_copy(update={"memory": 1})

    def stop(job: Job) -> str:
        raise KeyboardInterrupt

    stages = [replace(s, function=stop) if s.name == "link" else s for s in pipeline.STAGES]
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(pipeline, "STAGES", stages)
        pipeline.run(clip, copied, CONFIG.model_copy(update={"link": link}), Compute(2))
    results = open_results(copied)
    assert set(results.rows) == {"pit_pixels", "bubbles"}
    with pytest.raises(UserError, match="not got that far"):
        results.table("ejections")
    for use in (pipeline.write_report_again, lambda folder: compare([folder], folder / "out")):
        with pytest.raises(UserError, match="not finished"):
            use(copied)
    with pytest.raises(UserError, match="not finished"):
        print_score(copied, clip.parent / "truth", 5.0, as_json=True)


def test_what_was_deleted_is_made_again(clip: Path, finished: Path, copied: Path) -> None:
    shutil.rmtree(copied / "masks.zarr")
    (copied / "report.html").unlink()
    pipeline.run(clip, copied, CONFIG, Compute(2))
    assert (copied / "report.html").exists()
    assert_same(finished, copied)


def test_what_was_damaged_is_made_again(clip: Path, finished: Path, copied: Path) -> None:
    shutil.rmtree(copied / "figures")
    (copied / "tables" / "pits.parquet").write_bytes(b"x")
    progress = Recorded()
    pipeline.run(clip, copied, CONFIG, Compute(2), progress)
    assert [progress.said[name] for name in ("acquire", "segment", "link")] == ["unchanged"] * 3
    assert len(list((copied / "figures").iterdir())) == len(list((finished / "figures").iterdir()))
    assert_same(finished, copied)
    shutil.rmtree(copied / "video.zarr")
    pipeline.run(clip, copied, CONFIG, Compute(2))
    assert (copied / "video.zarr").is_dir()
    assert_same(finished, copied)


@pytest.mark.parametrize("stage", ["acquire", "segment", "link", "measure", "report"])
def test_a_stopped_run_goes_on_to_the_same_result(
    clip: Path,
    finished: Path,
    tmp_path: Path,
    stage: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The run is stopped when a stage leaves its first part, or where it has none, at its start."""
    folder, keep = tmp_path / "run", Compute.map

    def stop_after_first(self: Compute, function, items, done, **how: bool) -> None:  # type: ignore[no-untyped-def]
        def stop(item, result) -> None:  # type: ignore[no-untyped-def]
            done(item, result)
            if open_run(folder).manifest.stages[stage]["state"] == "running":
                raise KeyboardInterrupt

        at_work = open_run(folder).manifest.stages
        keep(self, function, items, stop if stage in at_work else done, **how)

    def stop_at_once(job: Job) -> str:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Compute, "map", stop_after_first)
        if stage in {"link", "measure", "report"}:
            stopped = [
                pipeline.Stage(**{**vars_of(item), "function": stop_at_once})
                if item.name == stage
                else item
                for item in pipeline.STAGES
            ]
            patch.setattr(pipeline, "STAGES", tuple(stopped))
        with pytest.raises(KeyboardInterrupt):
            pipeline.run(clip, folder, CONFIG, Compute(1))
    progress = Recorded()
    pipeline.run(clip, folder, CONFIG, Compute(2), progress)
    names = [item.name for item in pipeline.STAGES]
    before = names[: names.index(stage)]
    assert [name for name in names if progress.said[name] == "unchanged"] == before
    assert_same(finished, folder)


def vars_of(stage: pipeline.Stage) -> dict[str, object]:
    return {name: getattr(stage, name) for name in stage.__dataclass_fields__}


def test_parts_that_are_done_are_not_computed_twice(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    done: list[int] = []
    keep = Compute.map

    def count(self: Compute, function, items, finish, **how: bool) -> None:  # type: ignore[no-untyped-def]
        done.append(len(items))
        keep(self, function, items, finish, **how)

    monkeypatch.setattr(Compute, "map", count)
    pipeline.run(clip, folder, CONFIG, Compute(2))
    first = sorted((folder / "parts" / "segment").glob("blocks-*.parquet"))[0]
    first.unlink()
    manifest = json.loads((folder / "run.json").read_text())
    manifest["stages"]["segment"]["state"] = "running"
    (folder / "run.json").write_text(json.dumps(manifest))
    pipeline.run(clip, folder, CONFIG, Compute(2))
    assert done == [3, 3, 1]


def test_a_part_of_the_recording_keeps_its_frame_numbers(clip: Path, tmp_path: Path) -> None:
    config = Config.model_validate(
        {"acquire": {"start": 30, "stop": 60, "block_frames": 24}, "report": {"svg": False}}
    )
    pipeline.run(clip, tmp_path / "run", config, Compute(2))
    assert tables(tmp_path / "run")["frames"]["frame"].tolist() == list(range(30, 60))
    assert tables(tmp_path / "run")["particles"]["frame"].between(30, 59).all()


def test_the_report_can_be_written_again_without_the_recording(copied: Path) -> None:
    manifest = json.loads((copied / "run.json").read_text())
    manifest["input"]["path"] = str(copied / "gone.avi")
    (copied / "run.json").write_text(json.dumps(manifest))
    (copied / "report.html").unlink()
    assert pipeline.write_report_again(copied) == copied / "report.html"
    assert (copied / "report.html").exists()


def test_the_report_is_written_again_every_time(copied: Path) -> None:
    for _ in range(2):
        (copied / "report.html").write_text("an old page")
        pipeline.write_report_again(copied)
        assert len((copied / "report.html").read_text()) > 10_000


def test_a_second_process_draws_the_same_figures(
    copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = sorted(path.name for path in (copied / "figures").iterdir())
    before = {name: (copied / "figures" / name).read_bytes() for name in names}
    page = (copied / "report.html").read_text()
    shutil.rmtree(copied / "figures")
    (copied / "report.html").unlink()
    drawn: list[int] = []
    with FigureProcess(copied) as figures:
        figures.start()

        class Noted:
            def draw(self, number: int) -> Any:
                drawn.append(number)
                return figures.draw(number)

        job = replace(finished_job(copied), figures=cast(Any, Noted()))
        report(job)
    assert drawn
    assert {name: (copied / "figures" / name).read_bytes() for name in names} == before
    # The first page was written before its own time was known, this one after.
    assert re.sub(r", report [\d.]+ s", "", (copied / "report.html").read_text()) == page


def test_a_process_that_died_draws_nothing(copied: Path) -> None:
    with FigureProcess(copied / "no run") as figures:
        assert figures.draw(1) is None
        figures.start()
        assert figures.draw(1) is None


@pytest.mark.parametrize("answer", ["time.sleep(60)", "print('no figure', flush=True)"])
def test_a_process_that_hangs_or_answers_nonsense_draws_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    script = f"#!{sys.executable}\nimport time\n{answer}\n"
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    (tmp_path / "python").write_text(script)
    (tmp_path / "python").chmod(0o755)
    with FigureProcess(tmp_path, patience_s=0.5) as figures:
        figures.start()
        assert figures.draw(1) is None
        assert figures.draw(2) is None


def test_where_no_process_is_to_be_had_it_draws_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.executable", str(tmp_path / "no python"))
    with FigureProcess(tmp_path) as figures:
        figures.start()
        assert figures.draw(1) is None


def test_a_saturated_recording_says_so(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(2)
    (tmp_path / "bright").mkdir()
    for number in range(12):
        image = np.minimum(rng.normal(250, 6, (200, 220)), 255).astype(np.uint8)
        cv2.imwrite(str(tmp_path / "bright" / f"{number:03d}.png"), image)
    monkeypatch.setattr(pipeline, "STAGES", pipeline.STAGES[:1])
    for video, told in ((tmp_path / "bright", True), (clip, False)):
        pipeline.run(video, tmp_path / "run", CONFIG, Compute(1), overwrite=True)
        warnings = open_run(tmp_path / "run").manifest.warnings
        assert any("saturated" in warning for warning in warnings) is told


def test_a_recording_whose_particles_are_bright_says_so(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bright").mkdir()
    for number, image, _ in open_source(clip).read(0, FRAMES):
        assert image is not None
        cv2.imwrite(str(tmp_path / "bright" / f"{number:03d}.png"), 255 - image)
    monkeypatch.setattr(pipeline, "STAGES", pipeline.STAGES[:1])
    for video, invert, remedy in (
        (clip, False, None),
        (clip, True, "without --invert"),
        (tmp_path / "bright", False, "with --invert"),
        (tmp_path / "bright", True, None),
    ):
        config = Config.model_validate({"acquire": {"invert": invert}})
        pipeline.run(video, tmp_path / "run", config, Compute(1), overwrite=True)
        told = [text for text in open_run(tmp_path / "run").manifest.warnings if "--invert" in text]
        assert len(told) == (remedy is not None)
        assert remedy is None or remedy in told[0]


def test_frames_outside_the_recording_are_refused(clip: Path, tmp_path: Path) -> None:
    config = Config.model_validate({"acquire": {"start": 0, "stop": FRAMES + 1}})
    with pytest.raises(UserError, match=f"which has {FRAMES}"):
        pipeline.run(clip, tmp_path / "run", config)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("text", "expected"), [("3:9", (3, 9)), (":9", (None, 9)), ("3:", (3, None))]
)
def test_ranges_of_frames(text: str, expected: tuple[int | None, int | None]) -> None:
    assert pipeline.parse_frames(text) == expected


@pytest.mark.parametrize("text", ["9:3", "a:b", "5", "1:2:3", "-1:4", "4:4"])
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="--frames"):
        pipeline.parse_frames(text)


def test_the_flow_does_what_the_configuration_says(clip: Path, tmp_path: Path) -> None:
    """The paper's chain sees every frame in order and leaves the same kind of result."""
    config = Config.model_validate(
        {
            "acquire": {"stop": 30, "block_frames": 16},
            "segment": {"segmenter": "report"},
            "report": {"svg": False},
        }
    )
    pipeline.run(clip, tmp_path / "run", config, Compute(2))
    assert len(list((tmp_path / "run" / "parts" / "segment").glob("blocks-*"))) == 1
    assert set(tables(tmp_path / "run")) == set(schema.TABLES)
