"""`make bench-postgresql`: the same requests on SQLite and on PostgreSQL, in turns, and what a second node adds.

Two cores are all that it needs, so it says who shares one:

apart      the server has one core; the load generator, and PostgreSQL where there is one, the other
together   two workers, the load generator, and PostgreSQL where there is one, have both

A second node is on the first one's core, since there is no other. Beside it stand two deployments on that core, which
have nothing in common but the cluster: what two nodes do of their rate is what a deployment loses by having two.
Cores for each of them it does not show; how many requests PostgreSQL's core is good for, its CPU time tells.

CPU time each is of the server and of PostgreSQL, with all their processes; on SQLite the server's is all there is.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import databases
import doorward_server
import load
import machine
import redemption
from databases import Cluster
from doorward_server import Doorward
from figures import Figure, rounded
from load import Request
from processes import Child, cpu_seconds, free_port, started
from redemption import Codes

ROUNDS = 7
SECONDS = 1
PATIENCE = 10  # turns, where servers are late
CODES = 40_000
FREE = f"{machine.SERVER_CORE},{machine.GENERATOR_CORE}"
ALONE, TOGETHER = "issue, one node on a core", "issue, two nodes of a deployment on it"
STRANGERS = "issue, two deployments on it"
RESULTS = Path(__file__).with_name("results") / "postgresql.json"
ENGINES = ("SQLite", "PostgreSQL")


@dataclass(frozen=True)
class Asked:
    """A request to one or more nodes of a deployment, and where everybody is."""

    name: str
    requests: Callable[[], Sequence[Request]]
    cluster: Cluster | None
    generator: int | str = machine.GENERATOR_CORE
    answered: Callable[[int, int], None] | None = None


@dataclass(frozen=True)
class Row:
    """CPU times are microseconds for one reply, latencies milliseconds; a node's own processes, and the database's."""

    rate: Figure
    node: Figure
    database: Figure
    p50: Figure
    p99: Figure

    @property
    def per_core(self) -> Figure:
        """What a core of a node answers, when the database has another one."""
        return Figure(self.rate.name, "/s", [1e6 / each for each in self.node.samples])


@dataclass(frozen=True)
class Turn:
    per_second: float
    node: float
    database: float
    p50: float
    p99: float


def measure(asked: Asked) -> Turn:
    """All nodes at once, each with as many callers as one has alone. Raises SystemExit when one reply is wrong."""
    requests = asked.requests()
    nodes = [request.server.process.pid for request in requests if isinstance(request.server, Child)]
    pids = [*nodes, *([asked.cluster.pid] if asked.cluster else [])]
    before = {pid: cpu_seconds(pid) for pid in pids}
    found = _counted(requests, asked.generator)
    spent = {pid: cpu_seconds(pid) - before[pid] for pid in pids}
    replies = sum(one["replies"] for one in found)
    if asked.answered is not None:
        asked.answered(sum(one["asked"] for one in found), replies)
    of_nodes = sum(spent[pid] for pid in nodes)
    return Turn(
        per_second=sum(one["replies"] / one["microseconds"] * 1e6 for one in found),
        node=of_nodes / replies * 1e6,
        database=(sum(spent.values()) - of_nodes) / replies * 1e6,
        p50=max(one["p50"] for one in found) / 1000,
        p99=max(one["p99"] for one in found) / 1000,
    )


def _counted(requests: Sequence[Request], generator: int | str) -> list[dict[str, int]]:
    def ask(request: Request) -> dict[str, int]:
        return load.counted(request, SECONDS, generator)

    with ThreadPoolExecutor(len(requests)) as pool:
        return [*pool.map(ask, requests)]


def in_turns(several: Sequence[Asked]) -> dict[str, Row]:
    """One round warms up; what is compared meets the same disturbances."""
    turns: dict[str, list[Turn]] = {asked.name: [] for asked in several}
    for number in range(ROUNDS + 1):
        for asked in several:
            turn = _whole(asked)
            if number:
                turns[asked.name].append(turn)
    rows = {name: _row(name, found) for name, found in turns.items()}
    print(table(rows), file=sys.stderr)
    return rows


def _whole(asked: Asked) -> Turn:
    """A turn in which nobody was turned away; others who use the machine make a server late."""
    for _ in range(PATIENCE):
        with contextlib.suppress(load.TurnedAway):
            return measure(asked)
    return measure(asked)


def _row(name: str, turns: Sequence[Turn]) -> Row:
    return Row(
        Figure(name, "/s", [turn.per_second for turn in turns]),
        Figure(name, "µs", [turn.node for turn in turns]),
        Figure(name, "µs", [turn.database for turn in turns]),
        Figure(name, "ms", [turn.p50 for turn in turns]),
        Figure(name, "ms", [turn.p99 for turn in turns]),
    )


@dataclass(frozen=True)
class Deployed:
    """A server, the URL of its database, and who serves that."""

    doorward: Doorward
    database: str
    cluster: Cluster | None


def issuing(name: str, nodes: Sequence[Deployed], generator: int | str = machine.GENERATOR_CORE) -> Asked:
    """A JWT by client credentials, of each of the nodes."""
    requests = [doorward_server.issue(one.doorward, name, "ES256") for one in nodes]
    return Asked(name, lambda: requests, nodes[0].cluster, generator)


def redeeming(name: str, codes: Codes, of: Deployed) -> Asked:
    return Asked(name, lambda: [codes.rest()], of.cluster, answered=codes.count)


@contextlib.contextmanager
def deployments(place: Path, cluster: Cluster, workers: int, cores: int | str) -> Generator[dict[str, Deployed]]:
    """One on each engine."""
    with contextlib.ExitStack() as stack:
        yield {
            engine: stack.enter_context(_deployed(place / engine, owner, ["--workers", str(workers)], cores))
            for engine, owner in zip(ENGINES, (None, cluster), strict=True)
        }


@contextlib.contextmanager
def _deployed(place: Path, owner: Cluster | None, options: list[str], cores: int | str) -> Generator[Deployed]:
    place.mkdir(parents=True)
    url = owner.create() if owner else f"sqlite:///{place / 'data' / 'doorward.db'}"
    options = [*options, *(["--database", url] if owner else [])]
    with doorward_server.running(place / "data", None, options, cores) as server:
        yield Deployed(server, url, owner)


@contextlib.contextmanager
def second_node(first: Deployed, place: Path) -> Generator[Deployed]:
    """One more node over the same database, on the first one's core."""
    place.mkdir()
    of = first.doorward
    secrets = {"master_key_file": of.data_dir / "master.key", "pepper_file": of.data_dir / "pepper"}
    (place / "doorward.toml").write_text("".join(f'{name} = "{path}"\n' for name, path in secrets.items()))
    port = str(free_port())
    command = [*of.command]
    command[command.index("--data-dir") + 1] = place / "data"
    command[command.index("--port") + 1] = port
    with started(command, place) as child:
        yield replace(first, doorward=replace(of, child=child, url=f"http://127.0.0.1:{port}"))


