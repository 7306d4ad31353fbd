"""A hundred thousand routes of gateways: how long it takes to compile them as a worker does, and to find one of them.

Beside it what nobody could do without: splitting the path, and looking each segment up in a plain dictionary.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Generator
from pathlib import Path

from figures import Figure
from timing import Contestant, in_turns

from doorward.protocol import request_path, route_policy
from doorward.protocol.entities import JSON
from doorward.protocol.route_policy import Table

ROUTES, TENANTS = 100_000, 1000
API, NAME = "https://api.example.com", "Invoices"
COMPILATIONS = 5
PATHS = [f"/tenants/t{n % TENANTS}/things{n // TENANTS}/{n}" for n in range(0, ROUTES, 97)]


def run(_place: Path, _progress: Generator[None, str]) -> list[Figure]:
    kept = [_kept(n) for n in range(ROUTES)]
    seconds, table = [], route_policy.NONE
    for _ in range(COMPILATIONS):
        gc.collect()
        begun = time.thread_time()
        table = route_policy.compiled(route_policy.of_api(API, NAME, kept))
        seconds.append(time.thread_time() - begun)
    found, read, plain = in_turns(
        Contestant(lambda path: _found(table, path), PATHS),
        Contestant(lambda path: _found(table, request_path.read(path.encode()).path), PATHS),
        Contestant(_looked_up, PATHS),
    )
    ratios = [ours / theirs for ours, theirs in zip(found, plain, strict=True)]
    return [
        Figure("100,000 routes compiled, as they are kept", "s", seconds, required=2.0),
        Figure("one of them found", "µs", found, required=20.0),
        Figure("the same, from the path as it came", "µs", read, required=20.0),
        Figure("for comparison: the path split, each segment in a dict", "µs", plain),
        Figure("which finding one takes so many times of", "times", ratios),
    ]


def _kept(n: int) -> dict[str, JSON]:
    path = f"/tenants/t{n % TENANTS}/things{n // TENANTS}/{{id}}"
    given = {"path": path, "methods": ["GET", "POST"], "scope": "invoices:read"}
    return route_policy.members(route_policy.route(given, api=API))


def _found(table: Table, path: str) -> None:
    assert route_policy.find(route_policy.NONE, table, "GET", "api.example.com", path).route


SEGMENTS = {part: part for path in PATHS for part in path.split("/")}


def _looked_up(path: str) -> None:
    for part in path.split("/"):
        assert SEGMENTS[part] is not None
