"""Does ejection follow growth? The answer that the correlation table gives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

ALPHA = 0.05


@dataclass(frozen=True, slots=True)
class LagAnswer:
    """The lag at which the relation of growth and ejection is clearest.

    Parameters
    ----------
    pit:
        Pit number, -1 for all pits pooled.
    lag:
        Frames by which ejection follows growth; negative: it precedes it.
    r:
        Correlation there.
    p:
        Chance of as clear a relation at any lag where there is none.
    q:
        ``p`` adjusted over the pits, each of which had its chance; of all pooled it is ``p``.
    """

    pit: int
    lag: int
    r: float
    p: float
    q: float

    @property
    def is_evidence(self) -> bool:
        """Whether the correlation is stronger than chance explains over all pits tried."""
        return bool(self.q <= ALPHA)


def find_lag(correlation: pd.DataFrame, pit: int = -1) -> LagAnswer | None:
    """Return the clearest lag of one pit, or of all pooled (-1); None where r is empty.

    Parameters
    ----------
    correlation:
        The correlation table; without ``p`` that is empty, without ``q`` it is ``p``.
    """
    best = find_clearest(correlation[correlation["pit"] == pit])
    if best is None:
        return None
    p = float(best.get("p", np.nan))
    q = float(best.get("q", np.nan))
    return LagAnswer(pit, int(best["lag"]), float(best["r"]), p, p if np.isnan(q) else q)


def find_clearest(rows: pd.DataFrame) -> pd.Series | None:
    """Return the row of the clearest lag; None where r is empty.

    That is the lag whose ``|r|`` is largest by the standard deviation that it has there without a
    relation (``1 / sqrt(n_effective)``), for at long lags fewer pairs make larger correlations. Of
    all lags it has the smallest ``p``, which compares the same.

    Parameters
    ----------
    rows:
        ``r`` by lag; without ``n_effective`` the largest ``|r|`` counts.
    """
    own = rows[rows["r"].notna()]
    if own.empty:
        return None
    size = np.abs(own["r"].to_numpy(dtype=np.float64))
    if "n_effective" in own:
        size = size * np.sqrt(own["n_effective"].fillna(0.0).to_numpy(dtype=np.float64))
    return own.iloc[int(np.argmax(size))]
