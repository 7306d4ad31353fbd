"""The revocation log: written with what it tells of or not at all, to the apis that it concerns, and heard by all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Engine, insert, update
from tests.protocol.given import (
    KEY,
    NOW,
    POLICY,
    REFRESH_TOKEN,
    a_client,
    a_grant,
    a_session,
    a_user,
    a_user_grant,
    a_verifier,
    an_account,
    an_api,
    an_api_key,
    another_api,
    kept,
)
from tests.store.committing import (
    ACCOUNT,
    API,
    VERIFIER,
    an_append,
    commit,
    head,
    issued,
    outcomes,
    rows,
    swept,
    until,
)  # fmt: skip
from tests.store.conftest import Database
from tests.store.test_events import later

from doorward.protocol import events as e
from doorward.protocol import leak_events as k
from doorward.protocol import people_events as p
from doorward.protocol.events import Event
from doorward.protocol.moment import Position
from doorward.protocol.revocation_log import Entry, Placed
from doorward.store import revocation_log, tables
from doorward.store.revocation_log import EVERYONE, ISSUER, RETENTION, Heard, Tail, cut_off
from doorward.store.store import Store

OTHER_API = e.ApiCreated(another_api())
BYSTANDER = e.ApiCreated(an_api(id="api_3", identifier="https://third.example.com", name="third"))
GRANTS = (a_grant().grant, a_grant(another_api()).grant)
CLIENT = e.ClientCreated(a_client().client, a_client().secrets[0], GRANTS)
DISABLED = e.ClientUpdated(later(a_client().client, state="disabled"))
SUSPENDED = e.AccountUpdated(later(an_account(), state="suspended"))
# A user who allowed the client one api, and to learn who he is.
SIGNED_IN = (
    p.UserCreated(a_user()), p.SessionStarted(a_session()), e.GrantCreated(a_user_grant(api_id="api_2")),
    e.GrantCreated(a_user_grant(id="grant_w", api_id=None)),
)  # fmt: skip
LEAKED = k.ApiKeySecretRevoked(an_api_key(), kept(REFRESH_TOKEN, "key_1", id="key_1"))
TOKEN_REVOKED = e.TokenRevoked("jti_1", NOW + 300, False, "api_1")


@pytest.fixture
def settled(engine: Engine) -> Engine:
    """Three apis: the client may use two of them, the third has nothing of the account but a verifier."""
    third = replace(a_verifier().verifier, id="verifier_3", api_id="api_3")
    secret = kept(KEY, "verifier_3", id="of_third", mac=b"of the third")
    verifier = e.VerifierCreated(third, secret)
    assert commit(engine, ACCOUNT, API, OTHER_API, BYSTANDER, CLIENT, VERIFIER, verifier, *SIGNED_IN) == ""
    return engine


def log(engine: Engine) -> list[tuple[str, str, str, str]]:
    """What verifiers hear."""
    return [entry for entry in kept_entries(engine) if entry[0] != ISSUER]


def kept_entries(engine: Engine) -> list[tuple[str, str, str, str]]:
    return [
        (row["audience"], row["kind"], row["value"], row["effect"]) for row in rows(engine, tables.revocation_entries)
    ]


def key_of(api_id: str, id_: str = "key_1") -> e.ApiKeyCreated:
    return e.ApiKeyCreated(an_api_key(id=id_, api_id=api_id), kept(REFRESH_TOKEN, id_, id=id_, mac=id_.encode()))


# event, what it tells, and to whom
TOLD: tuple[tuple[Event, tuple[str, str, str], list[str]], ...] = (
    (TOKEN_REVOKED, ("token", "jti_1", "dead"), ["api_1"]),
    (e.TokenRevoked("opaque_1", NOW + 300, True, "api_2"), ("token", "opaque_1", "dead"), ["api_2"]),
    (e.GrantRevoked(later(GRANTS[1], revoked_at=NOW)), ("grant", "grant_api_2", "dead"), ["api_2"]),
    (e.GrantChanged(later(GRANTS[0], scope=frozenset())), ("grant", "grant_api_1", "changed"), ["api_1"]),
    (DISABLED, ("client", "client_1", "dead"), ["api_1", "api_2"]),
    (e.ClientUpdated(later(a_client().client, name="b")), ("client", "client_1", "changed"), ["api_1", "api_2"]),
    (e.ClientDeleted(later(a_client().client, state="deleted")), ("client", "client_1", "dead"), ["api_1", "api_2"]),
    (SUSPENDED, ("account", "acme", "dead"), ["api_1", "api_2"]),
    (e.AccountUpdated(later(an_account())), ("account", "acme", "changed"), ["api_1", "api_2"]),
    (e.ApiKeyRevoked(later(an_api_key(), state="revoked")), ("api_key", "key_1", "dead"), ["api_1"]),
    (e.ApiKeyUpdated(later(an_api_key(), name="b")), ("api_key", "key_1", "changed"), ["api_1"]),
    (LEAKED, ("secret", LEAKED.secret.id, "dead"), ["api_1"]),
    (p.UserUpdated(later(a_user(), state="disabled")), ("user", "user_1", "dead"), ["api_2"]),
    (p.UserUpdated(later(a_user(), name="b")), ("user", "user_1", "changed"), ["api_2"]),
    (p.SessionEnded(a_session(ended_at=NOW)), ("session", "session_1", "dead"), ["api_2"]),
    (e.EverythingRevoked(), ("everything", "", "dead"), [""]),
    (e.ApiUpdated(later(an_api(), token_lifetime=60)), ("api", "api_1", "changed"), ["api_1"]),
)


def named(case: tuple[Event, tuple[str, str, str], list[str]]) -> str:
    return f"{type(case[0]).__name__}-{case[1][2]}"


@pytest.mark.parametrize("case", TOLD, ids=named)
def test_each_audience_that_it_concerns_hears_of_it_and_no_other(
    settled: Engine, case: tuple[Event, tuple[str, str, str], list[str]]
) -> None:
    event, told, audiences = case
    assert commit(settled, key_of("api_1")) == ""
    since = head(settled)
    assert commit(settled, event, at=since.change_seq) == ""
    assert log(settled) == [(audience, *told) for audience in audiences]
    heard = {api: behind(settled, api, since.position).entries for api in ("api_1", "api_2", "api_3")}
    assert [api for api, entries in heard.items() if entries] == ([*heard] if audiences == [""] else audiences)
    assert {placed.seq for entries in heard.values() for placed in entries} == {head(settled).seq}


OF_THE_ISSUER = (
    (DISABLED, "client"), (SUSPENDED, "account"), (p.UserUpdated(later(a_user(), state="disabled")), "user"),
    (p.SessionEnded(a_session(ended_at=NOW)), "session"),
)  # fmt: skip


@pytest.mark.parametrize(("event", "kind"), OF_THE_ISSUER)
def test_what_ends_tokens_for_the_issuer_itself_is_kept_though_no_verifier_hears_of_it(
    engine: Engine, event: Event, kind: str
) -> None:
    """Decision 11: else what comes back would bring them back."""
    without_api = e.ClientCreated(a_client().client, None, ())
    alone = e.GrantCreated(a_user_grant(api_id=None))
    assert commit(engine, ACCOUNT, API, without_api, SIGNED_IN[0], SIGNED_IN[1], alone) == ""
    tailing = Tailing(engine)
    assert commit(engine, event) == ""
    assert [entry[:2] for entry in kept_entries(engine)] == [(ISSUER, kind)]
    assert [heard.entries for heard in tailing.follow().heard] == [()]
    assert behind(engine, "api_1", Position(1, 0)).entries == ()
    (value,) = {entry[2] for entry in kept_entries(engine)}
    with engine.connect() as connection:
        assert cut_off(connection, [(kind, value)]) == head(engine).seq


def test_an_account_concerns_the_apis_of_its_keys_too(settled: Engine) -> None:
    assert commit(settled, key_of("api_3", "key_3"), key_of("api_1")) == ""
    assert commit(settled, SUSPENDED) == ""
    assert [audience for audience, *_ in log(settled)] == ["api_1", "api_2", "api_3"]


def test_an_account_without_keys_and_grants_concerns_nobody(settled: Engine) -> None:
    other = an_account(id="other")
    assert commit(settled, e.AccountCreated(other)) == ""
    assert commit(settled, e.AccountUpdated(later(other, state="suspended"))) == ""
    assert log(settled) == []


def test_an_ended_grant_still_leads_to_its_api(settled: Engine) -> None:
    """Its verifiers may know tokens of the client, and may not have heard of the grant's end."""
    assert commit(settled, e.GrantRevoked(later(GRANTS[1], revoked_at=NOW))) == ""
    assert commit(settled, DISABLED) == ""
    assert [entry for entry in log(settled) if entry[1] == "client"] == [
        ("api_1", "client", "client_1", "dead"), ("api_2", "client", "client_1", "dead"),
    ]  # fmt: skip


