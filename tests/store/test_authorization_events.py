"""What events on the way to tokens do to the rows: each once, whoever comes second decides again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Engine
from tests.protocol.allowed import CODE, a_code, a_refresh_token, a_waiting_request, an_app, an_authorization
from tests.protocol.given import (
    NOW,
    POLICY,
    a_client,
    a_membership,
    a_session,
    a_user,
    a_user_grant,
    an_account,
    credentials,
    scope,
)
from tests.store.committing import an_append, commit, count, head, outcomes, read, rows, settled, swept
from tests.store.conftest import Database

from doorward.protocol import authorization_events as v
from doorward.protocol import events as e
from doorward.protocol import interaction, session
from doorward.protocol import people_events as p
from doorward.protocol.authorization import Authorization, parameters
from doorward.protocol.grant_types import authorization_code
from doorward.protocol.moment import Position
from doorward.store import (
    authorization_requests,
    clients,
    codes,
    grants,
    journal,
    refresh_tokens,
    sessions,
    sweeping,
    tables,
)
from doorward.store.memory import Memory, Reader
from doorward.store.rows import row
from doorward.store.writer import Append

GRANT = a_user_grant(account_id="acme", auth_time=NOW - 60, acr="1", claims={"userinfo": {"email": None}})
WAITING = a_waiting_request(an_authorization(claims={"id_token": {"acr": None}}, prompt=scope("login consent")))
ROTATED = a_refresh_token(rotated_at=NOW, successor_id=a_refresh_token("next").id, successor=b"a sealed text")


@pytest.fixture
def people(engine: Engine) -> Engine:
    settled(engine)
    return engine


def of_users(engine: Engine) -> list[dict[str, object]]:
    return [found for found in rows(engine, tables.grants) if found["user_id"] is not None]


def test_a_request_waits_as_it_was_asked(people: Engine) -> None:
    assert commit(people, v.AuthorizationRequested(WAITING)) == ""
    assert read(people, authorization_requests.by_id, WAITING.id) == WAITING
    assert Authorization.of(WAITING.asked).prompt == scope("login consent")


def test_only_its_browser_is_shown_what_was_asked(people: Engine) -> None:
    commit(people, v.AuthorizationRequested(WAITING))

    def shown(cookie: str, request_id: str = WAITING.id) -> Authorization | None:
        with people.connect() as connection:
            return authorization_requests.shown(connection, request_id, cookie)

    assert shown("c" * 43) == Authorization.of(WAITING.asked)
    assert shown("d" * 43) is None
    assert shown("c" * 43, "unknown") is None
    commit(people, v.AuthorizationDenied(WAITING, "user_1"))
    assert shown("c" * 43) is None


@pytest.mark.parametrize(
    "ends", [v.AuthorizationDenied(WAITING, "user_1"), v.CodeIssued(GRANT, a_code(), WAITING)], ids=["no", "yes"]
)
def test_a_request_is_answered_once(people: Engine, ends: e.Event) -> None:
    assert commit(people, v.AuthorizationRequested(WAITING)) == ""
    assert commit(people, ends) == ""
    before = (count(people, tables.codes), count(people, tables.grants))
    for again in (
        v.AuthorizationDenied(WAITING, "user_1"),
        v.CodeIssued(replace(GRANT, id="g2"), a_code(digest="2"), WAITING),
    ):
        assert commit(people, again) == "Stale"
    assert (count(people, tables.codes), count(people, tables.grants)) == before
    assert rows(people, tables.authorization_requests)[0]["ended_at"] == NOW


def test_a_code_comes_with_its_grant(people: Engine) -> None:
    assert commit(people, v.CodeIssued(GRANT, a_code())) == ""
    assert rows(people, tables.codes) == [row(a_code())]
    assert of_users(people) == [row(GRANT)]
    found = read(people, grants.with_its_user, GRANT.id)
    assert (found.grant, found.user, found.api.id) == (GRANT, a_user(), "api_1")
    assert (found.acts_for_account, found.session_has_ended) == (True, False)


def test_a_grant_without_an_api_is_one(people: Engine) -> None:
    assert commit(people, v.CodeIssued(replace(GRANT, api_id=None), a_code(api_id=None))) == ""
    assert read(people, grants.with_its_user, GRANT.id).api is None


def test_what_a_grant_hangs_on_is_seen_to_end(people: Engine) -> None:
    commit(people, v.CodeIssued(GRANT, a_code()))
    assert commit(people, p.SessionEnded(a_session(ended_at=NOW))) == ""
    assert read(people, grants.with_its_user, GRANT.id).session_has_ended
    suspended = replace(an_account(), state="suspended", version=2)
    assert commit(people, e.AccountUpdated(suspended)) == ""
    assert not read(people, grants.with_its_user, GRANT.id).acts_for_account


def test_who_left_an_account_is_acted_for_there_no_more(people: Engine) -> None:
    commit(people, v.CodeIssued(GRANT, a_code()))
    assert commit(people, p.MembershipDeleted(a_membership())) == ""
    assert not read(people, grants.with_its_user, GRANT.id).acts_for_account


def test_a_code_is_redeemed_once(people: Engine) -> None:
    commit(people, v.CodeIssued(GRANT, a_code()))
    redeemed = v.CodeRedeemed(a_code(redeemed_at=NOW))
    assert commit(people, redeemed) == ""
    assert commit(people, redeemed) == "Stale"
    assert rows(people, tables.codes) == [row(a_code(redeemed_at=NOW))]


def test_a_code_that_is_not_there_is_not_redeemed(people: Engine) -> None:
    assert commit(people, v.CodeRedeemed(a_code())) == "Stale"


def issued(names: str) -> list[Append]:
    return [an_append(v.CodeIssued(replace(GRANT, id=name), a_code(digest=name, grant_id=name))) for name in names]


def redeemed(names: str) -> list[Append]:
    """Each with the first refresh token of its family, as one decision."""
    codes = [a_code(digest=name, grant_id=name, redeemed_at=NOW) for name in names]
    refresh = [a_refresh_token(name, grant_id=name) for name in names]
    return [
        an_append(v.CodeRedeemed(code), v.RefreshTokenIssued(token), refs=[f"code/{code.grant_id}"])
        for code, token in zip(codes, refresh, strict=True)
    ]


def test_many_codes_are_issued_and_redeemed_at_once(people: Engine) -> None:
    assert outcomes(people, *issued("abcdef")) == [""] * 6
    assert outcomes(people, *redeemed("abcdef")) == [""] * 6
    assert [found["redeemed_at"] for found in rows(people, tables.codes)] == [NOW] * 6
    assert sorted(found["grant_id"] for found in rows(people, tables.refresh_tokens)) == [*"abcdef"]


def test_a_code_that_comes_twice_in_a_crowd_is_redeemed_once(people: Engine) -> None:
    outcomes(people, *issued("abc"))
    assert outcomes(people, *redeemed("abca")) == ["", "", "", "Stale"]
    assert count(people, tables.refresh_tokens) == 3


def test_of_a_crowd_one_that_a_guard_refuses_falls_alone(people: Engine) -> None:
    outcomes(people, *issued("abc"))
    commit(people, v.CodeRedeemed(a_code(digest="b", grant_id="b", redeemed_at=NOW)))
    crowd = [replace(append, refs=frozenset()) for append in redeemed("abc")]
    assert outcomes(people, *crowd) == ["", "Stale", ""]
    assert {found["grant_id"] for found in rows(people, tables.refresh_tokens)} == {"a", "c"}
    numbers = sorted(found["seq"] for ledger in journal.LEDGERS for found in rows(people, ledger))
    assert numbers == [*range(1, numbers[-1] + 1)]


def test_a_refresh_token_is_rotated_once(people: Engine) -> None:
    assert commit(people, v.RefreshTokenIssued(a_refresh_token())) == ""
    assert commit(people, v.RefreshTokenRotated(ROTATED, a_refresh_token("next"))) == ""
    assert commit(people, v.RefreshTokenRotated(ROTATED, a_refresh_token("another"))) == "Stale"
    assert read(people, refresh_tokens.by_id, ROTATED.id) == ROTATED
    assert read(people, refresh_tokens.by_id, a_refresh_token("next").id) == a_refresh_token("next")
    assert count(people, tables.refresh_tokens) == 2


def rotated(names: str) -> list[Append]:
    tokens = [a_refresh_token(name, grant_id=name, rotated_at=NOW, successor=b"sealed") for name in names]
    return [an_append(v.RefreshTokenRotated(token, a_refresh_token(f"next {token.grant_id}"))) for token in tokens]


def test_many_refresh_tokens_are_rotated_at_once_and_each_of_them_once(people: Engine) -> None:
    commit(people, *(v.RefreshTokenIssued(a_refresh_token(name, grant_id=name)) for name in "abcd"))
    assert outcomes(people, *rotated("abc")) == [""] * 3
    assert count(people, tables.refresh_tokens) == 7
    assert outcomes(people, *rotated("dad")) == ["", "Stale", "Stale"]
    assert count(people, tables.refresh_tokens) == 8


def test_flows_of_one_user_do_not_make_each_others_facts_stale(people: Engine) -> None:
    """Many of his browsers, or tabs of one, come to one client at once."""
    commit(people, v.CodeIssued(GRANT, a_code()))
    begun = interaction.Request(parameters([("client_id", "client_1")]), interaction.Browser(a_session().digest))
    shown = authorization_code.Request(credentials(), CODE, None, None)
    with people.connect() as connection:
        readers = [Reader(Memory(Position(1, 0)), POLICY, connection, head(people).position) for _ in range(2)]
        waiting = authorization_requests.begin_facts(readers[0], begun)
        redeeming = codes.facts(readers[1], shown)
    assert (waiting.known.grants, redeeming.code) == ((GRANT,), a_code())
    assert f"grant/{GRANT.id}" in readers[0].refs & readers[1].refs
    at = head(people).change_seq
    authorizing = [replace(one, position=Position(1, at), refs=readers[0].refs) for one in issued("ab")]
    another = [replace(one, position=Position(1, at), refs=readers[1].refs) for one in redeemed("a")]
    assert outcomes(people, authorizing[0]) == [""]
    assert outcomes(people, authorizing[1], *another) == ["", ""]


def test_who_allowed_a_client_is_looked_for_among_his_own_grants(sqlite: Database) -> None:
    """A client has as many as it has users."""
    for statement in (grants.remembered, grants.newest):
        seen: list[tuple[str, Any]] = []
        engine = sqlite.engine()
        with engine.connect() as connection:
            connection.connection.driver_connection.set_trace_callback(seen.append)  # type: ignore[union-attr]
            statement(connection, "user_1", "client_1")
            asked = next(one for one in seen if "grants" in one)
            connection.connection.driver_connection.set_trace_callback(None)  # type: ignore[union-attr]
            plan = [found[3] for found in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {asked}")]
        assert any("ix_grants_user_id" in step for step in plan), plan
        assert not any("ix_grants_client_id" in step for step in plan), plan


def test_the_newest_grant_is_the_last_that_lives(people: Engine) -> None:
    for number, fields in enumerate(({}, {"scope": scope("write")}, {"user_id": "user_2"}, {"revoked_at": NOW})):
        made = replace(GRANT, id=f"grant_{number}", created_at=NOW + number, **fields)
        assert commit(people, v.CodeIssued(made, a_code(digest=str(number)))) == ""
    with people.connect() as connection:
        newest = grants.newest(connection, "user_1", "client_1")
        assert newest is not None
        assert (newest.id, newest.scope) == ("grant_1", scope("write"))
        assert grants.newest(connection, "user_2", "client_2") is None


def test_memory_says_for_a_minute_when_a_session_was_last_seen(people: Engine) -> None:
    memory, digest = Memory(Position(1, 0)), a_session().digest

    def seen(now: int) -> int:
        with people.connect() as connection:
            reader = Reader(memory, POLICY, connection, Position(1, head(people).change_seq))
            known = sessions.recognised(reader, session.Seen(digest, now))
        assert known is not None
        return known.last_seen_at

    began = seen(a_session().created_at)
    with people.begin() as connection:
        sessions.touch(connection, a_session(), began + 70)
        sessions.touch(connection, a_session(), began + 71)
    assert [seen(began + after) for after in (59, 60, 129, 131)] == [began, began + 71, began + 71, began + 71]


def test_a_grants_tokens_end_and_what_was_allowed_stays(people: Engine) -> None:
    commit(people, v.CodeIssued(GRANT, a_code()))
    over = replace(GRANT, tokens_revoked_at=NOW, version=2)
    assert commit(people, v.GrantTokensRevoked(over)) == ""
    assert commit(people, v.GrantTokensRevoked(over)) == "Stale"
    with people.connect() as connection:
        assert grants.of_user(connection, "user_1") == (over,)
    assert commit(people, e.GrantRevoked(replace(over, revoked_at=NOW, version=3))) == ""
    with people.connect() as connection:
        assert grants.of_user(connection, "user_1") == ()


def test_what_is_remembered_does_not_grow_with_every_sign_in(people: Engine) -> None:
    """Of grants that allow the same, one is enough to know it: the newest that lives."""
    for number, fields in enumerate(
        ({}, {}, {"scope": scope("write")}, {"account_id": "other"}, {"api_id": None}, {}, {"revoked_at": NOW}, {})
    ):
        made = replace(GRANT, id=f"grant_{number}", created_at=NOW + number, **fields)
        assert commit(people, v.CodeIssued(made, a_code(digest=str(number)))) == ""
    with people.connect() as connection:
        found = grants.remembered(connection, "user_1", "client_1")
        assert [grant.id for grant in found] == ["grant_2", "grant_3", "grant_4", "grant_7"]
        assert grants.remembered(connection, "user_1", "client_2") == ()
        assert grants.remembered(connection, "user_2", "client_1") == ()


def test_what_users_allowed_is_not_what_the_client_may(people: Engine) -> None:
    """The client's facts list what administrators granted: users' grants are many, and change nothing there."""
    commit(people, v.CodeIssued(GRANT, a_code()))
    assert read(people, clients.by_id, "client_1") == a_client()


def test_a_deleted_client_takes_what_users_allowed_it_along(people: Engine) -> None:
    commit(people, v.CodeIssued(GRANT, a_code()))
    deleted = replace(a_client().client, state="deleted", version=2)
    assert commit(people, e.ClientDeleted(deleted), now=NOW + 5) == ""
    assert [grant["revoked_at"] for grant in of_users(people)] == [NOW + 5]


def test_a_public_client_has_no_secret(people: Engine) -> None:
    public = an_app(id="client_2", token_endpoint_auth_method="none").client
    assert commit(people, e.ClientCreated(public, None, ())) == ""
    found = read(people, clients.by_id, "client_2")
    assert (found.client, found.secrets) == (public, ())


@pytest.mark.parametrize(
    ("event", "table", "kept_for"),
    [
        (v.AuthorizationRequested(a_waiting_request(expires_at=NOW)), tables.authorization_requests, 0),
        (v.CodeIssued(GRANT, a_code(expires_at=NOW)), tables.codes, sweeping.CODES),
        (v.RefreshTokenIssued(a_refresh_token(expires_at=NOW)), tables.refresh_tokens, sweeping.REFRESH_TOKENS),
    ],
    ids=["request", "code", "refresh token"],
)
def test_what_is_over_is_swept_when_nobody_needs_it(
    people: Engine, event: e.Event, table: object, kept_for: int
) -> None:
    assert commit(people, event) == ""
    swept(people, NOW + kept_for - 1)
    assert count(people, table) == 1  # type: ignore[arg-type]
    swept(people, NOW + kept_for)
    assert count(people, table) == 0  # type: ignore[arg-type]
