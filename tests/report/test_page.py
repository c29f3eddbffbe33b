"""The page: complete, self-contained, safe, and readable when there is little to show."""

from __future__ import annotations

import dataclasses
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from scipy.stats import false_discovery_control

from pitflow.config import Config, ReportConfig, dump_config
from pitflow.errors import UserError
from pitflow.report.contents import SECTIONS
from pitflow.report.methods import methods
from pitflow.report.page import Shown, write_report
from pitflow.report.summary import findings

BRIEF = ReportConfig(svg=False)
ENTRIES = [entry for section in SECTIONS for entry in section.entries]


class Links(HTMLParser):
    """Everything a browser would load or follow, and all tags."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.tags: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.targets += [value for name, value in attrs if name in {"src", "href", "srcset"}]


@pytest.fixture(scope="module")
def written(run, tmp_path_factory):
    """A written report of the small run: its folder and its HTML."""
    folder = tmp_path_factory.mktemp("run")
    steps = []
    page = write_report(run, folder, lambda done, total: steps.append((done, total)))
    assert steps == [(k + 1, len(ENTRIES)) for k in range(len(ENTRIES))]
    return folder, page.read_text(encoding="utf-8")


@pytest.mark.parametrize("able", [0, 3, 99])
def test_figures_drawn_elsewhere_come_last_first(run, tmp_path, able):
    """Another who draws as many figures as he is able to, and then no more."""
    asked = []

    class Other:
        def draw(self, number):
            asked.append(number)
            if len(asked) > able:
                return None
            return Shown(number, ENTRIES[number - 1].title, f"drawn elsewhere {number}")

    html = write_report(dataclasses.replace(run, config=BRIEF), tmp_path, drawer=Other()).read_text(
        "utf-8"
    )
    assert asked[0] == len(ENTRIES)
    assert html.count("drawn elsewhere") == min(len(asked), able)
    assert len(Links(html).targets) >= len(ENTRIES) - able
    for k, entry in enumerate(ENTRIES, start=1):
        drawn_here = k not in asked[:able]
        assert (tmp_path / "figures" / f"{entry.name}.png").exists() == drawn_here


def test_every_figure_is_written_in_both_formats(written):
    folder, _ = written
    names = {path.name for path in (folder / "figures").iterdir()}
    assert names == {f"{entry.name}.{kind}" for entry in ENTRIES for kind in ("png", "svg")}
    assert not list(folder.glob("*.partial"))


def test_the_page_loads_nothing(written):
    _, html = written
    links = Links(html)
    assert len([target for target in links.targets if target.startswith("data:image/")]) == len(
        ENTRIES
    )
    assert all(target.startswith(("data:image/", "#")) for target in links.targets)
    assert "script" not in links.tags
    assert "link" not in links.tags
    assert not re.search(r"@import|url\(", html)
    anchors = {target[1:] for target in links.targets if target.startswith("#")}
    assert all(f'id="{anchor}"' in html for anchor in anchors)


def test_the_page_states_the_findings(written):
    _, html = written
    assert "3 pits were found" in html
    assert "Ejection follows growth by 10 frames (0.67 s)" in html
    assert "Ejection follows the current by 5 frames (0.33 s)" in html
    assert "no evidence that the growth of pits goes with the current" in html
    assert "1 transient of the current with 200 nC of charge" in html
    assert "Frames 21 and 22 are lost" in html
    assert "2 lost frames and 1 damaged frame" in html
    assert "height of the particles is not given" in html
    assert "nan" not in re.sub(r'src="[^"]*"', "", html).lower().replace("finance", "")


def texts(html):
    """The page's sentences, without its pictures and style."""
    body = re.sub(r"<(style|script|svg)\b.*?</\1>", " ", html, flags=re.S)
    blocks = re.split(r"</?(?:p|li|td|th|h\d|figcaption|div|section|summary|dt|dd)\b[^>]*>", body)
    words = (" ".join(re.sub(r"<[^>]*>", " ", block).split()) for block in blocks)
    return [sentence for text in words for sentence in re.split(r"(?<=\.) ", text)]


def test_an_uncalibrated_run_prints_no_micrometres_of_height(written):
    html = written[1]
    told = [text for text in texts(html) if re.search(r"\b[Hh]eights?\b", text)]
    assert told
    assert not [text for text in told if re.search(r"\d\s*(?:µm|um)\b", text)]
    assert "Half of all positions lie below" not in html


