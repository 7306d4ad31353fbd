"""The figures beside the peers as text for a terminal, as Markdown, and as plain values for JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

from figures import Figure, rounded

from peers import measuring
from peers.libraries import Verified
from peers.measuring import Row
from peers.running import SECONDS
from peers.workloads import ASKED, ASKED_OF_VERIFIER, Asked

QUIET = 10.0  # percent
Table = Sequence[Sequence[str]]


@dataclass(frozen=True)
class Results:
    """`left_out` says what was not measured, and why."""

    machine: dict[str, str]
    versions: dict[str, str]
    rows: list[Row] = field(default_factory=list)
    verified: list[Verified] = field(default_factory=list)
    scanned: list[Figure] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)

    @property
    def disturbance(self) -> str:
        samples = [sample for row in self.rows for sample in row.others.samples]
        return _range(Figure("others", "%", samples)) + " % of the time" if samples else "not measured"

    @property
    def warning(self) -> str:
        """Ratios taken in turns bear more than rates, but not everything."""
        samples = [sample for row in self.rows for sample in row.others.samples]
        if not samples or median(samples) <= QUIET:
            return ""
        return f"DISTURBED: others had the cores {self.disturbance}; the rates prove nothing, and the ratios little."

    @property
    def asked(self) -> list[Figure]:
        return [found for asked in (*ASKED, *ASKED_OF_VERIFIER) if (found := self._found(asked))]

    def by_cpu(self, asked: Figure) -> str:
        """The same ratio by the CPU time of a reply, which is what a core would answer that does nothing else."""
        spent = {f"{row.workload}: {row.who}": row.cpu.samples for row in self.rows}
        ours, _, peer = asked.name.partition(" over ")
        if ours not in spent:
            return "the same"
        theirs = spent[f"{ours.partition(': ')[0]}: {peer}"]
        return f"{rounded(median(other / one for one, other in zip(spent[ours], theirs, strict=True)))} x"

    def _found(self, asked: Asked) -> Figure | None:
        """None where one of the two was not measured."""
        ours, theirs = (self._rates(asked.workload, who) for who in (asked.ours, asked.peer))
        if not ours or not theirs:
            return None
        ratios = [one / other for one, other in zip(ours, theirs, strict=True)]
        name = f"{asked.workload}: {asked.ours} over {asked.peer}"
        return Figure(name, "x", ratios, more_is_better=True, required=asked.required, aimed=asked.aimed)

    def _rates(self, workload: str, who: str) -> Sequence[float]:
        over_http = {(row.workload, row.who): row.rate.samples for row in self.rows}
        in_process = {(row.workload, row.who): [1e6 / each for each in row.spent.samples] for row in self.verified}
        return {**over_http, **in_process}.get((workload, who), ())


def plain(results: Results) -> dict[str, Any]:
    return {**asdict(results), "asked": [{**asdict(found), "verdict": told(found)} for found in results.asked]}


def told(found: Figure) -> str:
    """What is asked of a ratio, and by how much it falls short."""
    if found.required is None:
        return ""
    if found.median < found.required:
        return f"falls short by {rounded(100 * (1 - found.median / found.required))} %"
    if found.aimed is not None and found.median >= found.aimed:
        return "holds, and reaches the aim"
    return "holds"


def text(results: Results) -> str:
    parts = [f"{title}\n\n{_aligned(table)}" for title, table in _tables(results)]
    return "\n\n".join(filter(None, (*parts, results.warning)))


def page(results: Results) -> str:
    parts = [f"## {title}\n\n{_markdown(table)}" for title, table in _tables(results)]
    warning = results.warning and f"**{results.warning}**"
    return "\n\n".join(filter(None, (INTRODUCTION, warning, *parts))) + "\n"


INTRODUCTION = f"""\
# Benchmarks: Doorward beside its peers

Written by `make bench-peers ARGS=--publish`; no figure is typed by hand. `make bench-peers` installs the peers, each
apart from Doorward, and repeats the figures on your machine in about a quarter of an hour; `ARGS="--only authlib"` runs
one of them. Absolute figures belong to the machine below; ratios travel better.

