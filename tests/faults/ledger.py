"""The ledger of what was acknowledged, compared with the database: request by request, in both directions.

What nginx wrote down is every answer that anybody got. What the database has is a row for everything that happened,
with the id of the request that made it happen; an answer names the same id.

* Acknowledged: a change (any method but GET and HEAD) that was answered with 2xx or 3xx. Its id has a row, unless the
  answer repeats one whose own answer was lost: that one has. Or it was void: what it ends had ended before, by another
  row of an earlier second.
* A row whose id nobody was answered belongs to an answer that was lost (502, 503, 504, or a client that left). There
  are no more such ids than answers that were lost.
* Rows are numbered without a gap and none twice, and the head is the last of them; what the journal says was made, and
  not deleted since, is there, and nothing else is.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

READS = frozenset(("GET", "HEAD"))
ENDING = re.compile(r"/v1/[a-z-]+/([^/]+)/revoke")
# They ask; what they count is a tally, not an event.
QUESTIONS = frozenset(("/oauth/introspect", "/v1/keys/verify", "/usage", "/leaks/verify", "/oauth/userinfo"))
# Answered, for the last time, by nobody.
LOST = frozenset((499, 502, 503, 504))
# What is made by an event of its own, and the table that has it.
MADE = {
    "Account": "accounts", "AdminKey": "admin_keys", "Api": "apis", "ApiKey": "api_keys", "Client": "clients",
    "User": "users", "Verifier": "verifiers",
}  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """`asked` are the statuses of the nodes that were asked, the last of which is the answer's."""

    method: str
    path: str
    status: int
    id: str = ""
    replay: str = ""
    asked: str = ""
    at: float = 0.0

    @property
    def is_acknowledged(self) -> bool:
        return self.method not in READS and 200 <= self.status < 400 and self.path not in QUESTIONS

    @property
    def lost(self) -> int:
        """How many nodes may have done it without that anybody heard."""
        asked = [word for word in self.asked.replace(":", ",").replace(" ", "").split(",") if word]
        others = sum(word == "-" or int(word) in LOST for word in asked[:-1])
        return others + (self.status in LOST)


@dataclass(frozen=True)
class Row:
    seq: int
    type: str
    entity_id: str
    request_id: str
    at: int = 0


@dataclass(frozen=True)
class Database:
    """`head` is what the next row is numbered after; `there` the ids that each table has."""

    rows: Sequence[Row]
    head: int
    there: Mapping[str, frozenset[str]]


@dataclass(frozen=True)
class Compared:
    acknowledged: int
    found: int
    repeated: int
    void: int
    unanswered: int
    wrong: tuple[str, ...]


def read(file: Path) -> list[Answer]:
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    names = Answer.__dataclass_fields__
    return [Answer(**{name: value for name, value in line.items() if name in names}) for line in lines]


def compare(answers: Sequence[Answer], database: Database) -> Compared:
    written = {row.request_id for row in database.rows if row.request_id}
    acknowledged = [one for one in answers if one.is_acknowledged]
    found = [one for one in acknowledged if one.id in written]
    without, repeated = _without_rows(answers, written)
    missing = [one for one in without if not _is_void(one, database)]
    known = {one.id for one in answers if one.id}
    unanswered = written - known
    lost = sum(one.lost for one in answers)
    wrong = [f"acknowledged, and not in the database: {one.method} {one.path} {one.id}" for one in missing]
    if len(unanswered) > lost:
        wrong.append(f"{len(unanswered)} requests have rows and no answer, but {lost} answers were lost")
    return Compared(
        len(acknowledged), len(found), repeated, len(without) - len(missing), len(unanswered),
        (*wrong, *_torn(database), *_halves(database)),
    )  # fmt: skip


def _without_rows(answers: Sequence[Answer], written: set[str]) -> tuple[list[Answer], int]:
    """Those that nothing explains, and how many repeat what was done before: an answer that was lost explains one."""
    lost: Counter[tuple[str, str]] = Counter()
    missing, repeated = [], 0
    for one in answers:
        what = (one.method, one.path)
        lost[what] += one.lost
        if one.is_acknowledged and one.id not in written:
            if lost[what]:
                lost[what] -= 1
                repeated += 1
            else:
                missing.append(one)
    return missing, repeated


def _is_void(one: Answer, database: Database) -> bool:
    """It had ended: a row says so, which was there before."""
    named = ENDING.fullmatch(one.path)
    ends = (row for row in database.rows if row.type.endswith("Revoked") and row.at <= one.at)
    return named is not None and any(row.entity_id == named[1] for row in ends)


def _torn(database: Database) -> Iterable[str]:
    """`seq` is the order of commits: what is missing in it was taken out, what is there twice was written twice."""
    seqs = [row.seq for row in database.rows]
    if sorted(seqs) != list(range(1, len(seqs) + 1)):
        yield "the numbers of the rows have a gap, or one of them twice"
    if database.head != max(seqs, default=0):
        yield f"the head says {database.head}, and the last row {max(seqs, default=0)}"


def _halves(database: Database) -> Iterable[str]:
    for name, table in MADE.items():
        made = {row.entity_id for row in database.rows if row.type == f"{name}Created"}
        made -= {row.entity_id for row in database.rows if row.type == f"{name}Deleted"}
        for id_ in made - database.there[table]:
            yield f"{table}: {id_} was made, and is not there"
        for id_ in database.there[table] - made:
            yield f"{table}: {id_} is there, and was never made"


def database(url: str) -> Database:
    import psycopg

    with psycopg.connect(url) as connection:

        def all_of(query: str) -> list[tuple[Any, ...]]:
            return connection.execute(query.encode()).fetchall()

        columns = "seq, type, entity_id, request_id, at"
        rows = all_of(f"SELECT {columns} FROM journal UNION ALL SELECT {columns} FROM token_records ORDER BY seq")
        ((head,),) = all_of("SELECT seq FROM journal_head")
        there = {table: frozenset(id_ for (id_,) in all_of(f"SELECT id FROM {table}")) for table in MADE.values()}
    return Database([Row(*row) for row in rows], head, there)
