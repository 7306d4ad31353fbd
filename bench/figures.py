"""A figure: samples of one quantity from one run, and what is asked of it."""

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

    def _reaches(self, bound: float) -> bool:
        return self.median >= bound if self.more_is_better else self.median <= bound


def rounded(value: float) -> str:
    """Three digits that say something, and whole numbers from a hundred on."""
    if value >= 99.95:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
