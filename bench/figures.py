"""A figure: samples of one quantity from one run, and what is asked of it; and the two shapes that figures come in."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """Median with least and most; `required` and `aimed` are lower bounds where more is better, else upper ones."""

    name: str
    unit: str
    samples: Sequence[float]
    more_is_better: bool = False
    required: float | None = None
    aimed: float | None = None

    @property
    def median(self) -> float:
        return statistics.median(self.samples)

    @property
    def verdict(self) -> str:
        """A shortfall is said as plainly as a success."""
        if self.required is not None and not self._reaches(self.required):
            return f"BELOW what is required ({rounded(self.required)} {self.unit})"
        if self.aimed is not None and not self._reaches(self.aimed):
            return f"below the aim ({rounded(self.aimed)} {self.unit})"
        asked = self.required if self.aimed is None else self.aimed
        return "" if asked is None else f"holds ({rounded(asked)} {self.unit})"

    @property
    def shortfall(self) -> str:
        """By how much it misses the first bound that it misses, in percent of that bound."""
        for name, bound in (("what is required", self.required), ("the aim", self.aimed)):
            if bound is not None and not self._reaches(bound):
                apart = 100 * abs(self.median - bound) / bound
                return f"{rounded(apart)} % {'below' if self.more_is_better else 'above'} {name}"
        return ""

    def _reaches(self, bound: float) -> bool:
        return self.median >= bound if self.more_is_better else self.median <= bound


@dataclass(frozen=True)
class Row:
    """A request's rate, and the server's CPU time for one reply; both as shares of those of what stands beside it.

    `of` says what that is; it is empty where a rate is asked for and nothing stands beside it.
    """

    rate: Figure
    cpu: Figure
    p50: Figure
    p99: Figure
    others: Figure
    of: str = ""
    share: Figure | None = None
    cpu_share: Figure | None = None

    @property
    def judged(self) -> Figure:
        return self.rate if self.share is None else self.share


@dataclass(frozen=True)
class Comparison:
    """What ours takes, what another takes (`of` says which) and how the rates of both relate."""

    ours: Figure
    yardstick: Figure
    share: Figure
    of: str

    @property
    def judged(self) -> Figure:
        return self.share


@dataclass(frozen=True)
class Bound:
    required: float | None = None
    aimed: float | None = None


def percentile(samples: Sequence[float], share: float) -> float:
    """The sample below which that share of all lies."""
    return sorted(samples)[min(len(samples) - 1, int(share * len(samples)))]


def rounded(value: float) -> str:
    """Three digits that say something, and whole numbers from a hundred on."""
    if value >= 99.95:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
