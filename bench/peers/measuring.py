"""Workload by workload: all who can do it are warmed up, then take turns, round after round."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass

from figures import Figure
from load import Request, Round, measure
from processes import Child

from peers.running import Contender, leaving_out
from peers.workloads import OURS

ROUNDS = 5
WARM_UP_SECONDS = 1
REPEATED = 2


@dataclass(frozen=True)
class Row:
    """`ours` is the first one's rate over this one's, round by round: Doorward's, where Doorward can do it."""

    workload: str
    who: str
    rate: Figure
    ours: Figure
    cpu: Figure
    ours_by_cpu: Figure
    p50: Figure
    p99: Figure
    others: Figure
    megabytes: float


@dataclass(frozen=True)
class Turns:
    """`progress` is told what is being measured; who fails is left out with the reason, but Doorward ends the bench."""

    progress: Callable[[str], None]
    left_out: list[tuple[str, str]]

    def run(self, contenders: Sequence[Contender]) -> list[Row]:
        rows: list[Row] = []
        for workload in dict.fromkeys(one.workload for one in contenders):
            rows += self._measured(workload, [one for one in contenders if one.workload == workload])
        return rows

    def _measured(self, workload: str, among: Sequence[Contender]) -> list[Row]:
        requests: dict[str, Request] = {}
        rounds: dict[str, list[Round]] = {one.who: [] for one in among}
        for one in among:
            self.progress(f"warming up: {workload}, {one.who}")
            with self._in_turn(one, rounds):
                requests[one.who] = one.prepared()
                self._turn(one, requests[one.who], max(WARM_UP_SECONDS, one.seconds // 2))
        for number in range(1, ROUNDS + 1):
            for one in among:
                if one.who in rounds:
                    self.progress(f"{workload}, round {number} of {ROUNDS}: {one.who}")
                    with self._in_turn(one, rounds):
                        rounds[one.who].append(self._turn(one, requests[one.who], one.seconds))
        first = next(iter(rounds.values()), [])
        return [_row(workload, who, requests[who], found, first) for who, found in rounds.items()]

    def _turn(self, one: Contender, request: Request, seconds: int) -> Round:
        """Doorward refuses rather than answer late; of a disturbed turn that is told, and the turn is taken again."""
        if one.who.startswith(OURS):
            for _ in range(REPEATED):
                with leaving_out(f"{one.who}: {one.workload}, one turn", self.left_out):
                    return measure(request, seconds)
        return measure(request, seconds)

    @contextlib.contextmanager
    def _in_turn(self, one: Contender, rounds: dict[str, list[Round]]) -> Generator[None]:
        if one.who.startswith(OURS):
            yield
            return
        before = len(self.left_out)
        with leaving_out(f"{one.who}: {one.workload}", self.left_out):
            yield
        if len(self.left_out) > before:
            del rounds[one.who]


def _row(workload: str, who: str, request: Request, rounds: Sequence[Round], first: Sequence[Round]) -> Row:
    ours = [one.per_second / other.per_second for one, other in zip(first, rounds, strict=True)]
    return Row(
        workload=workload,
        who=who,
        rate=Figure(who, "/s", [one.per_second for one in rounds], more_is_better=True),
        ours=Figure(who, "x", ours, more_is_better=True),
        cpu=Figure(who, "µs", [one.cpu_microseconds for one in rounds]),
        ours_by_cpu=Figure(
            who,
            "x",
            [other.cpu_microseconds / one.cpu_microseconds for one, other in zip(first, rounds, strict=True)],
            more_is_better=True,
        ),
        p50=Figure(who, "ms", [one.p50 for one in rounds]),
        p99=Figure(who, "ms", [one.p99 for one in rounds]),
        others=Figure(who, "%", [one.others for one in rounds]),
        megabytes=request.server.resident_megabytes if isinstance(request.server, Child) else 0.0,
    )
