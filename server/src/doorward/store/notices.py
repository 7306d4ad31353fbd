"""What people and their webhook must be told: a queue that outlives every process, without an event of its own (3b).

A notice is added in the transaction of what it tells of, once for each channel. Each of these is claimed before it is
sent, and tried again until it was taken. It decides nothing, and holds nothing but the id of what it is about.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from doorward.protocol.entities import Account, ApiKey, Leak
from doorward.protocol.leak_events import DecoyTried
from doorward.store import rows, usage
from doorward.store.tables import accounts, api_keys, journal, leaks, memberships, notices, users

LEAK, DECOY, EXPIRY = "leak", "decoy", "expiry"
LETTER, WEBHOOK = "letter", "webhook"
# How long after each try the next one comes; one that hangs is repeated by another worker. Letters for about three
# days, webhooks for one.
WAITS: Mapping[str, tuple[int, ...]] = {
    LETTER: tuple(min(60 << tries, 6 * 3600) for tries in range(19)),
    WEBHOOK: (10, 300, 1800, 2 * 3600, 5 * 3600, 10 * 3600, 10 * 3600),
}
# The same is not told again for so long: whoever tries a decoy in a loop sends one letter an hour.
QUIET = 3600
LIFETIME = 7 * 86_400
AT_ONCE = 10


@dataclass(frozen=True, slots=True)
class Notice:
    """One delivery: `id` and `kind` say what it is about, `at` is when it came to be told."""

    id: str
    channel: str
    kind: str
    at: int
    tries: int


ADD = {
    "sqlite": sqlite.insert(notices).on_conflict_do_nothing(),
    "postgresql": postgresql.insert(notices).on_conflict_do_nothing(),
}


def add(connection: Connection, ids: Iterable[str], kind: str, now: int) -> None:
    """Here every notice is fanned out. One that is waiting, or was told a short time ago, is not added again."""
    row = {"kind": kind, "at": now, "due_at": now, "tries": 0, "expires_at": now + LIFETIME}
    fanned_out = [{**row, "id": id_, "channel": channel} for id_ in ids for channel in WAITS]
    connection.execute(ADD[connection.dialect.name], fanned_out)


def forget(connection: Connection, id_: str, now: int) -> None:
    """One that was told long enough ago may be told again."""
    connection.execute(delete(notices).where(notices.c.id == id_, notices.c.expires_at <= now))


def due(connection: Connection, now: int) -> tuple[Notice, ...]:
    columns = (notices.c[name] for name in ("id", "channel", "kind", "at", "tries"))
    waiting = select(*columns).where(notices.c.due_at <= now).order_by(notices.c.due_at).limit(AT_ONCE)
    return tuple(Notice(*found) for found in connection.execute(waiting))


def claim(connection: Connection, notice: Notice, now: int) -> bool:
    """Whether it is this worker's to send: of several one is first."""
    waits = WAITS[notice.channel]
    next_at = now + waits[notice.tries] if notice.tries < len(waits) else None
    mine = _is(notice) & (notices.c.tries == notice.tries) & (notices.c.due_at <= now)
    taken = update(notices).where(mine).values(tries=notice.tries + 1, due_at=next_at)
    return connection.execute(taken).rowcount == 1


def is_last(notice: Notice) -> bool:
    return notice.tries >= len(WAITS[notice.channel])


def told(connection: Connection, notice: Notice, now: int) -> None:
    connection.execute(update(notices).where(_is(notice)).values(due_at=None, expires_at=now + QUIET))


def _is(notice: Notice) -> ColumnElement[bool]:
    return (notices.c.id == notice.id) & (notices.c.channel == notice.channel)


@dataclass(frozen=True, slots=True)
class About:
    """What a notice is about, and who is to be told: `owner` is the account's name, `tried_by` who showed a decoy.

    `expiring` is a key that ends in so many `days`, and `last_used_at` tells whether that matters.
    """

    to: tuple[str, ...]
    owner: str
    leak: Leak | None = None
    decoy: ApiKey | None = None
    tried_by: str = ""
    expiring: ApiKey | None = None
    days: int = 0
    last_used_at: int | None = None


def about(connection: Connection, notice: Notice) -> About | None:
    if notice.kind == DECOY:
        key = rows.find(connection, api_keys, ApiKey, notice.id)
        if key is None:
            return None
        to, owner = _recipients(connection, key.account_id)
        return About(to, owner, decoy=key, tried_by=_tried_by(connection, key.id))
    if notice.kind == EXPIRY:
        return _about_expiry(connection, notice)
    leak = rows.find(connection, leaks, Leak, notice.id)
    if leak is None:
        return None
    to, owner = _recipients(connection, leak.account_id)
    return About(to, owner, leak=leak)


def _about_expiry(connection: Connection, notice: Notice) -> About | None:
    """`key_8sK2.../7`: nothing, where the key has ended otherwise meanwhile."""
    id_, _, days = notice.id.rpartition("/")
    key = rows.find(connection, api_keys, ApiKey, id_)
    if key is None or key.state not in ("active", "inactive") or key.expires_at is None:
        return None
    to, owner = _recipients(connection, key.account_id)
    last_used_at = usage.of(connection, usage.API_KEY, key.id).last_used_at
    return About(to, owner, expiring=key, days=int(days), last_used_at=last_used_at)


def _recipients(connection: Connection, account_id: str | None) -> tuple[tuple[str, ...], str]:
    """The account's owners, or the administrators; and what the account is called."""
    account = rows.find(connection, accounts, Account, account_id) if account_id else None
    reachable = select(users.c.email).where(users.c.state == "active", users.c.email.is_not(None)).distinct()
    owning = (memberships.c.account_id == account_id) & (memberships.c.role == "owner")
    owners = reachable.join(memberships, memberships.c.user_id == users.c.id).where(owning)
    found = tuple(connection.execute(owners).scalars()) if account else ()
    administrators = reachable.where(users.c.role == "administrator")
    return found or tuple(connection.execute(administrators).scalars()), account.name if account else "this deployment"


def _tried_by(connection: Connection, key_id: str) -> str:
    """The verifier that saw it, or the administrator who asked about it."""
    tried = (journal.c.entity_id == key_id) & (journal.c.type == DecoyTried.__name__)
    newest = select(journal.c.actor).where(tried).order_by(journal.c.seq.desc()).limit(1)
    return connection.execute(newest).scalar() or ""
