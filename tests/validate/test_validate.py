import json

import numpy as np
import pandas as pd
from typer.testing import CliRunner

from pitflow.compute import Compute
from pitflow.validate.claim import Claim, Study
from pitflow.validate.judge import judge_at_least, judge_level, show_share
from pitflow.validate.registry import STUDIES
from pitflow.validate.validate import as_json, validate, write_validation


def coin(rng):
    return pd.DataFrame({"p": rng.random(50)})


COINS = Study(
    "coins",
    np.random.default_rng,
    (
        Claim("coin", coin, lambda trials: [judge_level("a fair test", trials["p"])]),
        Claim("head", coin, lambda trials: [show_share("heads", trials["p"] < 0.5)]),
    ),
    seeds=12,
    quick_seeds=3,
)


def test_the_findings_depend_on_the_seeds_alone():
    once = validate([COINS], compute=Compute(1))
    again = validate([COINS], compute=Compute(3))
    assert once.findings == again.findings
    for name, rows in once.trials.items():
        pd.testing.assert_frame_equal(rows, again.trials[name])
    assert list(once.trials["coin"]["seed"].unique()) == list(range(12))


def test_quick_takes_fewer_trials_and_a_number_of_seeds_goes_before():
    assert validate([COINS], quick=True).trials["coin"]["seed"].nunique() == 3
    assert validate([COINS], quick=True, seeds=5).trials["coin"]["seed"].nunique() == 5


def test_a_finding_without_a_target_does_not_fail_the_whole():
    assert validate([COINS]).passed


def test_what_is_written_can_be_read(tmp_path):
    unknown = judge_at_least("nothing was seen", [], share=0.01)
    missed = judge_at_least("too little was seen", [False], share=0.01)
    found = validate([COINS])
    found = type(found)((*found.findings, missed, unknown), found.trials)
    path = write_validation(found, tmp_path / "new" / "folder")
    content = json.loads(path.read_text())
    assert content["passed"] is False
    assert [f["claim"] for f in content["findings"]] == [
        "a fair test",
        "heads",
        "too little was seen",
        "nothing was seen",
    ]
    assert content["findings"][-1]["measured"] is content["findings"][-1]["passed"] is None
    assert json.loads(as_json(found)) == content
    assert (path.parent / "levels.png").is_file()
    assert len(pd.read_csv(path.parent / "coin.csv")) == 12 * 50


def test_claims_have_names_of_their_own():
    names = [claim.name for study in STUDIES for claim in study.claims]
    assert len(names) == len(set(names))


def test_the_command_prints_a_line_per_claim(tmp_path, monkeypatch):
    import pitflow.console.validate as console
    from pitflow.cli import app

    monkeypatch.setattr(console, "STUDIES", (COINS,))
    result = CliRunner().invoke(app, ["validate", "--quick", "-o", str(tmp_path)])
    assert result.exit_code == 0
    assert "a fair test" in result.stdout
    assert "1 of 1 targets met" in result.stdout
    assert (tmp_path / "validate.json").is_file()
    machine = CliRunner().invoke(app, ["validate", "--quick", "--json"])
    assert json.loads(machine.stdout)["passed"] is True


def test_a_target_without_data_says_so_and_fails_nothing(monkeypatch):
    import pitflow.console.validate as console
    from pitflow.cli import app

    unseen = Claim(
        "unseen", coin, lambda trials: [judge_at_least("rare", trials["p"][:0] < 0, share=0.9)]
    )
    study = Study("few", np.random.default_rng, (COINS.claims[0], unseen), 12, 3)
    monkeypatch.setattr(console, "STUDIES", (study,))
    result = CliRunner().invoke(app, ["validate", "--seeds", "2"])
    assert result.exit_code == 0
    assert "no data" in result.stdout
    assert "1 of 1 targets met; 1 without data" in result.stdout
