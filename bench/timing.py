"""Microseconds of CPU that a call takes in this process; what is compared takes turns and meets the same disturbances.

The thread's own CPU time and not the clock's: on a machine that others use too, waiting for the core says nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

ROUNDS = 25
SECONDS = 0.06


@dataclass(frozen=True)
class Contestant:
    """A call and what it is called with, one after the other and over again; `before` each pass something is done."""

    call: Callable[[Any], object]
    inputs: Sequence[Any]
    before: Callable[[], object] = lambda: None

    def microseconds(self, passes: int) -> float:
        call, inputs = self.call, self.inputs
        begun = time.thread_time()
        for _ in range(passes):
            self.before()
            for given in inputs:
                call(given)
        return (time.thread_time() - begun) / passes / len(inputs) * 1e6


def in_turns(*contestants: Contestant) -> list[list[float]]:
    """For each contestant its samples, one a round; the first pass is warm-up and tells how many fill a round."""
    passes = [max(1, int(SECONDS * 1e6 / one.microseconds(1) / len(one.inputs))) for one in contestants]
    samples: list[list[float]] = [[] for _ in contestants]
    for _ in range(ROUNDS):
        for found, one, count in zip(samples, contestants, passes, strict=True):
            found.append(one.microseconds(count))
    return samples
