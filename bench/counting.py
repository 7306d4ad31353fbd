"""What it costs to write down that keys were used: as many keys as a worker counts at most, each once in an hour.

python bench/counting.py        on PostgreSQL; the CPU time of the one who writes, of PostgreSQL, and bytes of the hours
"""

from __future__ import annotations

import os
import time

import databases
from figures import Figure, rounded
from sqlalchemy import Engine, text

from doorward.protocol.use import Used
from doorward.store import schema, usage
from doorward.store.engine import open_engine

KEYS = 4_000
HOURS = 5
SIZE = text("SELECT pg_total_relation_size('usage_hours')")


def run(cluster: databases.Cluster) -> list[Figure]:
    engine = open_engine(cluster.create())
    schema.prepare(engine, "the secrets of this bench", int(time.time()))
    samples = [_hour(engine, cluster, number) for number in range(HOURS)]
    engine.dispose()
    names = ("CPU of the server", "CPU of PostgreSQL", "bytes of an hour")
    units = ("µs", "µs", "bytes")
    several = zip(*samples, strict=True)
    return [
        Figure(f"a key's use in an hour: {name}", unit, found)
        for name, unit, found in zip(names, units, several, strict=True)
    ]


def _hour(engine: Engine, cluster: databases.Cluster, number: int) -> tuple[float, float, float]:
    at = int(time.time()) + 3600 * number
    used = [Used("api_key", f"key{n:09d}", 1, at, account_id="acme", secret_id=f"sec{n:09d}") for n in range(KEYS)]
    size = _size(engine)
    database, begun = cluster.cpu_seconds, time.thread_time()
    with engine.begin() as connection:
        usage.add(connection, used)
    took = time.thread_time() - begun, cluster.cpu_seconds - database
    return took[0] / KEYS * 1e6, took[1] / KEYS * 1e6, (_size(engine) - size) / KEYS


def _size(engine: Engine) -> int:
    with engine.connect() as connection:
        found: int = connection.execute(SIZE).scalar_one()
        return found


def main() -> None:
    with databases.postgresql() as cluster:
        for figure in run(cluster):
            print(f"{figure.name}: {rounded(figure.median)} {figure.unit}")
    print(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
