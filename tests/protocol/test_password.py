"""Passwords: which may be chosen, and what ends with the old one (T056; decision 17)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.protocol.given import (
    NOW,
    POLICY,
    a_moment,
    a_password,
    a_session,
    a_user,
    a_user_grant,
    refused,
)

from doorward.protocol import password
from doorward.protocol.authorization_events import GrantTokensRevoked
from doorward.protocol.events import CredentialRefused
from doorward.protocol.password import Ask, Change, ChangeFacts, Checked, Reset, ResetFacts
from doorward.protocol.people import Password, ResetLink
from doorward.protocol.people_events import PasswordChanged, ResetLinkCreated, SessionEnded

LINK = ResetLink(password.digest("token"), "user_1", NOW + 60, NOW - 60)
HELD = ResetFacts(LINK, a_user(), (a_session(),), (a_user_grant(),))
NEW = "$argon2id$new"
CHANGED = PasswordChanged(Password("user_1", NEW, NOW))
RIGHT = Checked("$argon2id$kept", True)


def reset(facts: ResetFacts = HELD, phc: str | None = NEW, **policy: Any) -> Any:
    return password.reset(Reset("token", phc), facts, replace(POLICY, **policy), a_moment())


def change(checked: Checked = RIGHT, **facts: Any) -> Any:
    known = {"user": a_user(), "password": a_password(), "sessions": (), "grants": (), **facts}
    return password.change(Change("user_1", "session_1", checked, NEW), ChangeFacts(**known), POLICY, a_moment())


@pytest.mark.parametrize(
    "text",
    [
        "correct horse battery",
        "\u043f\u0430\u0440\u043e\u043b\u044c \u0438\u0437 \u0441\u043b\u043e\u0432",
        "x1" * 6 + "abc",
        "a b c d e f g",
    ],
)
def test_length_is_what_counts(text: str) -> None:
    password.acceptable(text, ("Ada", "ada"))


@pytest.mark.parametrize(
    "text", ["", "short", "elevenchars", "x" * 257, "aaaaaaaaaaaaaaaa", "abababababababab", "12341234123412341"[:16]]
)
def test_what_is_guessed_first_is_refused(text: str) -> None:
    with refused("invalid_fields", reason="password_unfit"):
        password.acceptable(text, ())


def test_a_name_is_no_password_however_it_is_written() -> None:
    with refused("invalid_fields", reason="password_unfit"):
        password.acceptable("my-LOVELACE-1843", ("Lovelace",))


def test_letters_count_as_they_are_compared() -> None:
    assert password.normal("e\u0301") == password.normal("\u00e9") == "\u00e9"


def test_a_link_is_looked_at_before_anything_is_hashed_for_it() -> None:
    decision = reset(phc=None)
    assert (decision.reply, decision.events) == (a_user(), ())


@pytest.mark.parametrize(
    "facts",
    [ResetFacts(), replace(HELD, link=replace(LINK, used_at=NOW - 1)),
     replace(HELD, link=replace(LINK, expires_at=NOW)), replace(HELD, user=a_user(state="disabled")),
     replace(HELD, user=None)],
    ids=["unknown", "used", "old", "disabled", "gone"],
)  # fmt: skip
@pytest.mark.parametrize("phc", [None, NEW])
def test_a_link_that_is_over_has_one_answer(facts: ResetFacts, phc: str | None) -> None:
    with refused("reset_over") as caught:
        reset(facts, phc)
    assert caught.value.description == "the link is not valid any more"


def test_a_new_password_ends_every_session_and_every_token() -> None:
    ended = replace(a_user_grant(), tokens_revoked_at=NOW, version=2)
    assert reset().events == (CHANGED, SessionEnded(a_session(ended_at=NOW)), GrantTokensRevoked(ended))


def test_a_deployment_may_let_them_live() -> None:
    assert reset(password_change_ends_sessions=False).events == (CHANGED,)


def test_who_changes_it_himself_keeps_the_session_that_he_sits_in() -> None:
    other = a_session(id="session_2")
    here, there = a_user_grant(), a_user_grant(id="grant_v")
    there = replace(there, session_id="session_2")
    events = change(sessions=(a_session(), other), grants=(here, there)).events
    assert events == (
        CHANGED,
        SessionEnded(replace(other, ended_at=NOW)),
        GrantTokensRevoked(replace(there, tokens_revoked_at=NOW, version=2)),
    )


@pytest.mark.parametrize(
    ("checked", "facts"),
    [(Checked("$argon2id$kept", False), {}), (Checked("$argon2id$older", True), {}), (RIGHT, {"password": None}),
     (RIGHT, {"user": None}), (RIGHT, {"user": a_user(state="disabled")})],
    ids=["wrong", "changed meanwhile", "none", "gone", "disabled"],
)  # fmt: skip
def test_the_present_password_must_be_right_now(checked: Checked, facts: dict[str, Any]) -> None:
    record = CredentialRefused("password", "user_1", "password_wrong")
    with refused("access_denied", reason="password_wrong", events=(record,)):
        change(checked, **facts)


def test_a_letter_is_for_an_active_user_with_an_address_that_is_known_to_be_his() -> None:
    decision = password.ask(Ask("ada"), a_user(), POLICY, a_moment())
    assert decision.reply is not None
    assert decision.reply.email == "ada@example.com"
    assert isinstance(decision.events[0], ResetLinkCreated)
    assert decision.reply.link.startswith("https://auth.example.com/reset#token=")
    nobody = (None, a_user(state="disabled"), a_user(email=None), a_user(email_verified=False))
    assert [password.ask(Ask("ada"), one, POLICY, a_moment()).events for one in nobody] == [()] * 4
