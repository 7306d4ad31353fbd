"""Very many api keys: how long a start takes, what a worker holds, how soon a key is checked that nobody asked for yet.

python bench/many_keys.py --keys 10000000 --engine postgresql

Only the keys that are checked have a text; the others are rows like theirs. A worker's memory knows none of them at its
first check; the system may have the database's pages in its own.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sqlite3
import statistics
import time
from collections.abc import Sequence
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import databases
import doorward_server
import machine
import psycopg
from doorward_server import Doorward
from figures import Figure, rounded
from processes import Child, started

NUMBER = 1_000_000
CHECKED = 300
STARTS = 3
BATCH = 100_000
LAST = "SELECT id FROM api_keys ORDER BY created_at DESC, id LIMIT 1"
# What is another one in each row.
FRESH = {
    "api_keys": {"id": "'a' || CAST(10000000000 + n AS TEXT)"},
    "secrets": {"id": "'s' || CAST(10000000000 + n AS TEXT)", "owner_id": "'a' || CAST(10000000000 + n AS TEXT)"},
}  # fmt: skip
# Of a database that is thrown away: filled, it is as durable as any other, and what it is measured by is no write.
SETUP = {
    "sqlite": "PRAGMA synchronous=OFF; PRAGMA cache_size=-500000",
    "postgresql": "SET session_replication_role = replica; SET synchronous_commit = off",
}  # fmt: skip
MACS = {"sqlite": "randomblob(32)", "postgresql": "sha256(CAST(CAST(n AS TEXT) AS bytea))"}


def run(place: Path, number: int = NUMBER, cluster: databases.Cluster | None = None) -> list[Figure]:
    """On SQLite, or in a cluster."""
    url = cluster.create() if cluster else ""
    with doorward_server.running(place / "many", None, ["--database", url] if url else []) as doorward:
        texts = [doorward.make("keys", account="acme", api=doorward.first_api, scope="invoices:read")["key"]
                 for _ in range(CHECKED)]  # fmt: skip
    _fill(url or str(doorward.data_dir / "doorward.db"), number)
    times = []
    for start in range(STARTS):
        begun = time.perf_counter()
        with started(doorward.command, place) as child:
            _checked(doorward, doorward.api_key)
            times.append(time.perf_counter() - begun)
            if start == STARTS - 1:
                before = _spent(child, cluster)
                cold, held = _cold(doorward, texts, child)
                spent = [1e6 * (now - then) / CHECKED for now, then in zip(_spent(child, cluster), before, strict=True)]
    keys = "a million keys" if number == NUMBER else f"{number:,} keys"
    names = ("the server", "PostgreSQL")
    costs = [Figure(f"{keys}: CPU of {name} for it", "µs", [one]) for name, one in zip(names, spent, strict=False)]
    return [*_figures(keys, times, cold, held), *costs]


def _spent(child: Child, cluster: databases.Cluster | None) -> list[float]:
    return [child.cpu_seconds, *([cluster.cpu_seconds] if cluster else [])]


def _figures(keys: str, times: Sequence[float], cold: Sequence[float], held: float) -> list[Figure]:
    late = statistics.quantiles(cold, n=100)[-1]
    return [
        Figure(f"{keys}: start", "s", times, required=3.0),
        Figure(f"{keys}: the first check of one", "ms", cold, required=5.0),
        Figure(f"{keys}: the first check of one, 99 of 100", "ms", [late], required=5.0),
        Figure(f"{keys}: memory of a worker", "MB", [held], required=150.0),
    ]


def _fill(database: str, number: int) -> None:
    """Rows like the last key's, a batch a transaction."""
    engine = "postgresql" if database.startswith("postgresql") else "sqlite"
    connect: Any = psycopg.connect if engine == "postgresql" else sqlite3.connect
    with contextlib.closing(connect(database)) as connection:
        cursor = connection.cursor()
        for statement in SETUP[engine].split(";"):
            cursor.execute(statement)
        (like,) = cursor.execute(LAST).fetchone()
        for table, fresh in FRESH.items():
            column = "id" if table == "api_keys" else "owner_id"
            one = f"(SELECT * FROM {table} WHERE {column} = '{like}' LIMIT 1) AS one"
            cursor.execute(f"SELECT * FROM {table} LIMIT 0")
            names = [found[0] for found in cursor.description]
            values = {"mac": MACS[engine], **fresh}
            given = ", ".join(values.get(name, f"one.{name}") for name in names)
            for begin in range(0, number, BATCH):
                last = min(begin + BATCH, number) - 1
                series = (
                    f"WITH RECURSIVE series(n) AS (SELECT {begin} UNION ALL SELECT n + 1 FROM series WHERE n < {last})"
                )
                insert = f"INSERT INTO {table} ({', '.join(names)})"
                cursor.execute(f"{series} {insert} SELECT {given} FROM series, {one}")
                connection.commit()
        cursor.execute("ANALYZE")
        connection.commit()


def _cold(doorward: Doorward, texts: list[str], child: Child) -> tuple[list[float], float]:
    took = []
    for text in texts:
        begun = time.perf_counter()
        _checked(doorward, text)
        took.append(1000 * (time.perf_counter() - begun))
    return took, child.resident_megabytes


def _checked(doorward: Doorward, text: str) -> None:
    host, port = doorward.url.removeprefix("http://").split(":")
    connection = HTTPConnection(host, int(port), timeout=10)
    headers = {"content-type": "application/json", "authorization": doorward.admin}
    connection.request("POST", "/v1/keys/verify", json.dumps({"key": text}), headers)
    answer = json.load(connection.getresponse())
    connection.close()
    if not answer["active"]:
        raise SystemExit(f"a good key was refused: {answer['reason']}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keys", type=int, default=NUMBER)
    parser.add_argument("--engine", choices=("sqlite", "postgresql"), default="sqlite")
    given = parser.parse_args()
    with contextlib.ExitStack() as stack:
        cluster = stack.enter_context(databases.postgresql()) if given.engine == "postgresql" else None
        found = run(Path(stack.enter_context(machine.directory())), given.keys, cluster)
    for figure in found:
        print(f"{figure.name}: {rounded(figure.median)} {figure.unit}, {figure.verdict}")
    print(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
