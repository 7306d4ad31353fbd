"""Tables do not grow with the traffic that is over, and whoever commits hardly notices that it is swept.

The clock is turned: a day of people who sign in, of tokens and refusals, then a hundred quiet days, then the same.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import Engine
from tests.faults.conftest import Report
from tests.faults.figures import percentile
from tests.protocol.allowed import a_code, a_refresh_token, a_waiting_request
from tests.protocol.given import NOW, POLICY, a_session, a_user_grant
from tests.store.committing import CONTEXT, a_writer, an_append, count, head, housekeeper, issued, settled
from tests.store.conftest import CREATED_AT, FINGERPRINT
from tests.store.test_events import TOKEN

from doorward.protocol import authorization_events as v
from doorward.protocol import events as e
from doorward.protocol import people_events as p
from doorward.protocol.moment import Position
from doorward.protocol.policy import DAY
from doorward.protocol.use import Used
from doorward.store import housekeeping, schema, usage
from doorward.store.engine import open_engine
from doorward.store.retention import Retention
from doorward.store.store import Gathered, Store
from doorward.store.tables import checkpoints, idempotency, limit_cells, metadata, revoked_tokens

HOUR = 3600
KEPT = Retention(audit=2 * DAY, token_records=HOUR)
QUIET = 100
# One more each time, at most: of the newest grant that was there when nobody came for long.
WITH_A_GRANT = ("grants", "usage")
REFUSED = e.CredentialRefused("api_key", "key_1", "credential_expired")


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Any) -> Iterator[Engine]:
    at_hand = request.param == "sqlite"
    url = f"sqlite:///{tmp_path / 'doorward.db'}" if at_hand else request.getfixturevalue("postgresql_url")
    engine = open_engine(url)
    schema.prepare(engine, FINGERPRINT, CREATED_AT)
    settled(engine)
    yield engine
    engine.dispose()


def visit(name: str, now: int) -> tuple[e.Event, ...]:
    """Somebody signs in, allows an app what he allowed it before, and the app gets its tokens, and new ones."""
    session = a_session(id=f"s_{name}", digest=name, auth_time=now, created_at=now, expires_at=now + 7 * DAY)
    grant = a_user_grant(id=f"g_{name}", session_id=session.id, created_at=now)
    code = a_code(digest=name, grant_id=grant.id, session_id=session.id, created_at=now, expires_at=now + 60)
    spans = {"grant_id": grant.id, "created_at": now, "expires_at": now + 30 * DAY, "ends_at": now + 90 * DAY}
    first, second = (a_refresh_token(f"{number} {name}", **spans) for number in (1, 2))
    rotated = replace(first, rotated_at=now, successor_id=second.id, successor=b"a sealed text")
    opaque = replace(TOKEN, id=f"t_{name}", mac=name.encode(), created_at=now, expires_at=now + 300)
    asked = a_waiting_request(id=f"a_{name}", digest=name, created_at=now, expires_at=now + 600)
    ended = e.GrantRevoked(replace(grant, revoked_at=now, version=2))
    return (
        v.AuthorizationRequested(asked), p.SessionStarted(session), v.CodeIssued(grant, code),
        v.CodeRedeemed(replace(code, redeemed_at=now)), issued(opaque.id, opaque_token=opaque),
        v.RefreshTokenIssued(first), v.RefreshTokenRotated(rotated, second), REFUSED,
        e.TokenRevoked(f"t_{name}", now + 300, opaque=False, api_id="api_1"), *([ended] if name.endswith("1") else ()),
    )  # fmt: skip


def counted(engine: Engine, name: str, now: int) -> None:
    """What is written without an event."""
    kept = {"request": "a digest", "reply": b"x" * 500, "expires_at": now + DAY}
    with engine.execution_options(writing=True).begin() as connection:
        usage.add(connection, [Used("api_key", "key_1", 1, now, account_id="acme"), Used("grant", f"g_{name}", 1, now)])
        connection.execute(idempotency.insert(), {"key": name, **kept})
        connection.execute(limit_cells.insert(), {"id": name, "value": 1, "expires_at": now + HOUR})


def a_day(engine: Engine, began: int, hours: range, visits: int) -> None:
    for hour in hours:
        now = began + hour * HOUR
        names = [f"{now}_{number}" for number in range(visits)]
        appends = [an_append(*visit(name, now), at=head(engine).position, now=now) for name in names]
        assert [problem for _, problem in a_writer(engine).commit(appends)] == [None] * visits
        for name in names:
            counted(engine, name, now)
        assert housekeeper(engine, lambda now=now: now, KEPT).look()


def rows_of(engine: Engine) -> Counter[str]:
    return Counter({table.name: count(engine, table) for table in metadata.sorted_tables})


def megabytes(engine: Engine) -> float:
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            pages, size = (
                connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in ("page_count", "page_size")
            )
            return float(pages * size / 1e6)
        size = connection.exec_driver_sql("SELECT pg_database_size(current_database())").scalar_one()
        return float(size / 1e6)


def test_a_day_of_traffic_leaves_no_more_than_the_day_before_it(engine: Engine, is_long: bool, figure: Report) -> None:
    days, visits, hours = (4, 100, range(24)) if is_long else (3, 3, range(0, 24, 8))
    full, left, sizes, now = [], [], [], NOW
    for _ in range(days):
        a_day(engine, now, hours, visits)
        full.append(rows_of(engine))
        for _ in range(2):
            now += QUIET * DAY // 2
            assert housekeeper(engine, lambda now=now: now, KEPT).look()
        left.append(rows_of(engine))
        sizes.append(megabytes(engine))
        now += DAY
    for before, after in pairwise(left):
        grown = {name: after[name] - before[name] for name in after if after[name] > before[name]}
        assert grown.pop(checkpoints.name, 0) <= 24 * 3
        assert all(name in WITH_A_GRANT and more == 1 for name, more in grown.items()), grown
    assert min(day.total() for day in full) > 4 * len(hours) * visits
    name = engine.dialect.name
    for table in (table for table in full[-1] if full[-1][table] > 10):
        figure(f"{name}: {table}, after a day and when it was over", "rows", (full[-1][table], left[-1][table]))
    figure(f"{name}: size after each of {days} such days", "MB", sizes)
    if name == "sqlite":
        assert sizes[-1] <= 1.2 * sizes[0]


@asynccontextmanager
async def opened(engine: Engine) -> AsyncIterator[Store]:
    store = Store(engine, POLICY)
    store.start()
    try:
        yield store
    finally:
        await asyncio.to_thread(store.stop)


async def commits(store: Store, going_on: Callable[[], bool], least: int) -> list[float]:
    """One after the other, as somebody who waits for each; milliseconds."""
    nothing = Gathered(None, Position(1, 0), frozenset())
    took: list[float] = []
    while going_on() or len(took) < least:
        began = time.perf_counter()
        await store.commit((REFUSED,), nothing, CONTEXT, NOW)
        took.append((time.perf_counter() - began) * 1e3)
        await asyncio.sleep(0.002)
    return took


def test_who_commits_hardly_notices_that_much_is_swept(
    engine: Engine, is_long: bool, figure: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    size, least = (100_000, 1_000) if is_long else (3_000, 50)
    # Not before it is told to.
    monkeypatch.setattr(housekeeping, "LOOK", 3600)
    expired = [{"id": f"expired_{number}", "expires_at": 1, "revoked_at": 1} for number in range(size)]
    with engine.execution_options(writing=True).begin() as connection:
        connection.execute(revoked_tokens.insert(), expired)
    before = head(engine).seq

    async def measured() -> tuple[list[float], list[float]]:
        async with opened(engine) as store:
            alone = await commits(store, lambda: False, least)
            sweeping = asyncio.create_task(asyncio.to_thread(store.housekeeping.look))
            beside = await commits(store, lambda: not sweeping.done(), 1)
            assert await sweeping
            return alone, beside

    alone, beside = asyncio.run(measured())
    assert count(engine, revoked_tokens) == 0
    assert head(engine).seq == before + len(alone) + len(beside)
    name = engine.dialect.name
    figure(f"{name}: a commit while nothing is swept", "ms", alone)
    figure(f"{name}: a commit while {size} rows are swept", "ms", beside)
    figure(f"{name}: p99 of the second to that of the first", "times", [percentile(beside, 99) / percentile(alone, 99)])
