"""What a user's page is shown of apps, however many grants each of them has."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Engine, update
from tests.protocol.given import EARLIER, NOW, a_client, a_user_grant, scope
from tests.store.committing import CLIENT, commit, read, settled

from doorward.protocol.connected_apps import Allowed
from doorward.protocol.use import Used
from doorward.store import connected_apps, tables, usage
from doorward.store.clients import DELETED
from doorward.store.rows import row


@pytest.fixture
def people(engine: Engine) -> Engine:
    settled(engine)
    return engine


def another(engine: Engine, number: int = 2) -> str:
    """One more client."""
    made = a_client(id=f"client_{number}", name=f"app {number}").client
    secret = replace(a_client().secrets[0], id=f"secret_{number}", mac=bytes([number]) * 32, owner_id=made.id)
    assert commit(engine, replace(CLIENT, client=made, secret=secret, grants=())) == ""
    return made.id


def allow(engine: Engine, *made: dict[str, Any]) -> None:
    with engine.begin() as connection:
        connection.execute(tables.grants.insert(), [row(a_user_grant(**fields)) for fields in made])


def silently(count: int, **fields: Any) -> list[dict[str, Any]]:
    return [{"id": f"silent_{n}", "created_at": EARLIER + n, **fields} for n in range(count)]


def seen(engine: Engine) -> tuple[Allowed, ...]:
    found: tuple[Allowed, ...] = read(engine, connected_apps.allowed_by, "user_1")
    return found


def test_grants_that_allow_the_same_are_one_since_the_first_of_them(people: Engine) -> None:
    allow(people, *silently(3), {"id": "more", "scope": scope("read write")}, {"id": "who", "api_id": None})
    found = {(one.api.id if one.api else None, one.scope): one.since for one in seen(people)}
    assert found == {("api_1", scope("read")): EARLIER, ("api_1", scope("read write")): EARLIER,
                     (None, scope("read")): EARLIER}  # fmt: skip
    assert len(seen(people)) == 3


def test_any_of_them_may_be_the_one_that_was_used_last(people: Engine) -> None:
    allow(people, *silently(3))
    assert [one.last_used_at for one in seen(people)] == [None]
    with people.begin() as connection:
        usage.add(connection, [Used("grant", "silent_0", 5, NOW), Used("grant", "silent_2", 1, NOW - 60)])
        usage.add(connection, [Used("api_key", "silent_1", 1, NOW + 60)])
    assert [one.last_used_at for one in seen(people)] == [NOW]


def test_one_app_hides_no_other_by_the_number_of_its_grants(people: Engine) -> None:
    other = another(people)
    # Each allows something else, so that there is nothing to put together.
    many = connected_apps.SHOWN + 6
    allow(people, *[{**fields, "scope": scope(f"s{n}")} for n, fields in enumerate(silently(many))])
    allow(people, {"id": "last", "client_id": other, "created_at": NOW})
    assert [one.client.id for one in seen(people)] == ["client_1"] * many + [other]


def test_of_more_apps_than_a_page_can_show_those_allowed_last_are_shown(
    people: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connected_apps, "SHOWN", 2)
    for number in (2, 3):
        allow(people, {"id": f"of_{number}", "client_id": another(people, number), "created_at": EARLIER + number})
    allow(people, *silently(2))
    assert {one.client.id for one in seen(people)} == {"client_2", "client_3"}


def test_what_has_ended_and_whom_nobody_knows_any_more_is_not_shown(people: Engine) -> None:
    other = another(people)
    allow(people, {"id": "ended", "revoked_at": NOW}, {"id": "gone", "client_id": other}, {"id": "his", "user_id": "u"})
    with people.begin() as connection:
        connection.execute(update(tables.clients).where(tables.clients.c.id == other).values(state=DELETED))
    assert seen(people) == ()
