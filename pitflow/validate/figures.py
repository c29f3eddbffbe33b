"""Which findings are drawn, and beside what."""

from __future__ import annotations

from pitflow.report.figures.validation import draw_power, draw_shares
from pitflow.report.panel import Panel
from pitflow.validate.claim import Finding, Validation
from pitflow.validate.judge import COVERAGE_TARGET, LEVEL_TARGET
from pitflow.validate.power import power_curves


def draw_validation(validation: Validation) -> dict[str, Panel]:
    """Return the figures by file name; one whose studies did not run is left out."""
    panels: dict[str, Panel] = {}
    if "power" in validation.trials:
        panels["power"] = draw_power(power_curves(validation.trials["power"]))
    levels = [f for f in validation.findings if f.target == LEVEL_TARGET]
    if levels:
        panels["levels"] = draw_shares(
            [_row(finding) for finding in levels],
            target=(0.05, 0.05),
            title="How often a test finds what is not there, at 5 %",
        )
    coverage = [f for f in validation.findings if f.target == COVERAGE_TARGET]
    if coverage:
        panels["coverage"] = draw_shares(
            [_row(finding) for finding in coverage],
            target=(0.93, 0.97),
            title="How often a 95 % interval holds the truth",
        )
    return panels


def _row(finding: Finding) -> tuple[str, float, float, float, bool | None]:
    return finding.claim, finding.measured, finding.low, finding.high, finding.passed
