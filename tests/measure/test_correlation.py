import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.ndimage import gaussian_filter1d
from scipy.stats import false_discovery_control

from pitflow.config import CorrelationConfig
from pitflow.lag import find_lag
from pitflow.measure.circular import mean_vector
from pitflow.measure.correlation import compute_correlation, ejection_series, growth_series

QUICK = CorrelationConfig(surrogates=99, max_lag=30)


def wandering(n, rng, spread=50.0, memory=8.0):
    noise = gaussian_filter1d(rng.normal(0, 1, n + 200), memory)[100:-100]
    return rng.uniform(0, 360) + spread * noise / noise.std()


def tables(growth_angle, ejection_angle, *, rate=1.0, rng=None, pit=0, new_px=20.0):
    n = growth_angle.size
    growth = pd.DataFrame(
        {
            "pit": pit,
            "frame": np.arange(n),
            "new_px": new_px,
            "angle_deg": growth_angle % 360,
            "resultant_length": 0.9,
        }
    )
    kept = np.ones(n, dtype=bool) if rng is None else rng.random(n) < rate
    ejections = pd.DataFrame(
        {"pit": pit, "frame": np.flatnonzero(kept), "angle_deg": ejection_angle[kept] % 360}
    )
    return growth, ejections


def planted(lag, seed, *, n=300, rate=0.4, noise=20.0, pit=0):
    rng = np.random.default_rng(seed)
    wander = wandering(n + 2 * abs(lag), rng)
    growth = wander[abs(lag) : abs(lag) + n]
    ejection = wander[abs(lag) - lag : abs(lag) - lag + n] + rng.normal(0, noise, n)
    return tables(growth, ejection, rate=rate, rng=rng, pit=pit)


@pytest.mark.parametrize("lag", [-12, 0, 10])
def test_the_planted_lag_is_found_with_its_sign(lag):
    found = find_lag(compute_correlation(*planted(lag, seed=3), config=QUICK, seed=0))
    assert abs(found.lag - lag) <= 1
    assert found.r > 0.6
    assert found.p <= 0.02


def test_pits_pool():
    parts = [planted(10, seed=k, n=150, rate=0.15, noise=60.0, pit=k) for k in range(6)]
    growth, ejections = (pd.concat(t, ignore_index=True) for t in zip(*parts, strict=True))
    table = compute_correlation(growth, ejections, config=QUICK, seed=0)
    assert sorted(table["pit"].unique()) == [-1, 0, 1, 2, 3, 4, 5]
    pooled = find_lag(table)
    assert abs(pooled.lag - 10) <= 2
    assert pooled.p <= 0.05
    own = table[table["pit"] == -1].set_index("lag")
    assert (own["n_pairs"] == table[table["pit"] >= 0].groupby("lag")["n_pairs"].sum()).all()


def test_the_coefficient_is_jammalamadaka_sengupta():
    rng = np.random.default_rng(0)
    g = rng.normal(40, 25, 60)
    e = 0.6 * g + rng.normal(100, 15, 60)
    config = CorrelationConfig(surrogates=50, max_lag=3, smooth_frames=0.0)
    table = compute_correlation(*tables(g, e), config=config, seed=0)
    sin_g = np.sin(np.radians(g - mean_vector(g)[0]))
    sin_e = np.sin(np.radians(e - mean_vector(e)[0]))
    expected = (sin_g @ sin_e) / np.sqrt((sin_g @ sin_g) * (sin_e @ sin_e))
    at_zero = table[(table["pit"] == 0) & (table["lag"] == 0)]["r"].item()
    assert at_zero == pytest.approx(expected, rel=1e-9)


def test_a_frame_weighs_what_of_its_direction_is_not_chance():
    """The square of the summed vector, over itself plus the number of unit vectors in it."""
    growth, _ = tables(np.array([30.0, 40.0]), np.zeros(2), new_px=20.0)
    frames = np.arange(2)
    known = growth_series(growth.assign(resultant_length=[0.9, 0.0]), frames, 0.0)
    np.testing.assert_allclose(known.weight, [18**2 / (18**2 + 20), 0.0])
    assert np.degrees(known.angle[0]) == pytest.approx(30.0)
    left = pd.DataFrame({"frame": [0, 1, 1, 7], "angle_deg": [10.0, 80.0, 100.0, 0.0]})
    ejected = ejection_series(left, frames)
    both = (2 * np.cos(np.radians(10.0))) ** 2
    np.testing.assert_allclose(ejected.weight, [1 / 2, both / (both + 2)])
    np.testing.assert_allclose(np.degrees(ejected.angle), [10.0, 90.0])