def test_what_was_ended_last_cuts_off_all_that_hangs_on_it(settled: Engine) -> None:
    hung_on = (("client", "client_1"), ("account", "acme"), ("everything", ""))

    def found() -> int:
        with settled.connect() as connection:
            return cut_off(connection, hung_on)

    assert found() == 0
    assert commit(settled, SUSPENDED) == ""
    suspended_at = head(settled).seq
    assert commit(settled, e.AccountUpdated(later(later(an_account())))) == ""
    assert commit(settled, e.AccountCreated(an_account(id="client_1"))) == ""
    assert found() == suspended_at
    assert commit(settled, e.EverythingRevoked()) == ""
    assert found() == head(settled).seq


def test_what_was_not_done_is_not_told(settled: Engine) -> None:
    assert commit(settled, SUSPENDED) == ""
    before = rows(settled, tables.revocation_entries)
    assert commit(settled, SUSPENDED) == "Stale"
    assert outcomes(settled, an_append(TOKEN_REVOKED, API)) == ["Stale"]
    assert rows(settled, tables.revocation_entries) == before


def test_of_a_batch_only_that_is_told_which_was_done(settled: Engine) -> None:
    appends = [an_append(SUSPENDED), an_append(TOKEN_REVOKED, API), an_append(DISABLED), an_append(issued())]
    assert outcomes(settled, *appends) == ["", "Stale", "", ""]
    assert {kind for _, kind, _, _ in log(settled)} == {"account", "client"}


