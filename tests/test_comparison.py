"""`pitflow compare`: run directories in, a page with figures, tables and tests out."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pitflow.cli import main
from pitflow.comparison import compare, concentration_of
from pitflow.errors import UserError
from pitflow.report.figures.compare import draw_quantities
from pitflow.schema import TABLES, empty_table, read_table, write_table


def make_run(folder: Path, *, pits: int = 3, per_pit: int = 12, seed: int = 0, **facts) -> Path:
    """A finished run without pixels: pits that grow steadily and eject about 90 degrees."""
    rng = np.random.default_rng(seed)
    recording = {
        "n_frames": 60, "height": 1000, "width": 1000, "fps": 15.0, "um_per_px": 0.5,
        "first_frame": 0, "last_frame": 59,
    } | facts  # fmt: skip
    manifest = {
        "input": {"name": f"{folder.stem}.avi", "path": "/none.avi", "fingerprint": str(folder)},
        "recording": recording,
        "stages": {"measure": {"state": "done"}},
    }
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps(manifest))
    number = np.arange(pits)
    angle = (90 + 40 * rng.normal(size=(pits, per_pit))) % 360
    tables = {
        name: empty_table(TABLES[name]) for name in ("pits", "growth", "ejections", "correlation")
    }
    frame = np.arange(60)
    tables["frames"] = pd.DataFrame(
        {"frame": frame, "time_s": frame / recording["fps"], "quality": "ok", "gain": 1.0,
         "n_particles": 0, "shift_x_px": 0.0, "shift_y_px": 0.0}
    )  # fmt: skip
    if pits:
        row = {column.name: np.zeros(pits) for column in TABLES["pits"]}
        tables["pits"] = pd.DataFrame(
            row
            | {
                "pit": number, "onset_frame": 0, "area_px": 300.0, "area_um2": 75.0 + 10 * number,
                "is_stable": True, "n_ejected": per_pit,
                "mean_angle_deg": angle.mean(axis=1) if per_pit else np.nan,
                "resultant_length": 0.7 if per_pit else np.nan,
                "rayleigh_q": 0.01 if per_pit else np.nan,
            }
        )  # fmt: skip
        tables["growth"] = pd.concat(
            [
                pd.DataFrame(
                    {"pit": pit, "frame": np.arange(60), "area_px": 5.0 * np.arange(60) + 5,
                     "new_px": 5.0, "angle_deg": 0.0}
                )
                for pit in number
            ]
        )  # fmt: skip
    if pits and per_pit:
        tables["ejections"] = pd.DataFrame(
            {"particle": np.arange(pits * per_pit), "pit": np.repeat(number, per_pit), "frame": 5,
             "x": 0.0, "y": 0.0, "angle_deg": angle.ravel(), "angle_err_deg": 1.0,
             "speed_um_s": 30.0 + rng.normal(size=pits * per_pit)}
        )  # fmt: skip
        lag = np.arange(-20, 21)
        tables["correlation"] = pd.DataFrame(
            {"pit": -1, "lag": lag, "r": 0.3 * np.exp(-((lag - 6) ** 2) / 8.0), "r_lo": -0.1,
             "r_hi": 0.1, "p": 0.01}
        )  # fmt: skip
    for name, table in tables.items():
        write_table(table, TABLES[name], folder / "tables" / f"{name}.parquet")
    return folder


@pytest.mark.parametrize(
    ("name", "concentration"),
    [
        ("30mM_run2", 30.0),
        ("steel 30 mM.avi", 30.0),
        ("0.1M", 100.0),
        ("NaCl-0,5mM", 0.5),
        ("500uM-a", 0.5),
        ("5mMNaCl", 5.0),
        ("316L_10_mM", 10.0),
        ("30mm", np.nan),
        ("5MP camera", np.nan),
        ("run3", np.nan),
    ],
)
def test_concentrations_in_names(name: str, concentration: float) -> None:
    np.testing.assert_equal(concentration_of(name), concentration)


def test_everything_is_written(tmp_path: Path) -> None:
    runs = [
        make_run(tmp_path / f"{level}mM_{k}.pitflow", seed=10 * level + k)
        for level in (5, 30, 100)
        for k in range(2)
    ]
    runs.append(make_run(tmp_path / "10mM.pitflow", pits=0, fps=30.0))
    runs.append(make_run(tmp_path / "60mM.pitflow", per_pit=0, um_per_px=1.0))
    made = compare(runs, tmp_path / "out")
    for name in ("compare.html", "compare.png", "compare.svg", "quantities.png", "compare.csv"):
        assert (tmp_path / "out" / name).stat().st_size > 500, name
    page = (tmp_path / "out" / "compare.html").read_text()
    assert "http" not in page.replace("http-equiv", "")
    assert page.count("data:image/png;base64") == 2
    facts = json.loads((tmp_path / "out" / "compare.json").read_text())
    by_run = {row["run"]: row for row in facts["runs"]}
    assert by_run["30mM_1"]["lag_s"] == pytest.approx(0.4)
    # 59 frames of 5 px at 0.5 um and 15 per second.
    assert by_run["30mM_1"]["growth_um2_s"] == pytest.approx(5 * 0.25 * 15)
    assert by_run["60mM"]["growth_um2_s"] == pytest.approx(5 * 1.0 * 15)
    assert by_run["30mM_1"]["pits_per_mm2"] == pytest.approx(3 / 0.25)
    assert by_run["10mM"]["area_um2"] is None
    assert len(facts["pits"]) == 21
    assert any("No pit was found in 10mM" in text for text in made.warnings)
    assert any("No particle was traced" in text for text in made.warnings)
    assert any("different frame rates" in text for text in made.warnings)
    assert any("Pseudo-replication: 10 mM and 60 mM" in text for text in made.warnings)
    assert len(pd.read_csv(tmp_path / "out" / "compare.csv")) == 8


def test_one_run_alone_is_shown(tmp_path: Path) -> None:
    made = compare([make_run(tmp_path / "a.pitflow")], tmp_path / "out")
    assert made.tests.empty
    assert any("one group only" in text for text in made.warnings)
    empty = make_run(tmp_path / "b.pitflow", pits=0)
    nothing = compare([empty], tmp_path / "out", overwrite=True)
    assert nothing.runs["n_pits"].sum() == 0
    # A figure of an earlier comparison that no longer applies is gone.
    assert not (tmp_path / "out" / "compare.png").exists()


def test_groups_by_file(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / f"{name}.pitflow") for name in "ab"]
    groups = tmp_path / "groups.csv"
    groups.write_text("run;concentration_mM;label\na.pitflow;0,5;low\nb;30 mM;\n")
    made = compare(runs, tmp_path / "out", groups=groups)
    assert list(made.runs["label"]) == ["low", "30 mM"]
    assert list(made.runs["concentration_mM"]) == [0.5, 30.0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("run,concentration_mM\na,5\n", "has no row for b; it has rows for a"),
        ("run,concentration_mM\na,5\nb,much\n", "line 3: 'much' is no concentration"),
        ("run,mM\na,5\nb,5\na.pitflow,6\n", "line 4: a.pitflow has another row"),
        ("name,salt\na,5\n", "lacks the column concentration_mM; found: name, salt"),
    ],
)
def test_bad_groups_are_one_line(tmp_path: Path, text: str, message: str) -> None:
    runs = [make_run(tmp_path / f"{name}.pitflow") for name in "ab"]
    groups = tmp_path / "groups.csv"
    groups.write_text(text)
    with pytest.raises(UserError, match=message):
        compare(runs, tmp_path / "out", groups=groups)
    assert not (tmp_path / "out").exists()


def test_results_are_replaced_only_when_told(tmp_path: Path) -> None:
    run, out = make_run(tmp_path / "a.pitflow"), tmp_path / "out"
    out.mkdir()
    (out / "pits.csv").write_text("of a batch of micrographs\n")
    with pytest.raises(UserError, match=r"holds results already \(pits\.csv\)"):
        compare([run], out)
    assert [path.name for path in out.iterdir()] == ["pits.csv"]
    compare([run], out, overwrite=True)
    assert main(["compare", str(run), "-o", str(out)]) == 2
    with pytest.raises(SystemExit) as code:
        main(["compare", str(run), "-o", str(out), "--overwrite"])
    assert code.value.code in (0, None)


def test_bad_runs_are_one_line(tmp_path: Path) -> None:
    good = make_run(tmp_path / "a.pitflow")
    unfinished = make_run(tmp_path / "b.pitflow")
    (unfinished / "run.json").write_text('{"stages": {"measure": {"state": "running"}}}')
    for runs, message in (
        ([good, tmp_path / "none"], "no such folder"),
        ([good, tmp_path], "no run here"),
        ([good, unfinished], "not finished"),
        ([good, good], "given twice"),
    ):
        with pytest.raises(UserError, match=message):
            compare(runs, tmp_path / "out")
    with pytest.raises(UserError, match="run directory"):
        compare([good], good)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [str(make_run(tmp_path / f"{level}mM.pitflow")) for level in (5, 30)]
    with pytest.raises(SystemExit) as code:
        main(["compare", *runs, "-o", str(tmp_path / "out"), "--json"])
    assert code.value.code in (0, None)
    facts = json.loads(capsys.readouterr().out)
    assert [row["label"] for row in facts["runs"]] == ["5 mM", "30 mM"]
    assert {test["test"] for test in facts["tests"]} >= {"Mann-Whitney", "Watson-Williams"}
    assert main(["compare", str(tmp_path / "none")]) == 2


def test_runs_of_one_recording_are_no_replicates(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / f"{level}mM_{k}", seed=k) for level in (5, 30) for k in range(2)]
    assert not any("of one recording" in text for text in compare(runs, tmp_path / "a").warnings)
    facts = json.loads((runs[1] / "run.json").read_text())
    facts["input"]["fingerprint"] = str(runs[0])
    (runs[1] / "run.json").write_text(json.dumps(facts))
    told = compare(runs, tmp_path / "b").warnings
    assert "5mM_0 and 5mM_1 are of one recording" in told[0]


def test_pits_that_eject_to_several_sides_are_told(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / f"{level}mM", seed=level) for level in (5, 30)]
    file = runs[1] / "tables" / "pits.parquet"
    pits = read_table(file, TABLES["pits"]).assign(
        n_modes=[2, 2, 2], omnibus_q=[0.01, 0.3, 0.01], visible_share=[1.0, 1.0, 0.6]
    )
    write_table(pits, TABLES["pits"], file)
    made = compare(runs, tmp_path / "out")
    assert list(made.runs["n_split"]) == [0, 1]
    assert made.findings[2].startswith("1 pit ejects in several separate directions (1 in 30mM)")


def test_pits_without_their_ejections_are_not_drawn(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / f"{level}mM", seed=level) for level in (5, 30)]
    write_table(
        empty_table(TABLES["ejections"]), TABLES["ejections"], runs[1] / "tables/ejections.parquet"
    )
    assert (compare(runs, tmp_path / "out").folder / "compare.png").exists()


def test_lags_that_are_not_evident_are_not_called_unmeasured(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / f"{level}mM", seed=level) for level in (5, 30)]
    made = compare(runs, tmp_path / "out")
    none = made.runs.assign(lag_s=np.nan, speed_um_s=np.nan)
    figure = draw_quantities(none, made.pits, ["5 mM", "30 mM"]).figure
    texts = [text.get_text() for ax in figure.axes for text in ax.texts]
    assert sorted(texts) == ["no evident lag", "nothing measured"]
