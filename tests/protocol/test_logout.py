"""RP-initiated logout: who is signed out at once, who is asked, and where nobody is sent (T020, T144, T151)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.protocol.allowed import an_app, granted, signed_in
from tests.protocol.given import (
    NOW,
    POLICY,
    a_moment,
    a_session,
    a_signer,
    a_user,
    a_user_grant,
    an_access_token,
    an_account,
    refused,
    scope,
    signing_keys,
)

from doorward.protocol import id_token, logout
from doorward.protocol.authorization import parameters
from doorward.protocol.client import ClientFacts
from doorward.protocol.decision import Decision
from doorward.protocol.logout import Done, Facts, Question, Request
from doorward.protocol.people import Session
from doorward.protocol.people_events import SessionEnded
from doorward.protocol.session import SessionFacts
from doorward_verify import jwt

BYE = "https://client.example/bye"
KEYS = jwt.keys_from_jwks({"keys": [dict(key.public_jwk) for key in signing_keys()]})
APP = an_app(post_logout_redirect_uris=(BYE, f"{BYE}?lang=en"))
ADA = signed_in()
BYE_TO_ADA = (SessionEnded(replace(ADA.session, ended_at=NOW)),)


def hint(session_id: str = "session_1", user_id: str = "user_1", client_id: str = "client_1") -> str:
    of = granted(user=a_user(id=user_id), grant=a_user_grant(user_id=user_id, session_id=session_id, auth_time=NOW))
    made = id_token.issue(an_app(id=client_id).client, of, scope("openid"), None, signing_keys(), POLICY, a_moment())
    assert made is not None
    return a_signer().id_token(made.claims, made.signing_key)


def decide(
    *pairs: tuple[str, str], client: ClientFacts | None = APP, session: SessionFacts | None = ADA,
    answered: bool = False, keys: jwt.Keys = KEYS, now: int = NOW, **asked: str,
) -> Decision[Done | Question]:  # fmt: skip
    request = Request(parameters((*pairs, *asked.items())), "a digest", answered)
    return logout.decide(request, Facts(client, session, keys), POLICY, a_moment(now))


def is_asked(decision: Decision[Any]) -> bool:
    return isinstance(decision.reply, Question) and decision.events == ()


class TestWhoComesWithAnIdToken:
    def test_of_this_session_is_signed_out_at_once_and_goes_on(self) -> None:
        decision = decide(id_token_hint=hint(), post_logout_redirect_uri=BYE, state="af0")
        assert decision == Decision(Done(BYE, "af0"), BYE_TO_ADA)

    def test_that_is_long_expired_is_signed_out_too(self) -> None:
        later = NOW + 20 * 3600
        session = signed_in(expires_at=later + 60)
        decision = decide(id_token_hint=hint(), session=replace(session, last_seen_at=later), now=later)
        assert [type(event) for event in decision.events] == [SessionEnded]

    def test_without_an_address_stays_here(self) -> None:
        assert decide(id_token_hint=hint(), state="af0") == Decision(Done(), BYE_TO_ADA)

    def test_may_name_the_client_beside_it(self) -> None:
        assert decide(id_token_hint=hint(), client_id="client_1").events == BYE_TO_ADA

    def test_of_a_client_that_is_gone_is_signed_out_and_stays_here(self) -> None:
        assert decide(id_token_hint=hint(), client=None) == Decision(Done(), BYE_TO_ADA)

    @pytest.mark.parametrize("other", [hint(session_id="session_0"), hint(user_id="user_2")], ids=["session", "user"])
    def test_of_another_session_is_asked(self, other: str) -> None:
        asked = decide(id_token_hint=other, post_logout_redirect_uri=BYE)
        assert is_asked(asked)
        said = decide(id_token_hint=other, post_logout_redirect_uri=BYE, answered=True)
        assert said == Decision(Done(BYE), BYE_TO_ADA)

    def test_and_is_signed_out_already_goes_on(self) -> None:
        assert decide(id_token_hint=hint(), post_logout_redirect_uri=BYE, session=None) == Decision(Done(BYE), ())
        ended = replace(ADA, session=a_session(ended_at=NOW - 5))
        assert decide(id_token_hint=hint(), post_logout_redirect_uri=BYE, session=ended) == Decision(Done(BYE), ())

    def test_of_a_session_that_was_idle_for_too_long_ends_it_for_its_clients(self) -> None:
        idle: Session = a_session(created_at=0)
        decision = decide(id_token_hint=hint(), session=SessionFacts(idle, a_user(), (), 0))
        assert decision.events == (SessionEnded(replace(idle, ended_at=NOW)),)

    def test_of_somebody_else_ends_no_idle_session(self) -> None:
        idle = SessionFacts(a_session(created_at=0), a_user(), (), 0)
        assert decide(id_token_hint=hint("session_9"), session=idle).events == ()


class TestWhoComesWithout:
    def test_is_asked_and_nothing_has_happened_by_then(self) -> None:
        assert decide() == Decision(Question("Ada"), ())

    def test_is_told_where_he_would_go_on(self) -> None:
        kept = {"client_id": "client_1", "post_logout_redirect_uri": BYE, "state": "af0"}
        assert decide(**kept) == Decision(Question("Ada", "Books", BYE, kept), ())

    def test_goes_on_once_he_said_yes(self) -> None:
        said = decide(client_id="client_1", post_logout_redirect_uri=BYE, state="af0", answered=True)
        assert said == Decision(Done(BYE, "af0"), BYE_TO_ADA)

    def test_and_without_a_session_goes_nowhere(self) -> None:
        """Or a link to here would be a link to anywhere, with nobody asked."""
        assert decide(client_id="client_1", post_logout_redirect_uri=BYE, session=None) == Decision(Done(), ())

    def test_a_second_yes_is_no_error(self) -> None:
        assert decide(session=None, answered=True) == Decision(Done(), ())

    def test_what_is_empty_is_absent(self) -> None:
        assert is_asked(decide(id_token_hint="", client_id="", post_logout_redirect_uri="", state=""))


def forged() -> str:
    """Signed by somebody else, under the name of our key."""
    header, payload, _ = hint().split(".")
    return f"{header}.{payload}.{jwt.b64url_encode(b'x' * 256)}"


def unsigned() -> str:
    _, payload, _ = hint().split(".")
    header = jwt.b64url_encode(b'{"alg":"none","typ":"JWT"}')
    return f"{header}.{payload}."


@pytest.mark.parametrize(
    "text",
    [forged(), unsigned(), unsigned() + "AA", "x", "a.b.c", hint() + "x", an_access_token()[0]],
    ids=["forged", "alg none", "alg none with bytes", "no jwt", "no jws", "cut", "access token"],
)
@pytest.mark.parametrize("answered", [False, True], ids=["", "answered"])
def test_an_id_token_that_is_none_of_ours_ends_nothing(text: str, answered: bool) -> None:
    with refused("invalid_request", reason="id_token_hint_invalid"):
        decide(id_token_hint=text, post_logout_redirect_uri=BYE, client_id="client_1", answered=answered)


def test_an_id_token_whose_key_is_gone_ends_nothing() -> None:
    with refused("invalid_request", reason="id_token_hint_invalid"):
        decide(id_token_hint=hint(), keys={})


def test_an_id_token_of_another_client_than_the_one_that_is_named_ends_nothing() -> None:
    with refused("invalid_request", reason="id_token_hint_invalid"):
        decide(id_token_hint=hint(client_id="client_2"), client_id="client_1", post_logout_redirect_uri=BYE)


NOWHERE = (
    "https://client.example/bye/", "https://client.example/bye?foo=bar", "https://client.example/BYE",
    "https://client.example/bye#", "https://client.example/", "https://evil.example/bye", "//client.example/bye",
    "https://client.example/bye%20", "https://client.example:443/bye", "http://client.example/bye", "/account",
    "javascript:alert(1)", "https://client.example/bye@evil.example", "https://client.example/callback", "*",
)  # fmt: skip


@pytest.mark.parametrize("uri", NOWHERE)
@pytest.mark.parametrize("answered", [False, True], ids=["", "answered"])
def test_nobody_is_sent_to_an_address_that_is_not_registered(uri: str, answered: bool) -> None:
    with refused("invalid_request", reason="post_logout_uri_unregistered"):
        decide(id_token_hint=hint(), post_logout_redirect_uri=uri, answered=answered)


@pytest.mark.parametrize(
    "client",
    [None, an_app(post_logout_redirect_uris=(BYE,), state="disabled"),
     an_app(post_logout_redirect_uris=(BYE,), account=an_account(state="suspended"))],
    ids=["nobody named it", "disabled", "suspended"],
)  # fmt: skip
def test_the_address_of_a_client_that_is_not_active_leads_nowhere(client: ClientFacts | None) -> None:
    with refused("invalid_request", reason="post_logout_uri_unregistered"):
        decide(post_logout_redirect_uri=BYE, client=client, answered=True)


@pytest.mark.parametrize("client", [None, an_app(state="disabled")], ids=["unknown", "disabled"])
def test_unknown_and_disabled_clients_are_one_answer(client: ClientFacts | None) -> None:
    with refused("invalid_request", reason="client_unknown"):
        decide(client_id="client_1", client=client)


@pytest.mark.parametrize("name", ["id_token_hint", "client_id", "post_logout_redirect_uri", "state", "ui_locales"])
def test_a_parameter_that_is_repeated_is_nobodys_to_choose(name: str) -> None:
    with refused("invalid_request", reason="request_malformed"):
        decide((name, "a"), (name, "b"))


def test_a_long_state_is_refused_and_never_cut() -> None:
    assert decide(id_token_hint=hint(), post_logout_redirect_uri=BYE, state="é" * 1024).reply == Done(BYE, "é" * 1024)
    with refused("invalid_request", reason="request_malformed"):
        decide(id_token_hint=hint(), post_logout_redirect_uri=BYE, state="é" * 1024 + "x")


def test_what_nobody_knows_is_ignored() -> None:
    assert decide(id_token_hint=hint(), logout_hint="bob", ui_locales="de", other="x").events == BYE_TO_ADA


def test_the_client_is_named_by_itself_or_by_its_id_token() -> None:
    def named(**asked: str) -> str | None:
        return logout.client_named(parameters(asked.items()), KEYS, POLICY.issuer)

    assert named(client_id="client_7", id_token_hint=hint()) == "client_7"
    assert named(id_token_hint=hint(client_id="client_3")) == "client_3"
    assert named(id_token_hint=unsigned()) is None
    assert named() is None