def test_an_entry_has_the_place_of_the_event_that_caused_it(settled: Engine) -> None:
    renamed = e.ClientUpdated(later(a_client().client, name="b"))
    regranted = e.GrantChanged(later(GRANTS[0], scope=frozenset()))
    assert outcomes(settled, an_append(renamed, regranted), an_append(issued()), an_append(TOKEN_REVOKED)) == [""] * 3
    journal = {row["seq"]: row["type"] for row in rows(settled, tables.journal)}
    places = [(row["kind"], journal[row["seq"]]) for row in rows(settled, tables.revocation_entries)]
    assert sorted(set(places)) == [
        ("client", "ClientUpdated"), ("grant", "GrantChanged"), ("token", "TokenRevoked"),
    ]  # fmt: skip


# Reading ------------------------------------------------------------------------------------------------------


def behind(engine: Engine, api_id: str, since: Position) -> revocation_log.Behind:
    with engine.connect() as connection:
        return revocation_log.behind(connection, api_id, since)


def live(engine: Engine, api_id: str, now: int) -> tuple[Position, tuple[Placed, ...]]:
    with engine.connect() as connection:
        return revocation_log.live(connection, api_id, now)


def put(engine: Engine, seq: int, audience: str, value: str, expires_at: int = NOW + 100) -> None:
    row = {"seq": seq, "audience": audience, "kind": "signing_key", "value": value, "effect": "dead"}
    with engine.begin() as connection:
        connection.execute(insert(tables.revocation_entries), {**row, "expires_at": expires_at})


def test_what_concerns_everyone_stands_in_every_audience_in_its_order(engine: Engine) -> None:
    for seq, audience in ((7, "api_1"), (3, EVERYONE), (5, "api_2"), (4, "api_1")):
        put(engine, seq, audience, f"at {seq}")
    assert [placed.seq for placed in behind(engine, "api_1", Position(1, 0)).entries] == [3, 4, 7]
    assert [placed.seq for placed in behind(engine, "api_2", Position(1, 3)).entries] == [5]
    assert [placed.seq for placed in live(engine, "api_9", NOW)[1]] == [3]


def test_a_snapshot_holds_what_still_means_something_and_a_continuation_holds_all(settled: Engine) -> None:
    short, long = (e.TokenRevoked(jti, NOW + 10 * n, False, "api_1") for n, jti in enumerate(("short", "long"), 1))
    assert commit(settled, short, long) == ""
    position = head(settled).position
    assert [one.entry.value for one in live(settled, "api_1", NOW + 69)[1]] == ["short", "long"]
    found, entries = live(settled, "api_1", NOW + 70)
    assert (found, entries) == (position, (Placed(position.seq, Entry("token", "long", "dead", NOW + 80)),))
    assert len(behind(settled, "api_1", Position(1, 0)).entries) == 2


def test_a_continuation_knows_when_the_journal_moved_on(settled: Engine) -> None:
    since = head(settled).position
    assert behind(settled, "api_1", since).moved_on_at is None
    assert commit(settled, issued(), now=NOW + 1) == ""
    assert behind(settled, "api_1", since).moved_on_at is None
    assert commit(settled, SUSPENDED, now=NOW + 2) == ""
    assert commit(settled, DISABLED, now=NOW + 3) == ""
    found = behind(settled, "api_1", since)
    assert (found.moved_on_at, found.head) == (NOW + 2, head(settled).position)