def test_a_calibrated_run_prints_them(make, tmp_path):
    html = write_report(make(calibrated=True), tmp_path).read_text(encoding="utf-8")
    assert re.search(r"Half of all positions lie below [\d.]+ µm", html)


def test_transients_that_fill_most_of_the_time_are_told(make):
    data = make()
    words = "their heights and charges may be too small"
    assert not any(words in sentence for sentence in findings(data))
    long = data.tables["transients"].assign(
        onset_s=0.0, end_s=data.tables["current"]["time_s"].max()
    )
    crowded = dataclasses.replace(data, tables={**data.tables, "transients": long})
    assert any(words in sentence for sentence in findings(crowded))


def test_a_current_that_is_known_in_part_only_is_told(make):
    data = make()
    assert not any("current is known" in sentence for sentence in findings(data))
    current = data.tables["current"]
    short = current.assign(current_a=current["current_a"].where(current["frame"] < 30))
    told = findings(dataclasses.replace(data, tables={**data.tables, "current": short}))
    assert any(f"current is known in 30 of {len(current)} frames (0.0 to" in text for text in told)


def test_growth_while_the_current_is_low_asks_for_its_sign(make):
    data = make()
    table = data.tables["current_correlation"]
    growth = table["series"] == "growth"
    for turn, p, told in ((-1, 0.002, True), (1, 0.002, False), (-1, 0.3, False)):
        other = table.assign(
            r=table["r"].where(~growth, turn * table["r"]), p=table["p"].where(~growth, p)
        )
        turned = dataclasses.replace(data, tables={**data.tables, "current_correlation": other})
        assert any("count cathodic current" in text for text in findings(turned)) is told


def test_flights_count_by_what_is_left_of_p_over_all_of_them(make):
    data = make(calibrated=True)
    p = np.array([0.001, 0.03, 0.04, 0.6])
    flights = pd.DataFrame({"particle": range(4), "p": p, "q": false_discovery_control(p)})
    for acceleration, words in (
        (-1.0, "Of 4 flights, 1 follows a parabola that bends down"),
        (1.0, "Of 4 flights, 0 follow a parabola that bends down"),
    ):
        bent = flights.assign(acceleration=acceleration)
        found = findings(dataclasses.replace(data, tables={**data.tables, "flights": bent}))
        assert any(words in sentence for sentence in found)
        assert any("1 bends up" in sentence for sentence in found) == (acceleration > 0)


def test_no_markup_is_left_in_the_words(written, empty_run, tmp_path):
    for html in (written[1], write_report(empty_run, tmp_path).read_text(encoding="utf-8")):
        assert not [text for text in texts(html) if "`" in text or "**" in text]


def test_remarks_of_the_stages_are_sentences(empty_run, tmp_path):
    provenance = {**empty_run.provenance, "notes": ["no rate: 15 assumed"], "warnings": ["dark."]}
    data = dataclasses.replace(empty_run, provenance=provenance, config=BRIEF)
    html = write_report(data, tmp_path).read_text(encoding="utf-8")
    assert html.startswith("<!DOCTYPE html>")
    assert "<li>No rate: 15 assumed.</li>" in html
    assert "<li>Dark.</li>" in html


def test_text_from_outside_is_escaped(empty_run, tmp_path):
    evil = '<script>alert("x")</script>.avi'
    data = dataclasses.replace(
        empty_run,
        name=evil,
        config=BRIEF,
        provenance={"input": evil, "warnings": [evil], "config": f"# {evil}\nseed = 1\n",
                    "versions": {evil: evil}, "notes": [evil]},
    )  # fmt: skip
    html = write_report(data, tmp_path).read_text(encoding="utf-8")
    assert "<script" not in html
    assert html.count("&lt;script&gt;") >= 6


def test_a_run_without_anything_is_readable_and_drops_old_figures(empty_run, tmp_path):
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "polar.png").write_bytes(b"old")
    html = write_report(empty_run, tmp_path).read_text(encoding="utf-8")
    assert "No pit was found" in html
    assert "No moving particle was detected" in html
    assert "there are no ejection angles" in html
    assert "<table>" not in html
    assert not (tmp_path / "figures" / "polar.png").exists()


def test_pits_without_particles_are_readable(make, tmp_path):
    html = write_report(make(per_pit=0, config=BRIEF), tmp_path).read_text(encoding="utf-8")
    assert "3 pits were found" in html
    assert "No particle was tracked" in html
    assert "could not be compared" in html
    assert "<table>" in html