* Each server has one core and one process that answers; the load generator (wrk with 64 connections, fewer where a
  reply takes long) has another core. It is plain HTTP on loopback.
* After a warm-up, all who can do a workload take {measuring.ROUNDS} turns of {SECONDS} s (the slowest of twice that),
  so that what else the machine does meets all of them. Given are the median and, in brackets, the least and the most.
  "Doorward" is the rate of the workload's first row over that of this one, turn by turn. CPU counts every process of a
  server and of its database.
* Every reply is checked: its status, a member of its body, and of tokens that no two in a row are the same. Who
  verifies, gateway or library, is first shown a token whose signature was changed, and must refuse it.
* Doorward's tokens are journaled on disk (SQLite, WAL, `synchronous=FULL`) before they are answered. What a peer does
  is said in its name: "in memory" keeps nothing, "defaults" is as installed; the others are configured for speed as
  their documentation says."""


def _tables(results: Results) -> list[tuple[str, Table]]:
    workloads = dict.fromkeys(row.workload for row in results.rows)
    found = [
        ("What is asked", _asked(results)),
        *((_title(workload), _served(results, workload)) for workload in workloads),
        *((_title(name), _verified(results, name)) for name in dict.fromkeys(row.workload for row in results.verified)),
        ("Looking for leaks in a tree of source text", _scanned(results)),
        ("Left out", [("what", "why"), *results.left_out]),
        ("Measured on", _measured_on(results)),
    ]
    return [(title, table) for title, table in found if len(table) > 1]


def _title(workload: str) -> str:
    return workload[0].upper() + workload[1:]


def _asked(results: Results) -> Table:
    head = ("workload", "asked", "found", "by CPU time", "verdict")
    return [head] + [
        (found.name, _bounds(found), f"{_range(found)} x", results.by_cpu(found), told(found))
        for found in results.asked
    ]  # fmt: skip


def _bounds(found: Figure) -> str:
    aim = f", aim {found.aimed:g} x" if found.aimed is not None else ""
    return f"{found.required:g} x{aim}"


def _served(results: Results, workload: str) -> Table:
    head = ("who", "requests/s", "Doorward", "CPU each, µs", "Doorward by CPU", "p50, ms", "p99, ms", "memory, MB")
    return [head] + [
        (
            row.who, _range(row.rate), f"{_range(row.ours)} x", _range(row.cpu),
            f"{rounded(row.ours_by_cpu.median)} x", rounded(row.p50.median),
            rounded(row.p99.median), rounded(row.megabytes),
        )
        for row in results.rows if row.workload == workload
    ]  # fmt: skip


def _verified(results: Results, workload: str) -> Table:
    head = ("who", "µs of CPU", "Doorward, unknown token", "Doorward, known token")
    return [head] + [
        (row.who, _range(row.spent), f"{_range(row.unknown)} x", f"{_range(row.known)} x")
        for row in results.verified
        if row.workload == workload
    ]


def _scanned(results: Results) -> Table:
    return [("who", "speed")] + [(figure.name, f"{_range(figure)} {figure.unit}") for figure in results.scanned]


def _measured_on(results: Results) -> Table:
    disturbed = ("others on the cores", results.disturbance)
    return [("what", "which"), *results.machine.items(), *results.versions.items(), disturbed]


def _range(figure: Figure) -> str:
    if len(figure.samples) == 1:
        return rounded(figure.median)
    return f"{rounded(figure.median)} ({rounded(min(figure.samples))}-{rounded(max(figure.samples))})"


def _aligned(table: Table) -> str:
    widths = [max(len(cell) for cell in column) for column in zip(*table, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in table)
    return "\n".join(f"  {line}".rstrip() for line in lines)


def _markdown(table: Table) -> str:
    head, *rows = ("| " + " | ".join(row) + " |" for row in table)
    return "\n".join([head, "|---" * len(table[0]) + "|", *rows])
