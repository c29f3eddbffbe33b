"""The findings of the run as a list of sentences, for the head of the page."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pitflow.lag import ALPHA, find_lag
from pitflow.report.current_answer import current_findings
from pitflow.report.data import Floats, ReportData, floats, ints, there_from_the_start
from pitflow.report.lag import in_words
from pitflow.report.words import FAULTS, angle_interval, count, listing, p_value, significant
from pitflow.visible import seen_all_round


def findings(data: ReportData) -> list[str]:
    """Return the run's answers, most important first, each a sentence with its numbers."""
    return [_recording(data), *_pits(data), _particles(data), *_directions(data), *_lag(data),
            *current_findings(data), *_speed(data), *_height(data)]  # fmt: skip


def _recording(data: ReportData) -> str:
    frames = data.tables["frames"]
    height, width = data.shape
    faults = [
        count(int((frames["quality"] == quality).sum()), f"{word} frame")
        for quality, word in FAULTS.items()
        if (frames["quality"] == quality).any()
    ]
    field = f"{width * data.um_per_px / 1000:.2f} mm by {height * data.um_per_px / 1000:.2f} mm"
    in_median = "" if data.even_fps else " in the median"
    duration = f"({data.duration_s:.1f} s at {data.fps:.4g} frames per second{in_median})"
    opening = f"The recording has {count(len(frames), 'frame')} {duration}"
    if 0 < len(frames) < data.n_frames:
        first, last = int(frames["frame"].min()), int(frames["frame"].max())
        opening = (
            f"Frames {first} to {last} of the recording's {data.n_frames:,} were analysed "
            f"{duration},"
        )
    return (
        f"{opening} of {width} by {height} px, {field} of steel at "
        f"{data.um_per_px:g} µm per px; "
        + (listing(faults) if faults else "no frame is lost, damaged or repeated")
        + "."
    )


def _pits(data: ReportData) -> list[str]:
    pits = data.tables["pits"]
    if pits.empty:
        return ["No pit was found."]
    area = floats(pits, "area_um2")
    growing = int(pits["is_stable"].sum())
    first = int(pits["onset_frame"].min())
    # Nothing tells when a pit began that is there in the first frame.
    from_start = int(there_from_the_start(data, pits).sum())
    since = f"{data.seconds(first):.1f} s (frame {first})"
    if len(pits) == 1:
        state = "is still growing" if growing else "is not seen to grow"
        return [
            (
                "1 pit was found, "
                f"{'there from the first frame on' if from_start else f'first seen at {since}'}; "
                f"its final area is {significant(area[0])} µm² and it {state} at the end."
            )
        ]
    still = "none" if growing == 0 else "all" if growing == len(pits) else str(growing)
    onset = (
        f"{from_start} of them there from the first frame on"
        if from_start
        else f"the first at {since}"
    )
    return [
        (
            f"{len(pits)} pits were found, {onset}; "
            f"their final areas run from {significant(area.min())} to "
            f"{significant(area.max())} µm², and {still} of them still "
            f"{'grows' if growing == 1 else 'grow'} at the end."
        )
    ]


def _particles(data: ReportData) -> str:
    particles, tracks = data.tables["particles"], data.tracks
    if particles.empty:
        return "No moving particle was detected."
    if tracks.empty:
        are = "is" if len(particles) == 1 else "are"
        return f"No particle was followed; {count(len(particles), 'detection')} {are} in no track."
    number = tracks["particle"].nunique()
    left = data.tables["ejections"]["particle"].nunique()
    sure = data.sure_tracks if len(data.sure_tracks) else tracks
    diameter = np.nanmedian(floats(sure, "diameter_px")) * data.um_per_px
    sentence = (
        f"{count(number, 'particle')} {'was' if number == 1 else 'were'} followed "
        f"({count(len(tracks), 'detection')}), {diameter:.1f} µm wide in the median as imaged"
    )
    if left == 0:
        return f"{sentence}; none of them could be traced back to a pit."
    rate = left / data.duration_s
    which = "all of them" if left == number else f"{left:,} of them"
    return f"{sentence}; {which} could be traced back to a pit, {significant(rate)} per second."


def _directions(data: ReportData) -> list[str]:
    pits = data.tables["pits"]
    sentences = _preference(pits)
    split = pits[pits["n_modes"] >= 2]
    split = split[split["omnibus_q"] <= ALPHA] if "omnibus_q" in split else split.head(0)
    named = [
        f"pit {pit} ({modes} directions)"
        for pit, modes in zip(ints(split, "pit"), ints(split, "n_modes"), strict=True)
    ]
    if named:
        more = ["others (see the table)"] if len(named) > 5 else []
        sentences.append(
            "Several separate directions, with dips between them deeper than chance makes, "
            f"describe the ejections better than one or none for {listing(named[:5] + more)}."
        )
    return sentences


