"""A million api keys: how long a start takes, what a worker holds, how soon a key is checked that nobody asked for yet.

Only the keys that are checked have a text; the others are rows like theirs.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import sqlite3
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import doorward_server
from doorward_server import Doorward
from figures import Figure
from processes import Child, started

NUMBER = 1_000_000
CHECKED = 300
STARTS = 3
BATCH = 10_000


def run(place: Path) -> list[Figure]:
    with doorward_server.running(place / "many") as doorward:
        texts = [doorward.make("keys", account="acme", api=doorward.first_api, scope="invoices:read")["key"]
                 for _ in range(CHECKED)]  # fmt: skip
    _fill(doorward.data_dir / "doorward.db")
    times = []
    for number in range(STARTS):
        begun = time.perf_counter()
        with started(doorward.command, place) as child:
            _checked(doorward, doorward.api_key)
            times.append(time.perf_counter() - begun)
            if number == STARTS - 1:
                cold, held = _cold(doorward, texts, child)
    return [
        Figure("a million keys: start", "s", times, required=3.0),
        Figure("a million keys: the first check of one", "ms", cold, required=5.0),
        Figure("a million keys: the slowest first check", "ms", [max(cold)], required=5.0),
        Figure("a million keys: memory of a worker", "MB", [held], required=150.0),
    ]


def _fill(path: Path) -> None:
    """Rows like the last key's, a batch a transaction."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        for table, changed in (("api_keys", ("id",)), ("secrets", ("id", "owner_id", "mac"))):
            cursor = connection.execute(f"SELECT * FROM {table} WHERE rowid = (SELECT max(rowid) FROM {table})")
            names = [column[0] for column in cursor.description]
            like = dict(zip(names, cursor.fetchone(), strict=True))
            marks = ", ".join("?" * len(names))
            for batch in _batches(table, names, like, changed):
                connection.executemany(f"INSERT INTO {table} VALUES ({marks})", batch)
                connection.commit()


def _batches(
    table: str, names: list[str], like: dict[str, object], changed: tuple[str, ...]
) -> Iterator[list[list[object]]]:
    for begin in range(0, NUMBER, BATCH):
        rows = []
        for number in range(begin, begin + BATCH):
            fresh = {"id": f"{table[0]}{number:011d}", "owner_id": f"a{number:011d}", "mac": secrets.token_bytes(32)}
            rows.append([fresh[name] if name in changed else like[name] for name in names])
        yield rows


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