def test_entries_stay_for_those_who_resume_and_go_then(settled: Engine) -> None:
    assert commit(settled, TOKEN_REVOKED) == ""
    expired = NOW + 300 + 60
    swept(settled, expired + RETENTION - 1)
    assert len(log(settled)) == 1
    swept(settled, expired + RETENTION)
    assert log(settled) == []


# The tail -----------------------------------------------------------------------------------------------------


class Listener:
    def __init__(self) -> None:
        self.heard: list[Heard] = []

    def __call__(self, heard: Heard) -> None:
        self.heard.append(heard)

    @property
    def told(self) -> list[tuple[str, str]]:
        return [(audience, placed.entry.kind) for heard in self.heard for audience, placed in heard.entries]


class Tailing:
    """A tail that is told where the journal is, as the follower does it."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.tail = Tail(head(engine).position)
        self.listener = self.tail.listener = Listener()

    def follow(self) -> Listener:
        with self.engine.connect() as connection:
            self.tail.heard(connection, head(self.engine).position)
        return self.listener


def test_each_entry_is_told_once_with_its_audience(settled: Engine) -> None:
    tailing = Tailing(settled)
    assert commit(settled, DISABLED, TOKEN_REVOKED) == ""
    assert tailing.follow().told == [("api_1", "client"), ("api_2", "client"), ("api_1", "token")]
    assert commit(settled, SUSPENDED) == ""
    assert tailing.follow().told[3:] == [("api_1", "account"), ("api_2", "account")]
    assert [heard.position for heard in tailing.listener.heard][-1] == head(settled).position


def test_where_nothing_came_nothing_is_told(settled: Engine) -> None:
    tailing = Tailing(settled)
    assert commit(settled, issued()) == ""
    assert tailing.follow().heard == []


def test_a_position_is_told_though_nothing_was_revoked(settled: Engine) -> None:
    tailing = Tailing(settled)
    assert commit(settled, e.AccountCreated(an_account(id="other"))) == ""
    assert tailing.follow().heard == [Heard(head(settled).position, (), frozenset())]


def test_the_end_of_a_verifier_is_told_by_its_id_and_its_beginning_is_not(settled: Engine) -> None:
    tailing = Tailing(settled)
    made = replace(a_verifier().verifier, id="verifier_2")
    assert commit(settled, e.VerifierCreated(made, kept(KEY, "verifier_2", id="of_2", mac=b"of 2"))) == ""
    assert commit(settled, e.VerifierRevoked(later(a_verifier().verifier, state="revoked", revoked_at=NOW))) == ""
    assert tailing.follow().heard[0].ended == {"verifier_1"}


def test_the_end_of_a_leaked_secret_of_a_verifier_is_told_by_the_secret(settled: Engine) -> None:
    tailing, known = Tailing(settled), a_verifier()
    assert commit(settled, k.VerifierSecretRevoked(known.verifier, known.secrets[0].ended(NOW))) == ""
    assert tailing.follow().heard[0].ended == {known.secrets[0].id}


def test_what_could_not_be_told_is_told_the_next_time(settled: Engine) -> None:
    tailing = Tailing(settled)
    assert commit(settled, DISABLED) == ""

    def fail(heard: Heard) -> None:
        raise ZeroDivisionError

    tailing.tail.listener = fail
    with pytest.raises(ZeroDivisionError):
        tailing.follow()
    tailing.tail.listener = tailing.listener
    assert tailing.follow().told == [("api_1", "client"), ("api_2", "client")]


def test_another_epoch_is_told_without_entries_of_the_one_before(settled: Engine) -> None:
    tailing = Tailing(settled)
    assert commit(settled, DISABLED) == ""
    with settled.begin() as connection:
        connection.execute(update(tables.journal_head).values(epoch=2))
    assert tailing.follow().heard == [Heard(Position(2, head(settled).seq), (), frozenset())]


@pytest.fixture
def two_workers(settled: Engine, database: Database) -> Iterator[list[Listener]]:
    stores = [Store(database.engine(), POLICY) for _ in range(2)]
    listeners = [Listener() for _ in stores]
    for store, listener in zip(stores, listeners, strict=True):
        store.start(hear=listener)
    yield listeners
    for store in stores:
        store.stop()


def test_every_worker_hears_what_any_commits(settled: Engine, two_workers: list[Listener]) -> None:
    assert commit(settled, DISABLED) == ""
    assert commit(settled, SUSPENDED) == ""
    wanted: list[Any] = [("api_1", "client"), ("api_2", "client"), ("api_1", "account"), ("api_2", "account")]
    for listener in two_workers:
        until(lambda listener=listener: len(listener.told) >= 4)  # type: ignore[misc]
        assert listener.told == wanted
