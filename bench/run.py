"""`make bench`: measures on two cores, prints every figure beside what is asked of it, and keeps them as JSON.

run.py             about three minutes
run.py --publish   also writes docs/benchmarks.md
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
from collections.abc import Generator
from pathlib import Path

import doorward_server
import gateway_latency
import http_speed
import in_process
import load
import machine
import many_keys
import report
import route_matching
import scanner_speed
import starting
import verifier_speed
from figures import Figure
from report import Results

ROOT = Path(__file__).resolve().parents[1]
RESULTS = Path(__file__).with_name("results")
PAGE = ROOT / "docs" / "benchmarks.md"


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description="Measures Doorward on this machine.")
    parser.add_argument("--publish", action="store_true", help="also write docs/benchmarks.md")
    arguments = parser.parse_args()
    load.require_wrk()
    with contextlib.closing(progress()) as told:
        next(told)
        results = measured(told)
    print(report.text(results))
    keep(results)
    if arguments.publish and results.is_disturbed:
        raise SystemExit("Nothing is published from a machine that others used.")
    if arguments.publish:
        PAGE.write_text(report.page(results))


def measured(told: Generator[None, str]) -> Results:
    described = machine.described()
    with machine.directory() as name:
        place = Path(name)
        told.send("starting and stopping servers")
        starts = starting.start_times(place)
        with doorward_server.running(place / "data") as doorward:
            idle = doorward.child.resident_megabytes
            over_http = http_speed.run(doorward, place, told)
            busy = doorward.child.resident_megabytes
            os.sched_setaffinity(0, {machine.GENERATOR_CORE})
            told.send("the verifier and Guard")
            verifier = verifier_speed.run(doorward)
            told.send("through nginx")
            through = gateway_latency.run(doorward, place)
        told.send("signing and verifying in this process")
        compared = in_process.run()
        told.send("checking keys among a million")
        many = many_keys.run(place)
        told.send("finding one of many routes")
        routed = route_matching.run()
        told.send("looking for leaks")
        scanned = scanner_speed.run()
    found = [*starts, *memory(idle, busy), *many, *routed, *scanned, *through]
    return Results(described, over_http, compared, verifier, found)


def memory(idle: float, busy: float) -> list[Figure]:
    return [
        Figure("memory of one worker when idle", "MB", [idle], required=100.0),
        Figure("memory of one worker after the load", "MB", [busy], required=100.0),
    ]


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
