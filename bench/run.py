"""`make bench`: measures on two cores, prints every figure beside what is asked of it, and keeps them as JSON.

run.py                 about seven minutes
run.py --only PART     one part, or several
run.py --publish       also writes docs/benchmarks.md and docs/benchmarks.svg
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

import chart
import flows
import gateway_speed
import growth
import http_speed
import in_process
import load
import machine
import report
import revocation_latency
import route_matching
import scanner_speed
import starting
import verifier_speed
from report import Measured, Results, Section

ROOT = Path(__file__).resolve().parents[1]
RESULTS = Path(__file__).with_name("results")
DOCS = ROOT / "docs"


@dataclass(frozen=True)
class Part:
    """`run` gets a directory of its own, and whom to tell what is measured."""

    title: str
    run: Callable[[Path, Generator[None, str]], Sequence[Measured]]


PARTS = {
    "http": Part("Over HTTP, one worker", http_speed.run),
    "flows": Part("Refresh, and the way from a signed-in browser to tokens", flows.run),
    "gateways": Part("Through a gateway", gateway_speed.run),
    "verifier": Part("The verifier", verifier_speed.run),
    "crypto": Part("Signing and verifying in one process", in_process.run),
    "revocation": Part("From a revocation to the refusal", revocation_latency.run),
    "start": Part("Start", starting.run),
    "growth": Part("With the number of keys and grants", growth.run),
    "routes": Part("Routes of gateways", route_matching.run),
    "scan": Part("Leaks", scanner_speed.run),
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description="Measures Doorward on this machine.")
    parser.add_argument("--publish", action="store_true", help="also write docs/benchmarks.md and its chart")
    parser.add_argument("--only", action="append", choices=PARTS, metavar="PART", help=" | ".join(PARTS))
    arguments = parser.parse_args()
    if arguments.publish and arguments.only:
        parser.error("a part alone is not published")
    load.require_wrk()
    with contextlib.closing(progress()) as told:
        next(told)
        results = measured(arguments.only or list(PARTS), told)
    print(report.text(results))
    keep(results)
    if arguments.publish and (results.is_disturbed or results.failures):
        raise SystemExit("Nothing is published from a machine that others used, nor without a part that broke off.")
    if arguments.publish:
        (DOCS / "benchmarks.md").write_text(report.page(results))
        (DOCS / "benchmarks.svg").write_text(chart.svg(results))
    if results.failures:
        raise SystemExit(1)


def measured(names: Sequence[str], told: Generator[None, str]) -> Results:
    """A part that breaks off takes nothing from the others."""
    results, began = Results(machine.described(), {}), time.monotonic()
    for name in names:
        part = PARTS[name]
        told.send(part.title)
        try:
            with machine.directory() as place, machine.own_core():
                results.sections[name] = Section(part.title, part.run(Path(place), told))
        except (Exception, SystemExit) as problem:
            results.failures[name] = f"{type(problem).__name__}: {problem}"
    results.machine["took"] = f"{(time.monotonic() - began) / 60:.1f} minutes"
    return results


def progress() -> Generator[None, str]:
    """What is being measured, on a terminal only."""
    shown = sys.stderr.isatty()
    try:
        while True:
            text = yield
            if shown:
                print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
    finally:
        if shown:
            print("\r\x1b[K", end="", file=sys.stderr)


def keep(results: Results) -> None:
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / ".gitignore").write_text("*\n")
    (RESULTS / "latest.json").write_text(json.dumps(report.plain(results), indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
