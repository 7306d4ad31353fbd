"""The figures as text for a terminal, as Markdown for docs/benchmarks.md, and as plain values for JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import groupby
from typing import Any

import http_speed
import load
import obstacles
import timing
from figures import Comparison, Figure, Row, rounded

Measured = Row | Comparison | Figure
Table = Sequence[Sequence[str]]
QUIET = 10.0


@dataclass(frozen=True)
class Section:
    """What one part of the bench found."""

    title: str
    found: Sequence[Measured]


@dataclass(frozen=True)
class Results:
    """`failures` says of a part that broke off why; the others' figures stand."""

    machine: dict[str, str]
    sections: dict[str, Section]
    failures: dict[str, str] = field(default_factory=dict)

    @property
    def rows(self) -> list[Row]:
        return [one for section in self.sections.values() for one in section.found if isinstance(one, Row)]

    @property
    def others(self) -> Figure | None:
        samples = [sample for row in self.rows for sample in row.others.samples]
        return Figure("others", "%", samples) if samples else None

    @property
    def disturbance(self) -> str:
        return "not known" if self.others is None else _range(self.others) + " % of the time"

    @property
    def is_disturbed(self) -> bool:
        """Figures from a machine that others use at the same time prove nothing, whichever way they fall."""
        return self.others is not None and self.others.median > QUIET

    def asked(self, figure: Figure) -> str:
        return "not judged" if figure.verdict and self.is_disturbed else figure.verdict

    @property
    def judged(self) -> list[Figure]:
        found = [one for section in self.sections.values() for one in section.found]
        figures = [one if isinstance(one, Figure) else one.judged for one in found]
        return [figure for figure in figures if figure.verdict]

    @property
    def short(self) -> list[Figure]:
        return [figure for figure in self.judged if figure.shortfall]


def plain(results: Results) -> dict[str, Any]:
    return asdict(results)


def text(results: Results) -> str:
    parts = [f"{title}\n\n{_aligned(table)}" for title, table in _tables(results)]
    return "\n\n".join([*parts, *_broken(results), verdict(results)])


def page(results: Results) -> str:
    parts = [f"## {title}\n\n{_markdown(table)}" for title, table in _tables(results)]
    return "\n\n".join([INTRODUCTION, f"**{verdict(results)}**", CHART, *_broken(results), *parts]) + "\n"


INTRODUCTION = f"""\
# Benchmarks

Written by `make bench ARGS=--publish`; no figure is typed by hand. `make bench` repeats them on your machine in about
seven minutes, `make bench ARGS="--only verifier"` one part. Absolute figures belong to the machine below; ratios travel
better. Where the time goes is told in [performance](explanation/performance.md).

* The server has one core and the load generator (wrk, {load.CONNECTIONS} connections) another. It is plain HTTP on
  loopback, so that Doorward is compared and not TLS; gateways stand as `doorward gateway config` writes them, with TLS
  towards the caller, and share the core with Doorward and with the service behind them.
* After a warm-up each kind of request is measured {http_speed.ROUNDS} times for {http_speed.SECONDS} s, in turns with
  what stands beside it; what is compared in one process takes {timing.ROUNDS} turns. Given are the median and, in
  brackets, the least and the most. In one process the thread's CPU time is counted, over HTTP the clock's.
* Every reply is checked: its status, a member of its body, and of tokens that no two in a row are the same. One wrong
  reply ends its part of the bench without figures.
* A token counts as issued when its journal row is on disk (SQLite, WAL, `synchronous=FULL`); the rows are counted
  afterwards."""
CHART = "![Requests a second of each kind, with the least and the most of all rounds](benchmarks.svg)"


def _tables(results: Results) -> Iterator[tuple[str, Table]]:
    if results.short and not results.is_disturbed:
        yield "What falls short", _falling_short(results)
    for section in results.sections.values():
        for number, (kind, found) in enumerate(groupby(section.found, _kind)):
            title = section.title + (f", {kind[1]}" if kind[1] else "") if number == 0 else f"{section.title}: more"
            yield title, _TABLES[kind[0]](results, list(found))
    yield "Measured on", [("what", "which"), *results.machine.items(), ("others on the cores", results.disturbance)]


def _kind(one: Measured) -> tuple[type, str]:
    if isinstance(one, Figure):
        return Figure, ""
    return type(one), f"beside {one.of}" if one.of else ""


def _falling_short(results: Results) -> Table:
    head = ("what", "figure", "asked", "short by", "what stands in the way")
    return [head] + [
        (one.name, f"{_range(one)} {one.unit}", one.verdict, one.shortfall, obstacles.of(one.name))
        for one in results.short
    ]


def _rows(results: Results, found: Sequence[Row]) -> Table:
    of = found[0].of
    shares = (f"of {of}", f"of {of} by CPU") if of else ()
    head = ("request", "requests/s", *shares[:1], "CPU each, µs", *shares[1:], "p50, ms", "p99, ms", "asked")
    return [head] + [
        (
            row.rate.name, _range(row.rate), *_share(row.share, _range), _range(row.cpu),
            *_share(row.cpu_share, lambda one: rounded(one.median)),
            rounded(row.p50.median), rounded(row.p99.median), results.asked(row.judged),
        )
        for row in found
    ]  # fmt: skip


def _share(share: Figure | None, shown: Any) -> tuple[str, ...]:
    return () if share is None else (shown(share) + " %",)


def _comparisons(results: Results, found: Sequence[Comparison]) -> Table:
    head = ("call", "µs", f"{found[0].of}, µs", "of its rate", "asked")
    return [head] + [
        (one.ours.name, _range(one.ours), _range(one.yardstick), f"{_range(one.share)} {one.share.unit}",
         results.asked(one.share))
        for one in found
    ]  # fmt: skip


def _figures(results: Results, found: Sequence[Figure]) -> Table:
    return [("what", "figure", "asked")] + [
        (figure.name, f"{_range(figure)} {figure.unit}", results.asked(figure)) for figure in found
    ]


_TABLES: dict[type, Any] = {Row: _rows, Comparison: _comparisons, Figure: _figures}


def _range(figure: Figure) -> str:
    if len(figure.samples) == 1:
        return rounded(figure.median)
    return f"{rounded(figure.median)} ({rounded(min(figure.samples))}-{rounded(max(figure.samples))})"


def _broken(results: Results) -> list[str]:
    return [f"BROKE OFF: {name}: {why}" for name, why in results.failures.items()]


def verdict(results: Results) -> str:
    if results.is_disturbed:
        return f"DISTURBED: others had the cores {results.disturbance}, so that these figures prove nothing."
    if not results.short:
        return f"All {len(results.judged)} requirements hold."
    below = [figure for figure in results.short if figure.verdict.startswith("BELOW")]
    holding = len(results.judged) - len(results.short)
    return (
        f"Of {len(results.judged)} requirements {holding} hold with their aim, "
        f"{len(results.short) - len(below)} hold but miss it, and {len(below)} fall short."
    )


def _aligned(table: Table) -> str:
    widths = [max(len(cell) for cell in column) for column in zip(*table, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in table)
    return "\n".join(f"  {line}".rstrip() for line in lines if line.strip())


def _markdown(table: Table) -> str:
    head, *rows = ("| " + " | ".join(row) + " |" for row in table)
    return "\n".join([head, "|---" * len(table[0]) + "|", *rows])
