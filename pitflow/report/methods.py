"""How each number was made, and what it cannot tell, in plain words with the parameters used."""

from __future__ import annotations

from pitflow.config import AcquireConfig, UNetConfig
from pitflow.lag import ALPHA
from pitflow.report.data import ReportData, floats, ints
from pitflow.report.words import count
from pitflow.schema import FEWEST_FOR_MODES
from pitflow.visible import seen_all_round

SEGMENTERS = {
    "unet": "A network (the included one has learned from simulated recordings) sees each frame, "
    "how it differs from what its place shows without particles, and from the frames around it; it "
    "decides what is a particle. {gate} How dark and large a particle is and where it lies is "
    "measured on the difference image; the fainter it is, the more of its place is the network's.",
    "change": "Each frame is compared with what its place shows before and after without "
    "particles, drift of stage and light removed; what is darker than the noise allows, at any of "
    "several blob sizes, is a particle. Specks that do not move are there before and after, and "
    "so are not found.",
    "clahe": "The contrast of each frame is equalised locally (CLAHE) and dark contours of a "
    "plausible size are taken for particles. Time is not used, so settled specks are found too.",
    "report": "The first frame is subtracted, the histogram equalised, and what a running Gaussian "
    "mixture (MOG2) does not expect is a particle.",
}


def _gate(unet: UNetConfig) -> str:
    """Say where the network looks."""
    if unet.gate is False:
        return "It looks everywhere in every frame."
    looks = (
        "only where something is darker than before, and what it misses by that is measured in "
        "parts of the frames that are searched in turn, whatever they show"
    )
    if unet.gate == "auto":
        return f"On a GPU it looks everywhere in every frame; on a processor {looks}."
    return f"It looks {looks}."


