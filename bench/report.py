"""The figures as text for a terminal, as Markdown for docs/benchmarks.md, and as plain values for JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import http_speed
import load
import timing
from figures import Figure, rounded
from http_speed import Row
from in_process import Comparison

Table = Sequence[Sequence[str]]
QUIET = 10.0


@dataclass(frozen=True)
class Results:
    machine: dict[str, str]
    over_http: list[Row]
    compared: list[Comparison]
    verifier: list[Figure]
    process: list[Figure]

    @property
    def others(self) -> Figure:
        return Figure("others", "%", [sample for row in self.over_http for sample in row.others.samples])

    @property
    def disturbance(self) -> str:
        return _range(self.others) + " % of the time"

    @property
    def is_disturbed(self) -> bool:
        """Figures from a machine that others use at the same time prove nothing, whichever way they fall."""
        return self.others.median > QUIET

    def asked(self, figure: Figure) -> str:
        return "not judged" if figure.verdict and self.is_disturbed else figure.verdict

    @property
    def judged(self) -> list[Figure]:
        shares = [*(row.share for row in self.over_http), *(row.share for row in self.compared)]
        return [figure for figure in (*shares, *self.verifier, *self.process) if figure.verdict]

    @property
    def short(self) -> list[Figure]:
        return [figure for figure in self.judged if not figure.verdict.startswith("holds")]


def plain(results: Results) -> dict[str, Any]:
    return asdict(results)


def text(results: Results) -> str:
    parts = [f"{title}\n\n{_aligned(table)}" for title, table in _tables(results)]
    return "\n\n".join([*parts, _verdict(results)])


def page(results: Results) -> str:
    parts = [f"## {title}\n\n{_markdown(table)}" for title, table in _tables(results)]
    return "\n\n".join([INTRODUCTION, f"**{_verdict(results)}**", *parts]) + "\n"


INTRODUCTION = f"""\
# Benchmarks

Written by `make bench ARGS=--publish`; no figure is typed by hand. `make bench` repeats them on your machine in about
three minutes. Absolute figures belong to the machine below; ratios travel better.

* The server has one core and the load generator (wrk, {load.CONNECTIONS} connections) another. It is plain HTTP on
  loopback, so that Doorward is compared and not TLS.
* After a warm-up each kind of request is measured {http_speed.ROUNDS} times for {http_speed.SECONDS} s, in turns with
  the bare application; what is compared in one process takes {timing.ROUNDS} turns. Given are the median and, in
  brackets, the least and the most. In one process the thread's CPU time is counted, over HTTP the clock's.
* Every reply is checked: its status, a member of its body, and of tokens that no two in a row are the same. One wrong
  reply ends the bench without figures.
* A token counts as issued when its journal row is on disk (SQLite, WAL, `synchronous=FULL`); the rows are counted
  afterwards."""


def _tables(results: Results) -> list[tuple[str, Table]]:
    return [
        ("Over HTTP, one worker", _over_http(results)),
        ("In one process, beside `cryptography` alone over the same bytes", _compared(results)),
        ("The verifier", _single(results, results.verifier)),
        ("Start and memory", _single(results, results.process)),
        ("Measured on", [("what", "which"), *results.machine.items(), ("others on the cores", results.disturbance)]),
    ]


def _over_http(results: Results) -> Table:
    head = ("request", "requests/s", "of bare", "CPU each, µs", "of bare by CPU", "p50, ms", "p99, ms", "asked")
    return [head] + [
        (
            row.rate.name, _range(row.rate), _range(row.share) + " %", _range(row.cpu),
            rounded(row.cpu_share.median) + " %", rounded(row.p50.median), rounded(row.p99.median),
            results.asked(row.share),
        )
        for row in results.over_http
    ]  # fmt: skip


def _compared(results: Results) -> Table:
    head = ("call", "µs", "`cryptography`, µs", "of its rate", "asked")
    return [head] + [
        (row.ours.name, _range(row.ours), _range(row.yardstick), _range(row.share) + " %", results.asked(row.share))
        for row in results.compared
    ]


def _single(results: Results, figures: list[Figure]) -> Table:
    return [("what", "figure", "asked")] + [
        (figure.name, f"{_range(figure)} {figure.unit}", results.asked(figure)) for figure in figures
    ]


def _range(figure: Figure) -> str:
    if len(figure.samples) == 1:
        return rounded(figure.median)
    return f"{rounded(figure.median)} ({rounded(min(figure.samples))}-{rounded(max(figure.samples))})"


def _verdict(results: Results) -> str:
    if results.is_disturbed:
        return f"DISTURBED: others had the cores {results.disturbance}, so that these figures prove nothing."
    if not results.short:
        return f"All {len(results.judged)} requirements hold."
    short = (f"{figure.name}: {_range(figure)} {figure.unit}, {figure.verdict}" for figure in results.short)
    return f"{len(results.short)} of {len(results.judged)} requirements fall short. " + "; ".join(short) + "."


def _aligned(table: Table) -> str:
    widths = [max(len(cell) for cell in column) for column in zip(*table, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in table)
    return "\n".join(f"  {line}".rstrip() for line in lines if line.strip())


def _markdown(table: Table) -> str:
    head, *rows = ("| " + " | ".join(row) + " |" for row in table)
    return "\n".join([head, "|---" * len(table[0]) + "|", *rows])
