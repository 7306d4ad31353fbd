"""Users: how they are named, what is kept of them, and what ends with them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.protocol.given import NOW, POLICY, a_membership, a_moment, a_person, a_session, a_user, asked, refused

from doorward.protocol import user
from doorward.protocol.people import User
from doorward.protocol.people_events import ResetLinkCreated, SessionEnded, UserCreated, UserUpdated
from doorward.protocol.user import CreateUser, Facts, UpdateUser, canonical


def create(facts: Facts | None = None, **body: Any) -> Any:
    given = {"username": "Ada", **body}
    return user.create(asked(CreateUser(**given)), facts or Facts(), POLICY, a_moment())


def update(facts: Facts, **body: Any) -> Any:
    return user.update(asked(UpdateUser(**body)), facts, POLICY, a_moment())


def updated(decision: Any) -> User:
    (event,) = decision.events
    assert isinstance(event, UserUpdated)
    return event.user


KNOWN = Facts(a_person())


@pytest.mark.parametrize("spelling", ["ada", "ADA", " Ada ", "\u24b6da", "\uff21\uff24\uff21", "\u00a0ada\u2003"])
def test_all_spellings_of_a_name_are_one_user(spelling: str) -> None:
    assert canonical(spelling) == "ada"


def test_the_canonical_name_of_a_canonical_name_is_itself() -> None:
    for name in ("\u0130stanbul", "stra\u00dfe", "\ufb01sh", "\u03a3\u03af\u03c3\u03c5\u03c6\u03bf\u03c2", "\u1e9e"):
        assert canonical(canonical(name)) == canonical(name)


def test_a_user_is_created_as_he_is_shown() -> None:
    decision = create(username=" Ada ", name="Ada Lovelace", email="ada@example.com", email_verified=True)
    (event,) = decision.events
    assert isinstance(event, UserCreated)
    made = event.user
    assert (made.username, made.canonical, made.name, made.role, made.state) == (
        "Ada", "ada", "Ada Lovelace", "member", "active",
    )  # fmt: skip
    assert (decision.reply.id, decision.reply.password_changed_at) == (made.id, None)
    assert made.id.startswith("user_")


def test_without_a_name_the_user_name_is_shown() -> None:
    assert create().reply.name == "Ada"


def test_a_name_is_taken_once() -> None:
    with refused("conflict"):
        create(Facts(namesake=a_person()))


@pytest.mark.parametrize(
    "name", ["", " ", "\u2003", "a" * 101, "a\nb", "a\u200bb", "a\u202eb", "user_1", "USER_1", "\ufdfa" * 6]
)
def test_a_name_that_hides_something_or_passes_for_an_id_is_refused(name: str) -> None:
    with refused("invalid_fields"):
        create(username=name)


@pytest.mark.parametrize("email", ["", "ada", "@example.com", "a b@example.com", "ada@", "ada@exa mple.com", "a\n@b.c"])
def test_what_is_no_address_is_refused(email: str) -> None:
    with refused("invalid_fields"):
        create(email=email)


def test_nothing_is_verified_where_there_is_no_address() -> None:
    with refused("invalid_fields"):
        create(email_verified=True)


@pytest.mark.parametrize(
    "profile",
    [{"sub": "x"}, {"given_name": 1}, {"address": "Main St"}, {"address": {"planet": "Mars"}}, {"locale": "x" * 501},
     {"phone_number_verified": "yes"}, {"address": {"country": 1}}, {"nickname": "a\x00"}],
    ids=str,
)  # fmt: skip
def test_a_profile_holds_standard_claims_of_their_own_types(profile: dict[str, Any]) -> None:
    with refused("invalid_fields"):
        create(profile=profile)


def test_a_profile_is_kept_as_it_is() -> None:
    profile = {"given_name": "Ada", "phone_number_verified": True, "address": {"country": "GB"}}
    assert create(profile=profile).reply.profile == profile


def test_an_update_changes_what_it_names() -> None:
    changed = updated(update(KNOWN, name="Countess", role="administrator"))
    assert changed == replace(a_user(), name="Countess", role="administrator", updated_at=NOW, version=2)


def test_a_new_address_is_not_verified_by_the_old_one() -> None:
    assert updated(update(KNOWN, email="ada@example.org")).email_verified is False
    assert updated(update(KNOWN, email="ada@example.com", name="Ada")).email_verified is True
    assert updated(update(KNOWN, email="ada@example.org", email_verified=True)).email_verified is True


def test_a_new_name_must_be_free_but_may_be_spelled_otherwise() -> None:
    assert updated(update(Facts(a_person(), a_person()), username="ADA")).username == "ADA"
    with refused("conflict"):
        update(Facts(a_person(), a_person(id="user_2")), username="Grace")


def test_disabling_ends_every_session_so_that_enabling_brings_none_back() -> None:
    facts = Facts(a_person(), sessions=(a_session(), a_session(id="session_2")))
    events = user.disable(asked(), facts, POLICY, a_moment()).events
    assert isinstance(events[0], UserUpdated)
    assert events[0].user.state == "disabled"
    assert [(one.session.id, one.session.ended_at) for one in events[1:] if isinstance(one, SessionEnded)] == [
        ("session_1", NOW), ("session_2", NOW),
    ]  # fmt: skip


def test_asking_for_the_state_that_he_has_changes_nothing() -> None:
    assert user.enable(asked(), KNOWN, POLICY, a_moment()).events == ()
    assert user.disable(asked(), Facts(a_person(state="disabled")), POLICY, a_moment()).events == ()


def test_a_user_is_shown_with_his_accounts_and_without_his_password() -> None:
    shown = user.show(a_person(a_membership(role="owner")))
    assert [(one.account, one.role) for one in shown.accounts] == [("acme", "owner")]
    assert "argon2id" not in repr(shown) + repr(a_person())


def test_a_link_carries_its_token_in_the_fragment_and_only_a_digest_is_kept() -> None:
    decision = user.reset_password(asked(), KNOWN, POLICY, a_moment())
    (event,) = decision.events
    assert isinstance(event, ResetLinkCreated)
    address, _, token = decision.reply.link.partition("#token=")
    assert (address, len(token)) == ("https://auth.example.com/reset", 43)
    assert token not in repr(event) + repr(decision.reply)
    assert event.link.expires_at == decision.reply.expires_at == NOW + 1800


def test_there_is_no_link_for_who_is_disabled_or_unknown() -> None:
    with refused("conflict"):
        user.reset_password(asked(), Facts(a_person(state="disabled")), POLICY, a_moment())
    with refused("not_found"):
        user.reset_password(asked(), Facts(), POLICY, a_moment())


def test_another_version_is_not_changed() -> None:
    with refused("precondition_failed"):
        user.update(asked(UpdateUser(name="B"), if_match='"7"'), KNOWN, POLICY, a_moment())
