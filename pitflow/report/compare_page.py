"""The page that compares runs: one HTML file that holds everything, and its figures beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd

from pitflow.lag import ALPHA
from pitflow.report.compare_words import WORDS
from pitflow.report.data import Floats
from pitflow.report.figures.compare import draw_polar, draw_quantities, group_colours
from pitflow.report.page import fill_template
from pitflow.report.panel import Embedded, render
from pitflow.report.style import RC
from pitflow.report.words import angle, p_value, signed, significant

RUN_HEADINGS = (
    ("run", ""),
    ("concentration", "mM"),
    ("pits", ""),
    ("pits", "1/mm²"),
    ("particles", "ejected"),
    ("preferring", f"q ≤ {ALPHA:g}"),
    ("area", "µm²"),
    ("growth", "µm²/s"),
    ("ejections", "1/s per pit"),
    ("speed", "µm/s"),
    ("R²", "unbiased"),
    ("lag", "s"),
)
TEST_HEADINGS = (
    ("what", ""),
    ("test", ""),
    ("between", ""),
    ("unit", ""),
    ("n", ""),
    ("effect", ""),
    ("p", ""),
    ("adjusted", "p or q"),
)


@dataclass(frozen=True)
class Sources:
    """What the page is made from: tables, departure angles by run and pit, and words."""

    runs: pd.DataFrame
    pits: pd.DataFrame
    tests: pd.DataFrame
    angles: Mapping[tuple[str, int], Floats]
    findings: list[str]
    warnings: list[str]


def write_comparison(sources: Sources, folder: Path) -> Path:
    """Write ``compare.html`` and the figures ``compare`` and ``quantities`` (PNG, SVG)."""
    order = list(dict.fromkeys(_sorted(sources.runs)["label"]))
    shown: list[tuple[str, str, Embedded | None]] = []
    with mpl.rc_context(RC):
        for name, title, made in (
            (
                "compare",
                "Where do the pits eject their particles?",
                draw_polar(_sorted(sources.runs), sources.pits, sources.angles),
            ),
            (
                "quantities",
                "Pits, rates, speeds and lags",
                draw_quantities(_sorted(sources.runs), sources.pits, order),
            ),
        ):
            if isinstance(made, str):
                for end in ("png", "svg"):
                    (folder / f"{name}.{end}").unlink(missing_ok=True)
                shown.append((title, made, None))
            else:
                shown.append((title, made.caption, render(made, folder / name, svg=True)))
    html = fill_template(
        "compare.html.j2",
        findings=sources.findings,
        warnings=sources.warnings,
        figures=shown,
        run_headings=RUN_HEADINGS,
        runs=run_rows(_sorted(sources.runs), group_colours(order)),
        test_headings=TEST_HEADINGS,
        tests=test_rows(sources.tests),
        n_tests=len(sources.tests),
    )
    page = folder / "compare.html"
    partial = folder / "compare.html.partial"
    partial.write_text(html, encoding="utf-8")
    partial.replace(page)
    return page


def run_rows(runs: pd.DataFrame, colours: Mapping[str, str]) -> list[tuple[str, list[str]]]:
    """Return the group's colour and the cells of each run, in the order of ``RUN_HEADINGS``."""
    rows = []
    for _, run in runs.iterrows():
        lag = (
            "–"
            if np.isnan(run["lag_p"])
            else f"{run['lag_s']:.2f}{' (r < 0)' if run['lag_r'] < 0 else ''}".replace("-", "−")
            if np.isfinite(run["lag_s"])
            else "no evidence"
        )
        known = np.isfinite(run["concentration_mM"])
        rows.append(
            (
                colours[str(run["label"])],
                [
                    str(run["run"]),
                    f"{run['concentration_mM']:g}" if known else "–",
                    str(int(run["n_pits"])),
                    significant(float(run["pits_per_mm2"])),
                    str(int(run["n_ejected"])),
                    str(int(run["n_preferring"])),
                    *(
                        significant(float(run[name]))
                        for name in (
                            "area_um2",
                            "growth_um2_s",
                            "ejections_per_s",
                            "speed_um_s",
                            "resultant_square",
                        )
                    ),
                    lag,
                ],
            )
        )
    return rows


def test_rows(tests: pd.DataFrame) -> list[tuple[bool, list[str]]]:
    """Return whether it is significant, and the cells of each test."""
    rows = []
    for _, test in tests.iterrows():
        effect = float(test["effect"])
        apart = angle(effect % 360 if effect >= 0 else 360 + effect)
        rows.append(
            (
                bool(test["p_adjusted"] <= ALPHA),
                [
                    WORDS[str(test["quantity"])],
                    str(test["test"]),
                    str(test["groups"]),
                    f"{test['unit']}s",
                    str(int(test["n"])),
                    (apart if test["quantity"] == "mean_angle_deg" else signed(effect))
                    if np.isfinite(effect)
                    else "–",
                    _bare(float(test["p"])),
                    _bare(float(test["p_adjusted"])),
                ],
            )
        )
    return rows


def _sorted(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the runs by concentration, then group and name; without concentration last."""
    return runs.sort_values(["concentration_mM", "label", "run"], na_position="last")


def _bare(p: float) -> str:
    return p_value(p, "").strip().removeprefix("= ")