def _preference(pits: pd.DataFrame) -> list[str]:
    tested = pits[pits["rayleigh_q"].notna()].sort_values("rayleigh_q")
    few = int((pits["rayleigh_q"].isna() & (pits["n_ejected"] > 0)).sum())
    others = [f"{count(few, 'pit')} ejected too few particles to test for a preferred direction."]
    if tested.empty:
        return others if few else []
    found = int((tested["rayleigh_q"] <= ALPHA).sum())
    if found == 0:
        smallest = p_value(float(tested["rayleigh_q"].iloc[0]), "q")
        numbers = f"{smallest}, {count(int(tested['n_ejected'].sum()), 'particle')}"
        sentence = (
            f"The one tested pit shows no preferred direction of ejection ({numbers})."
            if len(tested) == 1
            else f"Of {len(tested)} tested pits, none shows a preferred direction of ejection "
            f"(smallest {numbers} in all)."
        )
        return [sentence, *(others if few else [])]
    shown = tested.head(min(found, 5)).sort_values("pit")
    named = [
        f"pit {pit} towards {angle_interval(mean, low, high)} by {count(number, 'particle')}"
        for pit, mean, low, high, number in zip(
            ints(shown, "pit"),
            floats(shown, "mean_angle_deg"),
            floats(shown, "mean_angle_lo_deg"),
            floats(shown, "mean_angle_hi_deg"),
            ints(shown, "n_ejected").tolist(),
            strict=True,
        )
    ]
    if found > len(shown):
        named.append("others, less clearly (see the table)")
    return [
        (
            f"Of {count(len(tested), 'tested pit')}, {found} eject{'s' if found == 1 else ''} in a "
            f"preferred direction (q ≤ {ALPHA:g}): {listing(named)}; 0° is right, 90° down."
        ),
        *(others if few else []),
        *_hidden(tested[tested["rayleigh_q"] <= ALPHA].sort_values("pit")),
    ]


def _hidden(preferring: pd.DataFrame) -> list[str]:
    """Return the doubt about pits that are not seen on all sides: that may be their preference."""
    hidden = preferring[~seen_all_round(preferring)]
    if hidden.empty:
        return []
    named = [
        f"pit {pit} ({100 * share:.0f} % of the directions)"
        for pit, share in zip(ints(hidden, "pit"), floats(hidden, "visible_share"), strict=True)
    ]
    more = ["others (see the limits)"] if len(named) > 5 else []
    return [
        (
            f"But departures from {listing(named[:5] + more)} are seen on a part of all sides "
            "only, for the edge of the frame or another pit hides the others: that alone can look "
            "like a preferred direction."
        )
    ]


def _lag(data: ReportData) -> list[str]:
    correlation = data.tables["correlation"]
    if data.tables["pits"].empty:
        return []
    pits = ints(correlation, "pit")
    return [in_words(find_lag(correlation, int(pits.min())) if pits.size else None, data.even_fps)]


def _speed(data: ReportData) -> list[str]:
    speed = floats(data.tables["ejections"], "speed_um_s")
    speed = speed[np.isfinite(speed)]
    sentences = []
    if speed.size:
        sentences.append(_departure(speed))
    outliers = data.tables["outliers"]
    if not outliers.empty:
        number = outliers["particle"].nunique()
        sentences.append(
            f"{count(number, 'particle')} suddenly {'changes' if number == 1 else 'change'} speed "
            f"({count(len(outliers), 'velocity outlier')}{_where(data)})."
        )
        sentences += _clustering(data)
    return sentences


def _departure(speed: Floats) -> str:
    """Tell the speed at departure, of few particles without quartiles."""
    number, middle = count(speed.size, "particle"), significant(float(np.median(speed)))
    if speed.size == 1:
        return f"{number} leaves its pit at {middle} µm/s."
    few = speed.size < 5
    low, high = np.percentile(speed, [0, 100] if few else [25, 75])
    return (
        f"{number} leave their pit at {middle} µm/s in the median "
        f"({'' if few else 'middle half '}{significant(low)} to {significant(high)} µm/s)."
    )


def _where(data: ReportData) -> str:
    distance = floats(data.tables["outliers"], "distance_px")
    # The test tells the distance of those it rests on.
    if not np.isfinite(distance).any() or not data.tables["clustering"].empty:
        return ""
    return (
        f", in the median {np.nanmedian(distance) * data.um_per_px:.0f} µm from the centre of the "
        "nearest pit other than the source"
    )


def _clustering(data: ReportData) -> list[str]:
    clustering = data.tables["clustering"]
    if clustering.empty:
        return []
    test = clustering.iloc[0]
    distances = (
        f"{test['median_px'] * data.um_per_px:.0f} µm in the median against "
        f"{test['expected_px'] * data.um_per_px:.0f} µm at random moments of the same tracks, "
        f"{p_value(float(test['p']))}"
    )
    if test["p"] <= ALPHA:
        return [f"These outliers lie nearer to foreign pits than chance has them ({distances})."]
    return [f"That these outliers cluster at foreign pits is not shown ({distances})."]


def _height(data: ReportData) -> list[str]:
    height = floats(data.sure_tracks, "z_um")
    if data.tracks.empty:
        return []
    if not np.isfinite(height).any():
        return [
            (
                "The height of the particles is not given, since the recording is not calibrated; "
                "their blur stands for it."
            )
        ]
    return [
        f"Half of all positions lie below {significant(float(np.nanmedian(height)))} µm. "
        f"{_flights(data)}".strip()
    ]


def _flights(data: ReportData) -> str:
    flights = data.tables["flights"]
    if "q" not in flights or not flights["q"].notna().any():
        return ""
    tested = flights[flights["q"].notna()]
    bent = tested[tested["q"] <= ALPHA]
    found = int((bent["acceleration"] < 0).sum())
    sentence = (
        f"Of {count(len(tested), 'flight')}, {found} follow{'s' if found == 1 else ''} a parabola "
        "that bends down, as ballistic flight does, rather than a straight line "
        f"(q ≤ {ALPHA:g}, p adjusted over the flights)"
    )
    other = len(bent) - found
    if other == 0:
        return f"{sentence}."
    return (
        f"{sentence}; {other} bend{'s' if other == 1 else ''} up, as a fall that slows down does."
    )
