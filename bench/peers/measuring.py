"""Workload by workload: all who can do it are warmed up, then take turns, round after round."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from figures import Figure
from load import Request, Round, measure

from peers.running import Contender

ROUNDS = 5
SECONDS = 2
WARM_UP_SECONDS = 1


@dataclass(frozen=True)
class Row:
    """`ours` is the first one's rate over this one's, round by round: Doorward's, where Doorward can do it."""

    workload: str
    who: str
    rate: Figure
    ours: Figure
    cpu: Figure
    p50: Figure
    p99: Figure
    others: Figure
    megabytes: float


def run(contenders: Sequence[Contender], progress: Callable[[str], None]) -> list[Row]:
    rows: list[Row] = []
    for workload in dict.fromkeys(one.workload for one in contenders):
        among = [one for one in contenders if one.workload == workload]
        rows += _measured(workload, among, progress)
    return rows


def _measured(workload: str, among: Sequence[Contender], progress: Callable[[str], None]) -> list[Row]:
    progress(f"warming up: {workload}")
    requests = {one.who: one.prepared() for one in among}
    for request in requests.values():
        measure(request, WARM_UP_SECONDS)
    rounds: dict[str, list[Round]] = {who: [] for who in requests}
    for number in range(1, ROUNDS + 1):
        for who, request in requests.items():
            progress(f"{workload}, round {number} of {ROUNDS}: {who}")
            rounds[who].append(measure(request, SECONDS))
    first = rounds[among[0].who]
    return [_row(workload, who, requests[who], found, first) for who, found in rounds.items()]


def _row(workload: str, who: str, request: Request, rounds: Sequence[Round], first: Sequence[Round]) -> Row:
    ours = [one.per_second / other.per_second for one, other in zip(first, rounds, strict=True)]
    return Row(
        workload=workload,
        who=who,
        rate=Figure(who, "/s", [one.per_second for one in rounds], more_is_better=True),
        ours=Figure(who, "x", ours, more_is_better=True),
        cpu=Figure(who, "µs", [one.cpu_microseconds for one in rounds]),
        p50=Figure(who, "ms", [one.p50 for one in rounds]),
        p99=Figure(who, "ms", [one.p99 for one in rounds]),
        others=Figure(who, "%", [one.others for one in rounds]),
        megabytes=request.server.resident_megabytes,
    )
