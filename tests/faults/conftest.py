"""Faults, provoked for real. `make faults` runs the long forms, prints every figure beside its promise and keeps them.

In `make test` the same tests are short, and judge outcomes alone: the figures of a machine that does other things
prove nothing (decision 35).
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.faults.figures import Figure

RESULTS = Path(__file__).with_name("results")
PROPERTY = "figure"

Report = Callable[..., None]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="as long and as hard as the published figures need it")


@pytest.fixture(scope="session")
def is_long(request: pytest.FixtureRequest) -> bool:
    """The option exists where this folder was named alone."""
    return bool(request.config.getoption("--long", default=False))


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Report:
    """Says a figure: its samples, and what is promised of their 99th percentile and of the worst."""

    def say(name: str, unit: str, samples: Sequence[float], *, p99: float | None = None, most: float | None = None):  # type: ignore[no-untyped-def]
        record_property(PROPERTY, Figure(name, unit, tuple(samples), p99, most).plain())

    return say


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    reports = [report for found in terminalreporter.stats.values() for report in found]
    told = [value for one in reports for name, value in getattr(one, "user_properties", ()) if name == PROPERTY]
    figures = [one for number, one in enumerate(told) if one not in told[:number]]
    if not figures:
        return
    terminalreporter.section("figures")
    for one in figures:
        terminalreporter.write_line(Figure.of(one).line)
    load = os.getloadavg()[1]
    terminalreporter.write_line(f"{os.cpu_count()} cores, load {load:.1f}: these figures hold for a machine at rest")
    if config.getoption("--long", default=False):
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / ".gitignore").write_text("*\n")
        kept = {"date": time.strftime("%Y-%m-%d"), "cores": os.cpu_count(), "load": load, "figures": figures}
        (RESULTS / "latest.json").write_text(json.dumps(kept, indent=2) + "\n")