def test_a_single_pit_with_a_single_particle_is_readable(make, tmp_path):
    html = write_report(make(n_pits=1, per_pit=1, config=BRIEF), tmp_path).read_text(
        encoding="utf-8"
    )
    assert "1 pit was found" in html
    assert "1 particle was followed" in html


def test_no_frame_can_be_shown(run, tmp_path):
    frames = run.tables["frames"].assign(quality="damaged")
    data = dataclasses.replace(run, tables=dict(run.tables) | {"frames": frames})

    def refuse(index):
        raise AssertionError("a damaged frame was read")

    data = dataclasses.replace(data, frame_at=refuse, mask_at=refuse, config=BRIEF)
    html = write_report(data, tmp_path).read_text(encoding="utf-8")
    assert "could be shown" in html


def test_svg_can_be_left_out_and_the_title_set(empty_run, tmp_path):
    config = empty_run.config.model_copy(update={"svg": False, "title": "Coupon 7"})
    html = write_report(dataclasses.replace(empty_run, config=config), tmp_path).read_text("utf-8")
    assert "<h1>Coupon 7</h1>" in html
    assert not list((tmp_path / "figures").glob("*.svg"))


def test_sixteen_bit_and_odd_frames(make, tmp_path):
    data = make(shape=(130, 401), n_pits=2, config=BRIEF)
    deep = dataclasses.replace(data, frame_at=lambda index: data.frame_at(index).astype("u2") * 200)
    assert write_report(deep, tmp_path).stat().st_size > 100_000


def test_the_same_data_give_the_same_page(run, written, tmp_path):
    folder, html = written
    assert write_report(dataclasses.replace(run), tmp_path).read_text("utf-8") == html
    for entry in ENTRIES:
        name = f"{entry.name}.svg"
        assert (tmp_path / "figures" / name).read_bytes() == (
            folder / "figures" / name
        ).read_bytes()


def test_a_folder_that_cannot_be_written(empty_run, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write the report"):
        write_report(empty_run, tmp_path / "file")


@pytest.mark.parametrize(
    ("gate", "told", "not_told"),
    [
        (False, "It looks everywhere in every frame.", "darker than before"),
        (True, "It looks only where something is darker than before", "It looks everywhere"),
        ("auto", "On a GPU it looks everywhere in every frame; on a processor only", "It looks "),
    ],
)
def test_where_the_network_looked_is_told(run, gate, told, not_told):
    config = Config.model_validate({"segment": {"segmenter": "unet", "unet": {"gate": gate}}})
    provenance = {**run.provenance, "config": dump_config(config)}
    text = dict(methods(dataclasses.replace(run, provenance=provenance)))["Particles"]
    assert told in text
    assert not_told not in text
    assert "more than two blocks of 48 frames" in text
    assert "{" not in text


def test_a_part_of_a_recording_says_which(run):
    frames = run.tables["frames"].query("10 <= frame < 50")
    part = dataclasses.replace(run, tables=dict(run.tables) | {"frames": frames})
    assert findings(part)[0].startswith(
        "Frames 10 to 49 of the recording's 60 were analysed (2.7 s"
    )


def test_several_directions_of_a_pit_are_told(run):
    pits = run.tables["pits"].assign(n_modes=[1, 2, 2], omnibus_q=[0.01, 0.03, 0.2])
    told = findings(dataclasses.replace(run, tables=dict(run.tables) | {"pits": pits}))
    assert any("for pit 1 (2 directions)." in sentence for sentence in told)
    assert not any("pit 2 (" in sentence for sentence in told)
    assert not any("Several separate" in sentence for sentence in findings(run))


def test_a_preference_at_the_edge_of_the_frame_is_doubted_where_it_is_told(run):
    pits = run.tables["pits"]
    assert not any("departures from" in sentence for sentence in findings(run))
    hidden = pits.assign(visible_share=np.where(pits["pit"] == pits["pit"].max(), 0.62, 1.0))
    hidden = hidden.assign(rayleigh_q=0.01)
    told = findings(dataclasses.replace(run, tables=dict(run.tables) | {"pits": hidden}))
    place = next(k for k, sentence in enumerate(told) if "in a preferred direction" in sentence)
    assert f"pit {pits['pit'].max()} (62 % of the directions)" in told[place + 1]
