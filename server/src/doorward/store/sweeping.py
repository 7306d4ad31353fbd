"""The table of what removes each table's rows, and when; and the steps that do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Select,
    Table,
    and_,
    delete,
    exists,
    insert,
    or_,
    select,
    tuple_,
    update,
)

from doorward.protocol.policy import DAY
from doorward.store import tables as t
from doorward.store.revocation_log import RETENTION as RESUMED
from doorward.store.usage import GRANT
from doorward.store.usage import RETENTION as USAGE_RETENTION

# Clocks differ.
LEEWAY = 60
# For so long a second use of a code is noticed (T031), and a refresh token is told from one that never was.
CODES, REFRESH_TOKENS = DAY, DAY
# So long a user's page and the limiter remember where he signed in.
SESSIONS = 90 * DAY
# An access token lives for an hour at most, a code is known for a day: who got no refresh token by then gets none.
# Refresh tokens and sessions live for 90 days at most, and are known for a day more.
GRANTS, OLD_GRANTS = 2 * DAY, 92 * DAY
RING = 100_000
# Pages that were freed are written to again: only when they are more than this part of the file it is made smaller.
FREE_PART, FREE_PAGES = 0.2, 4_000

Step = Callable[[Connection, int], int]


@dataclass(frozen=True, slots=True)
class Rule:
    """`when` says it for people; without a `step` something else removes the rows, or nothing does.

    A step deletes at most so many rows, and returns how many it was.
    """

    table: Table
    when: str
    step: Callable[[int, Connection, int], int] | None = None


def expired(table: Table, leeway: int, now: int, connection: Connection, limit: int) -> int:
    """The condition stands twice: a row that somebody else writes anew meanwhile has not ended."""
    key, ended = table.primary_key.columns[0], table.c.expires_at <= now - leeway
    found = select(key).where(ended).limit(limit)
    return connection.execute(delete(table).where(key.in_(found), ended)).rowcount


def _expired(table: Table, when: str, leeway: int = 0) -> Rule:
    return Rule(table, when, partial(expired, table, leeway))


def old_hours(now: int, connection: Connection, limit: int) -> int:
    table = t.usage_hours
    old = select(*table.primary_key.columns).where(table.c.at < now - USAGE_RETENTION).limit(limit)
    return connection.execute(delete(table).where(tuple_(*table.primary_key.columns).in_(old))).rowcount


def beyond_the_ring(_: int, connection: Connection, limit: int) -> int:
    table = t.refusal_details
    oldest = select(table.c.id).order_by(table.c.at.desc()).offset(RING).limit(limit)
    return connection.execute(delete(table).where(table.c.id.in_(oldest))).rowcount


def ended_grants(now: int, connection: Connection, limit: int) -> int:
    """With what was counted of them; by then no refresh token of theirs is recognised any more."""
    grants, ended = t.grants, t.grants.c.revoked_at <= now - OLD_GRANTS
    known = exists().where(t.refresh_tokens.c.grant_id == grants.c.id)
    found = select(grants.c.id).where(ended, ~known).order_by(grants.c.revoked_at).limit(limit)
    return _without_grants(connection, connection.execute(found).scalars().all())


def superseded_grants(age: int, now: int, connection: Connection, limit: int) -> int:
    """Goes through what users allowed, in order, once it is so old; returns how many that were to look at.

    Every silent authorization makes another grant. Of those that allow the same, one that cannot act any more goes when
    there is an older one, which tells since when, and a newer one, which is what is remembered: of the same session,
    as long as there is that, since its end is told to whoever was allowed anything in it.
    """
    name, grants = f"grants/{age}", t.grants
    reached = connection.execute(select(t.schedules.c.reached).where(t.schedules.c.name == name)).scalar()
    if reached is None:
        connection.execute(insert(t.schedules), {"name": name, "reached": 0})
    waiting = select(grants.c.created_at).where(grants.c.created_at > (reached or 0), grants.c.created_at <= now - age)
    times = connection.execute(waiting.order_by(grants.c.created_at).limit(limit)).scalars().all()
    if not times:
        return 0
    found = connection.execute(_superseded(now).where(grants.c.created_at.between(times[0], times[-1])))
    _without_grants(connection, found.scalars().all())
    connection.execute(update(t.schedules).where(t.schedules.c.name == name).values(reached=times[-1]))
    return len(times)


def _superseded(now: int) -> Select[Any]:
    this, older, newer, session = t.grants, t.grants.alias("older"), t.grants.alias("newer"), t.sessions
    alike = [
        and_(
            other.c.user_id == this.c.user_id, other.c.client_id == this.c.client_id, other.c.scope == this.c.scope,
            other.c.revoked_at.is_(None), *(
                other.c[name].is_not_distinct_from(this.c[name]) for name in ("api_id", "account_id")
            ),
        )
        for other in (older, newer)
    ]  # fmt: skip
    lives = exists().where(session.c.id == this.c.session_id, session.c.ended_at.is_(None), session.c.expires_at > now)
    here = or_(newer.c.session_id == this.c.session_id, ~lives)
    return select(this.c.id).where(
        this.c.revoked_at.is_(None),
        ~exists().where(t.refresh_tokens.c.grant_id == this.c.id),
        exists().where(alike[0], _age(older) < _age(this)),
        exists().where(alike[1], _age(newer) > _age(this), here),
    )


def _age(grants: FromClause) -> ColumnElement[Any]:
    return tuple_(grants.c.created_at, grants.c.id)


def _without_grants(connection: Connection, ids: Sequence[str]) -> int:
    if not ids:
        return 0
    counted = (t.usage.c.kind == GRANT) & t.usage.c.id.in_(ids)
    connection.execute(delete(t.usage).where(counted))
    return connection.execute(delete(t.grants).where(t.grants.c.id.in_(ids))).rowcount


def shrink(connection: Connection, limit: int) -> int:
    """Gives pages of a SQLite file back to the disk, a few at a time; PostgreSQL's own housekeeping does so itself."""
    if connection.dialect.name != "sqlite":
        return 0
    free, whole = (
        connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in ("freelist_count", "page_count")
    )
    if free <= max(FREE_PAGES, whole * FREE_PART):
        return 0
    # By the driver, which goes on to its end: it has no row to return, and frees a page at each step.
    connection.connection.cursor().execute(f"PRAGMA incremental_vacuum({limit})").fetchall()
    left: int = connection.exec_driver_sql("PRAGMA freelist_count").scalar_one()
    # A file that was made before it could be made smaller stays as it is.
    return limit if left < free else 0