def methods(data: ReportData) -> list[tuple[str, str]]:
    """Return (quantity, how it was made) for everything on the page."""
    run = data.parameters
    segment, measure = run.segment, run.measure
    ejection, focus = measure.ejection, measure.focus
    chosen = SEGMENTERS.get(
        segment.segmenter, "See the documentation of this segmenter for how it finds them."
    ).format(gate=_gate(segment.unet))
    thresholds = {
        "unet": f" Model “{segment.unet.model}”.",
        "change": f" Threshold: {segment.change.threshold:g} standard deviations of the noise.",
        "clahe": f" Clip limit {segment.clahe.clip_limit:g}, tiles of {segment.clahe.tile_px} px.",
        "report": f" History of {segment.report.history} frames.",
    }.get(segment.segmenter, "")
    if segment.segmenter in {"unet", "change"}:
        thresholds += (
            f" What stands in one place for more than two blocks of {run.acquire.block_frames} "
            "frames, or half of the first or last, is taken for steel there."
        )
    coverage = f"{100 * ejection.confidence:g} %"
    correlated = (
        "circular correlation coefficient of Jammalamadaka and SenGupta"
        if measure.correlation.method == "circular"
        else "Pearson correlation of the mean angles, as in the published analysis"
    )
    glimpses = (
        " Back towards its pit, and where it was missed, a track goes on with what is too unsure "
        f"to be a particle by itself, within {run.link.glimpse_px:g} px of where it leads; such "
        "detections are marked in the table (is_glimpse), and no statistic rests on them."
        if run.link.glimpse_px > 0
        else ""
    )
    calibrated = focus.k_px_per_um is not None and focus.sigma0_px is not None
    return [
        (
            "Scale and time",
            (
                f"{data.um_per_px:g} µm per px and {data.fps:g} frames per second. Lost frames "
                "keep their numbers, so times stay right across gaps."
                + (
                    ""
                    if data.even_fps
                    else " The frame rate varies: speeds and rates follow the time stamps, lags "
                    "and windows count frames."
                )
            ),
        ),
        ("Particles", f"Found with the method “{segment.segmenter}”. {chosen}{thresholds}"),
        (
            "Pits",
            (
                f"Regions darker than {100 * segment.pits.darkness:.0f} % of the steel around "
                f"them that stay dark, grow, and end with at least {segment.pits.min_area_px:g} "
                "px². What is dark from the start and does not grow by half is taken for dirt, "
                f"unless it has {6 * segment.pits.min_area_px:g} px² and more. Growth is judged by "
                "the frame in which each pixel turns dark: what comes within 3 frames, or in "
                "clumps with pauses, has landed, if it is more than 8 px from a pit, and is part "
                "of one only from when that lies around it. The centre is that of the final area. "
                "But where the paths of a pit's particles, followed back, meet in one place "
                "elsewhere, that is its centre (column centre_of): a pit that grows "
                "to one side leaves behind the place from which its particles come. While the "
                "paths leave open whether that is where the pit began, the errors of the angles "
                "(angle_err_deg) hold both."
            ),
        ),
        (
            "Tracks",
            (
                "Detections of successive frames are joined to tracks, each particle expected "
                f"where its motion so far leads it, within {run.link.search_range_px:g} px, and as "
                "surely as positions of what stands out as little are known; it "
                f"may be missed for {run.link.memory} frames. Tracks of fewer than "
                f"{run.link.min_length} detections are not kept (what comes in the last frames is, "
                "where it is sure, but in no track); a particle that stays within "
                f"{run.link.rest_px:g} px for {run.link.rest_frames} frames has landed, and its "
                f"track ends there. What never gets further than {run.link.least_move_px:g} px "
                f"from its first place is not seen to move and is left out.{glimpses}"
            ),
        ),
        (
            "Source pit",
            (
                "A particle belongs to the pit to whose rim its track leads back, not to the pit "
                f"it happens to be near. Tracks that start more than {ejection.rim_distance_px:g} "
                "px from any rim, or lead back to none, have no source."
            ),
        ),
        (
            "Ejection angle",
            (
                "Direction from the centre of the pit, 0° to the right, clockwise on the "
                "screen, when the particle came out: most are seen in their first frame outside, "
                "the others are followed back. Its error holds those of the track, the rim and "
                "the pit's centre. For tests each particle counts once, with the angle at its "
                f"departure, from the first {ejection.early_px:g} px of its track: positions of "
                "one particle in successive frames are not independent, and counting them all "
                "makes any test far too confident."
            ),
        ),
        (
            "Preferred direction",
            (
                "Rayleigh test of the departures against all directions alike (p), adjusted over "
                "the pits by Benjamini and Hochberg (q). Mean direction and resultant R with "
                f"{coverage} bootstrap intervals ({ejection.bootstrap:,} resamples); without "
                f"evidence for a direction (q > {ALPHA:g}), any may be the mean one. With fewer "
                "than 16 particles that of R is a von Mises law's, with 16 to 64 it reaches as far "
                "as the wider of both at either end. The number of preferred directions is that "
                "of a mixture of von Mises distributions chosen by BIC, which one direction has "
                "to better by 3 and more by 4, so that few uniform pits have any. Between several, "
                "a dip is asked for that is deeper than chance makes it in angles uniform over an "
                "arc (p ≤ 0.05), so that a wide direction is not taken for two; 0 means uniform, "
                f"or fewer than {FEWEST_FOR_MODES} particles."
            ),
        ),
        (
            "Pit growth",
            (
                "Every pixel is given the frame in which it became pit and stayed so. The growth "
                "direction of a frame is the circular mean direction of its new pixels about the "
                "pit's first pixels."
                + (
                    f" The current that dissolves a pit assumes a {measure.growth.geometry}."
                    if measure.growth.geometry != "none"
                    else ""
                )
            ),
        ),
        (
            "Growth against ejection",
            (
                f"{correlated[0].upper()}{correlated[1:]} between the growth direction and the "
                "ejection direction a number of frames later, up to "
                f"{measure.correlation.max_lag} frames either way, but no further than a quarter "
                "of a pit's life. The band and p come from "
                f"{measure.correlation.surrogates} surrogate series of the growth of each pit that "
                "keep its directions and the memory that all pits have in common, but break the "
                "relation to ejection; p compares the largest |r| over all lags, each relative to "
                "its spread without a relation, and is never below "
                f"{1 / (measure.correlation.surrogates + 1):.2g}. That of each pit "
                "is adjusted over the pits by Benjamini and Hochberg (q), for of many pits some "
                "correlate by chance."
            ),
        ),
        (
            "Speed and outliers",
            (
                "Slope of a line through a few successive positions of a track, which does not "
                "reach over the start or the end of an outlier. An outlier is one step or up to "
                "three successive ones that together lie more than "
                f"{measure.velocity.threshold:g} robust standard deviations "
                "from the track's own smooth trend, and depart from it by more than "
                f"{100 * measure.velocity.min_excess:g} % of it, with the same mass before and "
                "after: forward or, if they are several and faster than the trend, towards the "
                "nearest pit that is not the source. Steps beside them that depart alike belong to "
                "it. A single step counts for less than half, for an error mostly displaces one; "
                "a step counts for less where the particle is faint, and in a frame in which many "
                "particles are off. "
                "The score asked for rises until at most "
                f"{100 * measure.velocity.false_share:g} % of the events would be false, judged by "
                f"how many point to either side{_threshold(data)}. Whether they cluster at "
                "foreign pits is tested against random moments of the same tracks at which one "
                "could be seen; the last detection of a track counts on neither side, for there no "
                "later step tells a sudden one from a misplaced position."
            ),
        ),
        (
            "Blur and height",
            "Blur is the width (Gaussian sigma) of the defocus, the particle's own size taken off "
            "by its mass. A blur fits two heights, one on either side of the focal plane; the "
            "plane is taken to lie on the steel and the particles above it. "
            + (
                f"Height follows from sigma² = sigma0² + (k·z)² with sigma0 = {focus.sigma0_px:g} "
                f"px and k = {focus.k_px_per_um:g} px/µm. Twice its standard error holds it in 95 "
                "of 100 cases: that of the blur, seen along the tracks, of the particle's size, "
                "and of the calibration. A flight is held to be a parabola by an F test against "
                "the straight line that allows for errors which persist from frame to frame, "
                "adjusted over the flights by Benjamini and Hochberg (q); ballistic is one that "
                "bends down. Heights within their error of the steel are left out, for there a "
                "fall ends."
                if calibrated
                else "Height would follow from sigma² = sigma0² + (k·z)², but sigma0 and k are not "
                "calibrated, so no height is given. The blur of a "
                "particle that falls along a straight line bends, so no parabola is tested."
            ),
        ),
        *_current(data),
        (
            "Flow",
            (
                f"Mean velocity of all tracked particles in cells of {measure.flow.cell_px:g} px, "
                "each counting once in a cell; a cell belongs to the pit whose particles prevail "
                "in it. The speed over the distance r from a pit is fitted by "
                "v0 / (1 + r / half), every track counting once in each ring; the "
                "errors are from fits to tracks drawn with repetition."
            ),
        ),
    ]