def run(place: Path) -> tuple[dict[str, Row], list[Figure]]:
    with databases.postgresql() as cluster:
        rows = _apart(place, cluster)
        databases.pin(cluster.pid, FREE)
        with deployments(place / "together", cluster, 2, FREE) as together:
            rows |= in_turns([issuing(f"issue, {one}, together", [found], FREE) for one, found in together.items()])
    return rows, judged(rows)


def _apart(place: Path, cluster: Cluster) -> dict[str, Row]:
    with deployments(place / "apart", cluster, 1, machine.SERVER_CORE) as apart:
        rows = in_turns([issuing(f"issue, {one}, apart", [found]) for one, found in apart.items()])
        codes = {one: redemption.made(found.doorward, found.database, CODES) for one, found in apart.items()}
        rows |= in_turns([redeeming(f"redeem, {one}, apart", codes[one], found) for one, found in apart.items()])
        for one, redeemed in codes.items():
            _reconciled(one, redeemed)
        rows |= with_two_nodes(place, apart["PostgreSQL"], cluster)
    return rows


def with_two_nodes(place: Path, first: Deployed, cluster: Cluster) -> dict[str, Row]:
    """All are there all the time, so that only those who are asked differ."""
    with (
        second_node(first, place / "second") as second,
        _deployed(place / "other", cluster, [], machine.SERVER_CORE) as other,
    ):
        return in_turns([
            issuing(ALONE, [first]), issuing(TOGETHER, [first, second]), issuing(STRANGERS, [first, other])
        ])  # fmt: skip


def _reconciled(engine: str, codes: Codes) -> None:
    """Each answer is a code that is used up; some were used up for callers who hung up at the end of a round."""
    redeemed = codes.redeemed()
    if not codes.answered <= redeemed <= codes.used:
        raise SystemExit(f"{engine}: {codes.answered} codes were redeemed, and {redeemed} are in the database")


def judged(rows: dict[str, Row]) -> list[Figure]:
    """What is asked of it, each from turns that met the same disturbances."""
    sqlite, postgresql = (rows[f"issue, {engine}, together"].rate for engine in ENGINES)
    strangers, both = rows[STRANGERS], rows[TOGETHER]
    return [
        _share("two workers on PostgreSQL: tokens issued, of the rate on SQLite", postgresql, sqlite, 70),
        *(_per_core(f"codes redeemed by a core, {one}", rows[f"redeem, {one}, apart"]) for one in ENGINES),
        _share("two nodes of one deployment: tokens issued, of the rate of two", both.rate, strangers.rate, 80),
        _share("the same by the CPU time of the nodes", both.per_core, strangers.per_core, 80),
    ]  # fmt: skip


def _share(name: str, one: Figure, other: Figure, required: float) -> Figure:
    shares = [100 * ours / theirs for ours, theirs in zip(one.samples, other.samples, strict=True)]
    return Figure(name, "%", shares, more_is_better=True, required=required)


def _per_core(name: str, row: Row) -> Figure:
    return Figure(name, "/s", row.per_core.samples, more_is_better=True, required=500)


def table(rows: dict[str, Row]) -> str:
    head = ("request", "/s", "server, µs", "PostgreSQL, µs", "p50, ms", "p99, ms")
    lines: list[tuple[str, ...]] = [head]
    for name, row in rows.items():
        lines.append((name, *(rounded(one.median) for one in (row.rate, row.node, row.database, row.p50, row.p99))))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)


def main() -> None:
    argparse.ArgumentParser(prog="make bench-postgresql", description=__doc__.splitlines()[0]).parse_args()
    load.require_wrk()
    before = os.getloadavg()
    with machine.directory() as name:
        rows, found = run(Path(name))
    loads = {"load before": before[0], "load after": os.getloadavg()[0]}
    RESULTS.parent.mkdir(exist_ok=True)
    kept = {
        "machine": machine.described() | {name: f"{value:.1f}" for name, value in loads.items()},
        "rows": {name: asdict(row) for name, row in rows.items()},
        "asked": [asdict(figure) for figure in found],
    }  # fmt: skip
    RESULTS.write_text(json.dumps(kept, indent=2, ensure_ascii=False) + "\n")
    print(table(rows), *(f"{one.name}: {rounded(one.median)} {one.unit}, {one.verdict}" for one in found), sep="\n")
    print(", ".join(f"{name} {value:.1f}" for name, value in loads.items()))


if __name__ == "__main__":
    main()
