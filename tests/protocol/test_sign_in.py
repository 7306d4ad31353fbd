"""Signing in: one answer to whatever is wrong, one record each, and a session that nobody could have known before."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.protocol.given import NOW, POLICY, a_moment, a_person, a_session, refused

from doorward.protocol import session, sign_in
from doorward.protocol.decision import Decision
from doorward.protocol.events import CredentialRefused
from doorward.protocol.password import Checked
from doorward.protocol.people_events import SessionEnded, SessionStarted
from doorward.protocol.session import Browser, Started
from doorward.protocol.sign_in import Facts, Request

RIGHT = Checked("$argon2id$kept", True)
REQUEST = Request("ada", RIGHT, Browser("Firefox", "192.0.2.1"))
KNOWN = Facts(a_person())


def decide(request: Request = REQUEST, facts: Facts = KNOWN) -> Decision[Started]:
    return sign_in.decide(request, facts, POLICY, a_moment())


def test_the_right_password_starts_a_session() -> None:
    decision = decide()
    assert decision.events == (SessionStarted(decision.reply.session),)
    assert decision.reply.session.user_id == "user_1"
    assert decision.reply.session.digest == session.digest(decision.reply.cookie)


@pytest.mark.parametrize(
    ("request_", "facts", "about"),
    [
        (REQUEST, Facts(), "unknown"),
        (REQUEST, Facts(a_person(state="disabled")), "user_1"),
        (replace(REQUEST, checked=Checked("$argon2id$kept", False)), KNOWN, "user_1"),
        (replace(REQUEST, checked=Checked("$argon2id$before", True)), KNOWN, "user_1"),
        (replace(REQUEST, checked=Checked(None, False)), Facts(replace(a_person(), password=None)), "user_1"),
    ],
    ids=["unknown", "disabled", "wrong", "changed meanwhile", "not chosen yet"],
)
def test_whatever_is_wrong_has_one_answer_and_one_record(request_: Request, facts: Facts, about: str) -> None:
    record = CredentialRefused("password", about, "sign_in_refused")
    with refused("access_denied", reason="sign_in_refused", events=(record,)) as caught:
        decide(request_, facts)
    assert caught.value.description == "the user name or the password is wrong"
    assert caught.value.status == 403


def test_the_session_that_the_browser_had_ends_with_it() -> None:
    """T140: nobody who planted a cookie, or knew the old one, is signed in by it."""
    here, elsewhere = a_session(id="here", digest="old"), a_session(id="elsewhere", digest="other")
    decision = decide(replace(REQUEST, before="old"), Facts(a_person(), (here, elsewhere), (here,)))
    assert decision.events[1:] == (SessionEnded(replace(here, ended_at=NOW)),)
    assert decision.reply.session.id not in ("here", "elsewhere")


def test_every_spelling_and_alias_is_counted_as_one_account() -> None:
    spellings = (
        "Ada@Example.com",
        " ada@example.com",
        "ada+news@example.com",
        "ADA+x+y@EXAMPLE.COM",
        "\uff41da@example.com",
    )
    assert {sign_in.attempt(name, "192.0.2.1", "x").account for name in spellings} == {"ada@example.com"}
    assert sign_in.attempt("a+b", "192.0.2.1", "x").account == "a+b"


def test_a_subscriber_has_one_network() -> None:
    def network(address: str) -> str:
        return sign_in.attempt("ada", address, "x").network

    assert network("2001:db8:1:2::1") == network("2001:db8:1:2:ffff::9") == "2001:db8:1:2::/64"
    assert network("2001:db8:1:3::1") != network("2001:db8:1:2::1")
    assert network("192.0.2.1") == network("::ffff:192.0.2.1") == "192.0.2.1"
    assert network("fe80::1%eth0") == "fe80::/64"
    assert network("not:an:address") == "not:an:address"