# Access tokens stay a little longer than they live, since clocks differ; what was revoked, for those who resume.
RULES = (
    _expired(t.idempotency, "a day after the answer that is kept"),
    _expired(t.revoked_tokens, "when the token would have expired", LEEWAY),
    _expired(t.opaque_tokens, "when they expire", LEEWAY),
    _expired(t.listed_tokens, "when they expire", LEEWAY),
    _expired(t.status_lists, "when the last of its tokens has expired", LEEWAY),
    _expired(t.revocation_entries, "when nothing lives that they hit, and nobody resumes from before", RESUMED),
    _expired(t.authorization_requests, "when they expire"),
    _expired(t.upstream_sign_ins, "when they expire"),
    _expired(t.codes, "a day after they expire: a second use is noticed until then", CODES),
    _expired(t.refresh_tokens, "a day after they expire: until then the refusal says so", REFRESH_TOKENS),
    _expired(t.attempts, "when they are forgotten"),
    _expired(t.session_uses, "with the session"),
    _expired(t.sessions, "90 days after they expire: the user is known where he signed in", SESSIONS),
    _expired(t.reset_links, "a day after they expire", DAY),
    _expired(t.setup_links, "a day after they expire", DAY),
    _expired(t.notices, "an hour after they were told, at the latest after a week"),
    _expired(t.limit_cells, "when nothing of the limit is used any more", LEEWAY),
    Rule(t.usage_hours, "after 35 days", old_hours),
    Rule(t.refusal_details, "when there are 100,000 newer ones", beyond_the_ring),
    Rule(t.grants, "92 days after they ended", ended_grants),
    Rule(t.grants, "when others allow the same and they cannot act", partial(superseded_grants, GRANTS)),
    Rule(t.grants, "again, when no session or refresh token can be left", partial(superseded_grants, OLD_GRANTS)),
    Rule(t.usage, "with the grant; of keys and accounts never"),
    Rule(t.logout_deliveries, "when the client was told, or was tried for long enough: by that event"),
    Rule(t.nodes, "an hour after one was seen last, by the beats of others: nodes.py"),
    Rule(t.journal, "after [audit] retention, behind a checkpoint: retention.py"),
    Rule(t.token_records, "after [audit] token_records, behind a checkpoint: retention.py"),
    Rule(t.checkpoints, "never: one a day or an hour; the chain of what is left begins at them"),
    # They grow as people make them and no faster, and what ended long ago is still told from what never was.
    *(
        Rule(table, "never: they are few, and told of after their end")
        for table in (
            t.apis, t.accounts, t.clients, t.verifiers, t.api_keys, t.admin_keys, t.secrets, t.signing_keys, t.leaks,
            t.users,
        )
    ),
    *(Rule(table, "when somebody removes them") for table in (t.passwords, t.memberships, t.identities)),
    *(Rule(table, "never: a row or two") for table in (t.deployment, t.journal_head, t.schedules)),
)  # fmt: skip
