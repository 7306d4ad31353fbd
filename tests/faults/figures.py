"""A figure of the faults: samples of one quantity, the worst of which count."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


def percentile(samples: Sequence[float], share: float) -> float:
    """The least sample that so many per cent do not exceed."""
    return sorted(samples)[max(0, math.ceil(len(samples) * share / 100) - 1)]


@dataclass(frozen=True)
class Figure:
    """`p99` and `most` are what is promised: upper bounds, of the 99th percentile and of the worst."""

    name: str
    unit: str
    samples: tuple[float, ...]
    p99: float | None = None
    most: float | None = None

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Figure:
        return cls(plain["name"], plain["unit"], tuple(plain["samples"]), plain["p99"], plain["most"])

    def plain(self) -> dict[str, Any]:
        samples = [round(sample, 3) for sample in self.samples]
        return {"name": self.name, "unit": self.unit, "samples": samples, "p99": self.p99, "most": self.most}

    @property
    def verdict(self) -> str:
        """A shortfall is said as plainly as a success."""
        asked = [("p99", self.p99, percentile(self.samples, 99)), ("max", self.most, max(self.samples))]
        judged = [(name, bound, found <= bound) for name, bound, found in asked if bound is not None]
        if not judged:
            return ""
        short = [f"{name} {bound:g} {self.unit}" for name, bound, holds in judged if not holds]
        if short:
            return "BELOW what is promised: " + ", ".join(short)
        return "HOLDS: " + ", ".join(f"{name} {bound:g} {self.unit}" for name, bound, _ in judged)

    @property
    def line(self) -> str:
        p50, p99 = percentile(self.samples, 50), percentile(self.samples, 99)
        spread = f"p50 {p50:.4g}, p99 {p99:.4g}, max {max(self.samples):.4g} {self.unit}"
        return f"{self.name}: {spread} ({len(self.samples)} samples)  {self.verdict}".rstrip()