def test_the_report_option_is_pearsons():
    rng = np.random.default_rng(1)
    g = rng.uniform(90, 200, 80)
    e = np.roll(g, 4) + rng.normal(0, 20, 80)
    config = CorrelationConfig(method="report", surrogates=50, max_lag=6)
    growth, ejections = tables(g, e, rate=0.6, rng=rng)
    table = compute_correlation(growth, ejections, config=config, seed=0).query("pit == 0")
    frame = ejections["frame"].to_numpy()
    for lag in (-3, 0, 4):
        pairs = (frame - lag >= 0) & (frame - lag < 80)
        expected = stats.pearsonr(g[frame[pairs] - lag], e[frame[pairs]])[0]
        assert table.set_index("lag")["r"][lag] == pytest.approx(expected, abs=1e-9)
    assert find_lag(table, pit=0).lag == 4


@settings(max_examples=10, deadline=None)
@given(st.floats(0, 360))
def test_turning_the_image_changes_nothing(turn):
    growth, ejections = planted(10, seed=5, n=120)
    before = compute_correlation(growth, ejections, config=QUICK, seed=0)
    turned = [t.assign(angle_deg=(t["angle_deg"] + turn) % 360) for t in (growth, ejections)]
    after = compute_correlation(*turned, config=QUICK, seed=0)
    np.testing.assert_allclose(after["r"], before["r"], atol=1e-8)


def test_unrelated_directions_are_called_related_at_the_level():
    config = CorrelationConfig(surrogates=79, max_lag=20)
    rejected, n = 0, 240
    for k in range(n):
        rng = np.random.default_rng(7000 + k)
        growth, ejections = tables(wandering(150, rng), wandering(150, rng), rate=0.4, rng=rng)
        table = compute_correlation(growth, ejections, config=config, seed=k)
        rejected += find_lag(table).p <= 0.05
    assert stats.binomtest(rejected, n, 0.05).pvalue > 0.001


def test_uniform_ejection_from_pits_that_wander_and_stop_is_called_at_the_level():
    config = CorrelationConfig(surrogates=59, max_lag=30)
    p, any_pit = [], 0
    for k in range(30):
        rng = np.random.default_rng(9000 + k)
        parts = []
        for pit in range(6):
            grown, left = tables(
                wandering(200, rng, memory=12.0), rng.uniform(0, 360, 200), rate=0.2, rng=rng
            )
            grown.loc[grown["frame"] > rng.uniform(80, 400), ["new_px", "angle_deg"]] = [0, np.nan]
            parts.append((grown.assign(pit=pit), left.assign(pit=pit)))
        growth, ejections = (pd.concat(t, ignore_index=True) for t in zip(*parts, strict=True))
        table = compute_correlation(growth, ejections, config=config, seed=k)
        answers = [find_lag(table, pit) for pit in range(6)]
        p += [answer.p for answer in answers if answer is not None]
        any_pit += any(answer.is_evidence for answer in answers if answer is not None)
    assert len(p) > 150
    assert stats.binomtest(int(np.sum(np.array(p) <= 0.05)), len(p), 0.05).pvalue > 0.01
    assert stats.binomtest(any_pit, 30, 0.05).pvalue > 0.01


def test_p_of_each_pit_is_adjusted_at_its_clearest_lag():
    parts = [planted(6, seed=k, n=150, noise=40.0 * (k + 1), pit=k) for k in range(3)]
    growth, ejections = (pd.concat(t, ignore_index=True) for t in zip(*parts, strict=True))
    table = compute_correlation(growth, ejections, config=QUICK, seed=0)
    answers = [find_lag(table, pit) for pit in range(3)]
    known = table[table["q"].notna()]
    assert known["pit"].tolist() == [0, 1, 2]
    assert known["lag"].tolist() == [answer.lag for answer in answers]
    np.testing.assert_allclose(known["q"], false_discovery_control([a.p for a in answers]))
    assert find_lag(table).q == find_lag(table).p


def test_frames_without_growth_or_ejection_are_missing_not_zero():
    growth, ejections = planted(10, seed=9, rate=0.3)
    growth.loc[growth["frame"].between(100, 140), ["new_px", "angle_deg"]] = [0.0, np.nan]
    table = compute_correlation(growth, ejections, config=QUICK, seed=0)
    pooled = table[table["pit"] == -1].set_index("lag")
    assert pooled["n_pairs"][0] < len(ejections)
    assert abs(find_lag(table).lag - 10) <= 1


def test_too_few_pairs_give_no_number():
    growth, ejections = planted(0, seed=1)
    table = compute_correlation(growth, ejections.head(4), config=QUICK, seed=0)
    assert table["r"].isna().all()
    assert find_lag(table) is None


def test_no_ejections():
    growth, ejections = planted(0, seed=1)
    table = compute_correlation(growth, ejections.iloc[:0], config=QUICK, seed=0)
    assert table.empty
    assert "n_effective" in table.columns


def test_lags_that_leave_little_overlap_stay_empty():
    growth, ejections = planted(5, seed=2, n=80)
    table = compute_correlation(growth, ejections, config=QUICK, seed=0)
    measured = table.loc[table["r"].notna(), "lag"].abs()
    assert measured.max() == 20
    assert abs(find_lag(table).lag - 5) <= 2
