"""How often somebody tried to sign in: exact counts, taken one after the other by the writer (T146; laws, 3b).

An attempt is counted before its password is compared. Beyond a few that are free each one makes the next wait longer,
and nothing is ever locked for good. Where a user signed in before he is counted apart: others cannot keep him out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, delete, insert, select, update

from doorward.protocol.sign_in import Attempt
from doorward.protocol.user import canonical
from doorward.store.tables import attempts, sessions, users

# How many are free, within as much time as it takes for all to be forgotten.
PER_ACCOUNT, PER_ADDRESS, PER_CREDENTIAL = 10, 50, 100
FORGOTTEN_AFTER = 15 * 60
FIRST_WAIT, LONGEST_WAIT = 15, 15 * 60


@dataclass(frozen=True, slots=True)
class Cell:
    """One thing that is counted, and how many of it are free."""

    key: str
    free: int


@dataclass(frozen=True, slots=True)
class Admitted:
    """`wait` is 0 when the attempt was counted and may go on."""

    wait: int
    cells: tuple[Cell, ...]


def admit(connection: Connection, attempt: Attempt, username: str, now: int) -> Admitted:
    cells = _cells(attempt, _is_familiar(connection, canonical(username), attempt.place))
    remembered = select(attempts).where(_among(cells), attempts.c.expires_at > now)
    found = {row["key"]: row for row in connection.execute(remembered).mappings()}
    wait = max((row["next_at"] - now for row in found.values()), default=0)
    if wait > 0:
        return Admitted(wait, cells)
    connection.execute(delete(attempts).where(_among(cells)))
    rows = [_counted(cell, found[cell.key]["count"] + 1 if cell.key in found else 1, now) for cell in cells]
    connection.execute(insert(attempts), rows)
    return Admitted(0, cells)


def succeeded(connection: Connection, cells: Sequence[Cell]) -> None:
    """The account's count begins anew. Of the others this one is taken back, or one account would clear all."""
    account, *others = cells
    connection.execute(delete(attempts).where(attempts.c.key == account.key))
    back = {"count": attempts.c.count - 1, "next_at": 0}
    connection.execute(update(attempts).where(_among(others), attempts.c.count > 0).values(back))


def _cells(attempt: Attempt, familiar: bool) -> tuple[Cell, ...]:
    account = f"{attempt.account}\x00{attempt.place}" if familiar else attempt.account
    return (
        Cell(_key("familiar" if familiar else "account", account), PER_ACCOUNT),
        Cell(_key("address", attempt.network), PER_ADDRESS),
        Cell(_key("credential", attempt.credential), PER_CREDENTIAL),
    )


def _key(kind: str, value: str) -> str:
    return hashlib.sha256(f"{kind}\x00{value}".encode("utf-8", "surrogatepass")).hexdigest()


def _among(cells: Sequence[Cell]) -> ColumnElement[bool]:
    return attempts.c.key.in_([cell.key for cell in cells])


def _counted(cell: Cell, count: int, now: int) -> dict[str, object]:
    next_at = now + wait_after(count, cell.free)
    return {"key": cell.key, "count": count, "next_at": next_at, "expires_at": next_at + FORGOTTEN_AFTER}


def wait_after(count: int, free: int) -> int:
    return 0 if count < free else min(FIRST_WAIT << min(count - free, 10), LONGEST_WAIT)


def _is_familiar(connection: Connection, name: str, place: str) -> bool:
    of_user = select(sessions.c.id).join(users, users.c.id == sessions.c.user_id)
    here = of_user.where(users.c.canonical == name, sessions.c.address == place).limit(1)
    return connection.execute(here).first() is not None
