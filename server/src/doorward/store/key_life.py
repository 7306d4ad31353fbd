"""Api keys that are old, unused or about to end: which they are, and how far the notices of it have come."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sqlalchemy import ColumnElement, Connection, and_, insert, or_, select, update

from doorward.protocol.admin import invalid
from doorward.protocol.entities import Api, ApiKey
from doorward.protocol.key_life import Aged, window
from doorward.protocol.policy import DAY
from doorward.store import notices, rows
from doorward.store.memory import Reader
from doorward.store.tables import api_keys, apis, schedules, usage

# At once, so that whoever commits in between never waits long.
EXPIRED_LIMIT = 100
SPAN_LIMIT = 100 * 365 * DAY

_last_used_at = (
    select(usage.c.last_used_at).where(usage.c.kind == "api_key", usage.c.id == api_keys.c.id).scalar_subquery()
)


def _lives(now: int) -> ColumnElement[bool]:
    unended = or_(api_keys.c.expires_at.is_(None), api_keys.c.expires_at > now)
    return and_(api_keys.c.state.in_(("active", "inactive")), unended)


def overdue(read: Reader, now: int) -> tuple[Aged, ...]:
    """Some of those that are over by the policy of their api; it is looked again until there are none."""
    idle = and_(
        api_keys.c.created_at <= now - apis.c.unused_key_lifetime,
        apis.c.key_policy_at <= now - apis.c.unused_key_lifetime,
        or_(_last_used_at.is_(None), _last_used_at <= now - apis.c.unused_key_lifetime),
    )
    over = or_(api_keys.c.created_at <= now - apis.c.key_lifetime_limit, idle)
    ruled = or_(apis.c.key_lifetime_limit.is_not(None), apis.c.unused_key_lifetime.is_not(None))
    query = select(api_keys, _last_used_at.label("last")).join(apis, apis.c.id == api_keys.c.api_id)
    found = read.connection.execute(query.where(ruled, _lives(now), over).limit(EXPIRED_LIMIT)).all()
    keys = [(ApiKey(**{column.name: row._mapping[column] for column in api_keys.c}), row.last) for row in found]
    known = rows.find_all(read.connection, apis, Api, {key.api_id for key, _ in keys})
    read.rely(*(f"api_key/{key.id}" for key, _ in keys), *(f"api/{id_}" for id_ in known))
    return tuple(Aged(key, known[key.api_id], last) for key, last in keys)


def announce(connection: Connection, days: int, now: int) -> bool:
    """Owes a notice of every key that has come within so many days of its end since this was done last.

    How far it came is written in the same transaction, so that each notice is owed once, whoever does it and however
    often. Keys that were made to live hardly longer than that need no reminder. Whether there is more to do.
    """
    name, (soonest, latest) = f"{notices.EXPIRY}/{days}", window(days, now)
    reached = connection.execute(select(schedules.c.reached).where(schedules.c.name == name)).scalar()
    if reached is None:
        connection.execute(insert(schedules), {"name": name, "reached": latest})
        return False
    begin = max(reached, soonest)
    end = min(latest, begin + DAY)
    if end <= reached:
        return False
    moved = update(schedules).where(schedules.c.name == name, schedules.c.reached == reached)
    if connection.execute(moved.values(reached=end)).rowcount != 1:
        raise rows.Stale
    within = and_(_lives(now), api_keys.c.expires_at > begin, api_keys.c.expires_at <= end)
    lasting = api_keys.c.expires_at - api_keys.c.created_at > (days + 1) * DAY
    ending = connection.execute(select(api_keys.c.id).where(within, lasting)).scalars().all()
    if ending:
        notices.add(connection, [f"{id_}/{days}" for id_ in ending], notices.EXPIRY, now)
    return bool(end < latest)


def _seconds(name: str, text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:12]) <= SPAN_LIMIT:
        raise invalid(name, f"must be 1 to {SPAN_LIMIT} seconds")
    return int(text)


def _unused_for(now: int, text: str) -> ColumnElement[bool]:
    before = now - _seconds("unused_for", text)
    return and_(_lives(now), api_keys.c.created_at <= before, or_(_last_used_at.is_(None), _last_used_at <= before))


def _older_than(now: int, text: str) -> ColumnElement[bool]:
    return and_(_lives(now), api_keys.c.created_at <= now - _seconds("older_than", text))


def _expiring_within(now: int, text: str) -> ColumnElement[bool]:
    return and_(_lives(now), api_keys.c.expires_at <= now + _seconds("expiring_within", text))


def _no_expiry(now: int, text: str) -> ColumnElement[bool]:
    if text != "true":
        raise invalid("no_expiry", "must be true")
    return and_(_lives(now), api_keys.c.expires_at.is_(None))


# Of the keys that live, those that somebody should look at; spans are seconds.
CONDITIONS: Mapping[str, Callable[[int, str], ColumnElement[bool]]] = {
    "unused_for": _unused_for, "older_than": _older_than, "expiring_within": _expiring_within,
    "no_expiry": _no_expiry,
}  # fmt: skip
