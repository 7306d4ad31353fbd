"""Logins elsewhere in the hands of administrators and users: linked, invited, taken away."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.protocol.elsewhere import (
    ACME,
    SUBJECT,
    an_identity,
    an_invitation,
    an_upstream,
    somebody,
    with_upstreams,
    without_password,
)
from tests.protocol.given import NOW, POLICY, a_moment, a_person, asked, refused

from doorward.protocol import identity
from doorward.protocol.decision import Decision
from doorward.protocol.identity import CreateFacts, CreateIdentity, Facts, IdentityObject, Unlink, UnlinkFacts
from doorward.protocol.policy import DAY
from doorward.protocol.upstream_events import IdentityAdded, IdentityRemoved

KNOWN = CreateFacts(a_person())
INVITING = with_upstreams(an_upstream(first_sign_in="invited"))


def create(facts: CreateFacts = KNOWN, **body: Any) -> Decision[IdentityObject]:
    given = CreateIdentity(**{"user": "ada", "upstream": "acme", **body})
    return identity.create(asked(given), facts, INVITING, a_moment())


def test_an_administrator_links_a_login_by_its_subject() -> None:
    decision = create(subject=SUBJECT)
    (event,) = decision.events
    assert isinstance(event, IdentityAdded)
    made = event.identity
    assert (made.user_id, made.issuer, made.subject, made.email, made.expires_at) == (
        "user_1", ACME.issuer, SUBJECT, None, None,
    )  # fmt: skip
    assert (decision.reply.state, decision.reply.upstream, decision.reply.user) == ("linked", "acme", "user_1")


def test_he_invites_by_an_address_for_two_weeks() -> None:
    decision = create(email="ada@acme.example")
    assert (decision.reply.state, decision.reply.subject, decision.reply.email) == ("invited", None, "ada@acme.example")
    assert decision.reply.expires_at == NOW + 14 * DAY


@pytest.mark.parametrize(
    ("field", "body", "facts"),
    [
        ("user", {"subject": SUBJECT}, CreateFacts()),
        ("upstream", {"subject": SUBJECT, "upstream": "other"}, KNOWN),
        ("subject", {}, KNOWN),
        ("subject", {"subject": SUBJECT, "email": "ada@acme.example"}, KNOWN),
        ("subject", {"subject": ""}, KNOWN),
        ("subject", {"subject": "x" * 256}, KNOWN),
        ("subject", {"subject": "a\nb"}, KNOWN),
        ("email", {"email": "ada@other.example"}, KNOWN),
        ("email", {"email": "nobody"}, KNOWN),
    ],
)
def test_what_cannot_be_linked_is_refused_by_its_field(field: str, body: dict[str, Any], facts: CreateFacts) -> None:
    with refused("invalid_fields") as caught:
        create(facts, **body)
    assert [name for name, _ in caught.value.fields] == [field]


def test_nobody_is_invited_where_only_existing_logins_count() -> None:
    given = CreateIdentity("ada", "acme", email="ada@acme.example")
    with refused("invalid_fields"):
        identity.create(asked(given), KNOWN, with_upstreams(), a_moment())


def test_a_login_is_one_users_and_an_address_is_invited_once() -> None:
    with refused("conflict"):
        create(replace(KNOWN, same=an_identity(user_id="user_2")), subject=SUBJECT)
    with refused("conflict"):
        create(replace(KNOWN, invited=(an_invitation(email="ADA@acme.example"),)), email="ada@acme.example")
    assert create(replace(KNOWN, invited=(an_invitation(expires_at=NOW),)), email="ada@acme.example").events


def test_it_is_taken_away_again() -> None:
    decision = identity.delete(asked(), Facts(an_identity()), POLICY, a_moment())
    assert decision.events == (IdentityRemoved(an_identity()),)
    with refused("not_found"):
        identity.delete(asked(), Facts(), POLICY, a_moment())


def unlink(facts: UnlinkFacts, identity_id: str = "identity_1") -> Decision[None]:
    return identity.unlink(Unlink("user_1", identity_id), facts, with_upstreams(), a_moment())


def test_a_user_unlinks_a_login_on_his_page() -> None:
    decision = unlink(UnlinkFacts(a_person(), (an_identity(),)))
    assert decision.events == (IdentityRemoved(an_identity()),)


def test_nobody_unlinks_the_login_of_another_nor_an_invitation() -> None:
    for facts in (UnlinkFacts(), UnlinkFacts(a_person()), UnlinkFacts(a_person(), (an_invitation(id="identity_1"),))):
        with refused("not_found"):
            unlink(facts)


def test_nobody_locks_himself_out() -> None:
    alone = without_password(somebody()).user
    with refused("conflict", reason="identity_last"):
        unlink(UnlinkFacts(alone, (an_identity(),)))
    with refused("conflict", reason="identity_last"):
        unlink(UnlinkFacts(alone, (an_identity(), an_invitation())))
    assert unlink(UnlinkFacts(alone, (an_identity(), an_identity(id="identity_2", subject="other")))).events
    elsewhere = an_identity(id="identity_2", issuer="https://left.example")
    with refused("conflict", reason="identity_last"):
        unlink(UnlinkFacts(alone, (an_identity(), elsewhere)))
    assert unlink(UnlinkFacts(alone, (an_identity(), elsewhere)), "identity_2").events


def test_an_upstream_that_left_the_settings_leaves_its_logins() -> None:
    assert identity.show(an_identity(), with_upstreams()).upstream == "acme"
    shown = identity.show(an_identity(), POLICY)
    assert (shown.upstream, shown.issuer) == (None, ACME.issuer)
