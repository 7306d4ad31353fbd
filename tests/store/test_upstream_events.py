"""What logins elsewhere do to the rows, and what is read of them before it is decided whose they are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Engine
from tests.protocol.elsewhere import (
    ACME,
    ADA,
    COOKIE,
    STATE,
    SUBJECT,
    a_sign_in,
    an_identity,
    an_invitation,
    an_upstream,
    with_upstreams,
)
from tests.protocol.given import NOW, a_membership, a_session, a_user, an_account, asked
from tests.store.committing import USER, commit, count, head, read, rows, settled

from doorward.protocol import events as e
from doorward.protocol import people_events as p
from doorward.protocol import upstream_events as u
from doorward.protocol.events import Event
from doorward.protocol.first_sign_in import Facts, Person, Request
from doorward.protocol.identity import CreateFacts, CreateIdentity
from doorward.protocol.session import Browser
from doorward.protocol.upstream import Told, Upstream
from doorward.protocol.upstream_sign_in import Arrive, ArriveFacts, Begin
from doorward.protocol.user import UserFacts
from doorward.store import identities, sweeping, tables, upstream_sign_ins
from doorward.store.memory import Memory, Reader
from doorward.store.rows import row

GRACE = a_user(id="user_2", username="grace", canonical="grace", email="grace@acme.example")


@pytest.fixture
def people(engine: Engine) -> Engine:
    settled(engine)
    assert commit(engine, p.UserCreated(GRACE)) == ""
    return engine


def gathered(engine: Engine, gather: Any, request: Any, *upstreams: Upstream) -> tuple[Any, set[str]]:
    """The facts, and what they rest on."""
    with engine.connect() as connection:
        reader = Reader(Memory(head(engine).position), with_upstreams(*upstreams), connection)
        return gather(reader, request), reader.refs


def facts(engine: Engine, told: Told = ADA, upstream: Upstream = ACME) -> tuple[Facts, set[str]]:
    request = Request(upstream.name, told, Browser("Firefox", "192.0.2.1"))
    found: tuple[Facts, set[str]] = gathered(engine, identities.first_sign_in_facts, request, upstream)
    return found


def test_a_sign_in_elsewhere_waits_and_ends_once(engine: Engine) -> None:
    assert commit(engine, u.UpstreamSignInBegun(a_sign_in())) == ""
    assert read(engine, upstream_sign_ins.by_id, STATE) == a_sign_in()
    ended = a_sign_in(ended_at=NOW, expires_at=NOW + 900, proof="of an assertion")
    assert commit(engine, u.UpstreamSignInEnded(ended)) == ""
    assert rows(engine, tables.upstream_sign_ins) == [row(ended)]
    assert commit(engine, u.UpstreamSignInEnded(replace(ended, ended_at=NOW + 1))) == "Stale"
    assert rows(engine, tables.upstream_sign_ins) == [row(ended)]


def test_what_can_be_shown_once_is_shown_once_by_whoever_is_first(engine: Engine) -> None:
    other = a_sign_in(id="upstream_2")
    assert commit(engine, u.UpstreamSignInBegun(a_sign_in()), u.UpstreamSignInBegun(other)) == ""
    assert commit(engine, u.UpstreamSignInEnded(a_sign_in(ended_at=NOW, proof="jti"))) == ""
    assert commit(engine, u.UpstreamSignInEnded(replace(other, ended_at=NOW, proof="jti"))) == "Stale"
    found, refs = gathered(engine, upstream_sign_ins.arrive_facts, Arrive("acme", "upstream_2", COOKIE, "jti"))
    assert found == ArriveFacts(other, is_proof_known=True)
    assert refs == {"upstream_sign_in/upstream_2"}
    found, _ = gathered(engine, upstream_sign_ins.arrive_facts, Arrive("acme", "upstream_2", COOKIE, "another"))
    assert found == ArriveFacts(other)


def test_what_waits_is_counted_everywhere_and_for_one_address(people: Engine) -> None:
    others = (a_sign_in(id="upstream_2"), a_sign_in(id="upstream_3", address="192.0.2.9"))
    assert commit(people, *(u.UpstreamSignInBegun(one) for one in (a_sign_in(), *others))) == ""
    assert commit(people, u.UpstreamSignInEnded(a_sign_in(ended_at=NOW))) == ""
    found, _ = gathered(people, upstream_sign_ins.begin_facts, Begin("acme", "", "192.0.2.1"))
    assert (found.waiting, found.waiting_here, found.asked) == (2, 1, None)


def test_what_is_over_is_swept(engine: Engine) -> None:
    assert commit(engine, u.UpstreamSignInBegun(a_sign_in()), u.UpstreamSignInBegun(a_sign_in(id="u2"))) == ""
    assert commit(engine, u.UpstreamSignInEnded(a_sign_in(ended_at=NOW, expires_at=NOW + 900))) == ""
    assert tables.upstream_sign_ins in [rule.table for rule in sweeping.RULES if rule.step]
    with engine.begin() as connection:
        assert sweeping.expired(tables.upstream_sign_ins, 0, NOW + 600, connection, 9) == 1
    assert [found["id"] for found in rows(engine, tables.upstream_sign_ins)] == [STATE]


IDENTITY, INVITATION = an_identity(), an_invitation()
CLAIMED = replace(INVITATION, subject="another subject", expires_at=None)


def test_a_login_is_added_claimed_and_removed(people: Engine) -> None:
    assert commit(people, u.IdentityAdded(IDENTITY), u.IdentityAdded(INVITATION)) == ""
    assert rows(people, tables.identities) == [row(IDENTITY), row(INVITATION)]
    assert commit(people, u.IdentityClaimed(CLAIMED)) == ""
    assert rows(people, tables.identities) == [row(IDENTITY), row(CLAIMED)]
    assert commit(people, u.IdentityRemoved(IDENTITY)) == ""
    assert rows(people, tables.identities) == [row(CLAIMED)]


@pytest.mark.parametrize(
    "again",
    [
        u.IdentityAdded(IDENTITY), u.IdentityAdded(replace(IDENTITY, id="identity_9", user_id="user_2")),
        u.IdentityClaimed(replace(CLAIMED, subject="third")), u.IdentityRemoved(replace(IDENTITY, id="identity_9")),
        u.IdentityClaimed(IDENTITY), u.IdentityAdded(replace(IDENTITY, id="i", subject="x", user_id="user_9")),
    ],
    ids=["the same", "of another user", "claimed before", "not there", "no invitation", "of nobody"],
)  # fmt: skip
def test_a_login_is_one_users_and_an_invitation_one_subjects(people: Engine, again: Event) -> None:
    assert commit(people, u.IdentityAdded(IDENTITY), u.IdentityAdded(INVITATION)) == ""
    assert commit(people, u.IdentityClaimed(CLAIMED)) == ""
    before = rows(people, tables.identities)
    assert commit(people, again) == "Stale"
    assert rows(people, tables.identities) == before


def test_a_login_leads_to_its_user_and_to_nobody_else(people: Engine) -> None:
    commit(people, u.IdentityAdded(IDENTITY))
    found, refs = facts(people)
    assert found == Facts(Person(UserFacts(a_user(), None, (a_membership(),)), (IDENTITY,), (a_session(),)))
    assert {"user/user_1", "session/session_1"} <= refs


@pytest.mark.parametrize("told", [replace(ADA, subject="00U1A2B3"), replace(ADA, subject=SUBJECT + " ")])
def test_a_subject_is_compared_letter_by_letter(people: Engine, told: Told) -> None:
    commit(people, u.IdentityAdded(IDENTITY))
    assert facts(people, told)[0].known is None


def test_a_login_of_another_issuer_is_another_one(people: Engine) -> None:
    commit(people, u.IdentityAdded(IDENTITY))
    assert facts(people, upstream=an_upstream(issuer="https://other.example"))[0].known is None


def test_whoever_may_be_meant_is_found_by_his_address_in_whatever_case(people: Engine) -> None:
    commit(people, u.IdentityAdded(an_invitation(user_id="user_2", email="Grace@ACME.example")))
    found, refs = facts(people, replace(ADA, email="gRACE@acme.example"))
    assert [one.user.user for one in found.invited] == [GRACE]
    assert [one.user.user for one in found.namesakes] == [GRACE]
    assert found.invited[0].identities[0].email == "Grace@ACME.example"
    assert "user/user_2" in refs
    found, _ = facts(people, Told("nobody"))
    assert (found.invited, found.namesakes) == ((), ())


def test_what_a_newcomer_may_not_be_called_and_where_he_belongs_is_known(people: Engine) -> None:
    found, refs = facts(
        people, replace(ADA, username="Grace", email="new@acme.example"), an_upstream(account_id="acme")
    )
    assert (found.taken, found.account) == (frozenset({"grace"}), an_account())
    assert "account/acme" in refs
    assert facts(people, upstream=an_upstream(account_id="nowhere"))[0].account is None


def test_a_newcomer_comes_with_all_that_he_gets(engine: Engine) -> None:
    assert commit(engine, USER, u.IdentityAdded(IDENTITY), p.SessionStarted(a_session())) == ""
    assert count(engine, tables.users) == count(engine, tables.identities) == count(engine, tables.sessions) == 1


def test_an_administrator_hears_whose_a_login_is_already(people: Engine) -> None:
    commit(people, u.IdentityAdded(IDENTITY), u.IdentityAdded(INVITATION))
    body = CreateIdentity("grace", "acme", subject=SUBJECT)
    found, refs = gathered(people, identities.create_facts, asked(body))
    assert (found.user.user, found.same, found.invited) == (GRACE, IDENTITY, ())
    assert refs == {"user/user_2"}
    found, _ = gathered(
        people, identities.create_facts, asked(CreateIdentity("grace", "acme", email="ADA@acme.example"))
    )
    assert (found.same, found.invited) == (None, (INVITATION,))
    assert gathered(people, identities.create_facts, asked(CreateIdentity("nobody", "acme")))[0] == CreateFacts()


def test_linking_makes_facts_about_the_user_stale(people: Engine) -> None:
    at = head(people).position
    assert commit(people, u.IdentityAdded(IDENTITY), at=at) == ""
    assert commit(people, p.UserUpdated(a_user(version=2)), at=at, refs={"user/user_1"}) == "Stale"
    assert commit(people, e.AccountUpdated(an_account(version=2)), at=at, refs={"account/acme"}) == ""


def test_beginning_makes_nothing_stale(people: Engine) -> None:
    at = head(people).position
    assert commit(people, u.UpstreamSignInBegun(a_sign_in())) == ""
    assert commit(people, e.AccountUpdated(an_account(version=2)), at=at, refs={f"upstream_sign_in/{STATE}"}) == ""