def _threshold(data: ReportData) -> str:
    """Return to which score that rose, where there is an event to tell."""
    outliers = data.tables["outliers"]
    if "threshold" not in outliers or outliers.empty:
        return ""
    return f": here to {floats(outliers, 'threshold')[0]:.3g}"


def _current(data: ReportData) -> list[tuple[str, str]]:
    """Return how the current was set beside the video, where there is one."""
    if data.tables["current"].empty:
        return []
    measure = data.parameters.measure
    area = (
        f" Area of the electrode: {measure.current.area_cm2:g} cm²."
        if measure.current.area_cm2 is not None
        else ""
    )
    return [
        (
            "Current",
            (
                "Mean of the potentiostat's samples around each frame, with "
                f"{measure.current.offset_s:g} s added to its clock.{area} A transient rises "
                f"above {measure.current.threshold:g} times the noise over a baseline, the "
                f"low values of {measure.current.baseline_s:g} s around, or where transients crowd "
                "clearly more suddenly than the current usually changes; its charge is the area "
                "above the baseline. "
                "Ejections and growth are correlated with the current after averaging over "
                f"{measure.correlation.smooth_frames:g} frames and without what varies more slowly "
                "than the range of lags, relative to how they vary around; the band and p come "
                "from surrogates of the current that keep its values and its memory."
            ),
        )
    ]


def limits(data: ReportData) -> list[str]:
    """Return what a reader should keep in mind about this run, from its own numbers."""
    pits, particles = data.tables["pits"], data.tables["particles"]
    frames = data.tables["frames"]
    known = [
        (
            "The image shows motion along the surface only; a particle that rises steeply seems "
            "slow and close to its pit."
        ),
        "A preferred direction or a correlation says that two things go together, not why.",
        "Sizes are those of the image: a particle out of focus looks larger than it is.",
    ]
    if data.um_per_px == AcquireConfig().um_per_px:
        known.append(
            f"Every µm on this page rests on {data.um_per_px:g} µm per px, which is taken where no "
            "other scale is given (--um-per-px)."
        )
    few = pits[(pits["n_ejected"] > 0) & (pits["n_ejected"] < 10)]
    if not few.empty:
        named = "its" if len(few) == 1 else "their"
        known.append(
            f"{count(len(few), 'pit')} ejected fewer than 10 particles; {named} mean direction is "
            "uncertain and a preference could hardly show."
        )
    if "visible_share" in pits:
        hidden = pits[(pits["n_ejected"] > 0) & ~seen_all_round(pits)].head(5)
        known += [
            f"Pit {pit}: a departing particle would be seen in {100 * share:.0f} % of the "
            "directions only, for the edge of the frame or another pit hides the others; a "
            "preferred direction may be theirs."
            for pit, share in zip(ints(hidden, "pit"), floats(hidden, "visible_share"), strict=True)
        ]
    sourceless = data.tracks.loc[data.tracks["pit"] < 0, "particle"].nunique()
    total = data.tracks["particle"].nunique()
    if total and sourceless / total > 0.2:
        known.append(
            f"{100 * sourceless / total:.0f} % of the tracks could not be traced back to a pit; "
            "they are in no angle statistics."
        )
    if len(particles) and (particles["particle"] < 0).mean() > 0.2:
        known.append(
            f"{100 * (particles['particle'] < 0).mean():.0f} % of the detections belong to no "
            "track; most of them are noise or crossings."
        )
    bad = int((frames["quality"] != "ok").sum())
    if bad:
        known.append(
            f"In {count(bad, 'frame')} of {len(frames)} (lost, damaged or repeated) nothing was "
            "looked for; particles that moved far meanwhile start a new track."
        )
    gain = floats(frames, "gain")
    if len(gain) and gain[gain > 0].size and gain[gain > 0].max() / gain[gain > 0].min() > 1.2:
        known.append(
            "The brightness changed by more than 20 %; faint particles may be missed where it is "
            "low."
        )
    if not (particles["z_um"].notna()).any():
        known.append("No height is given: the focus of this recording is not calibrated.")
    return known
