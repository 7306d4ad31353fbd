"""Of whom a client wants to hear: `id_token_hint` and `claims` in a request (OpenID Connect Core §3.1.2.2).

Threat T020.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.protocol.allowed import (
    CALLBACK,
    COOKIE,
    a_waiting_request,
    an_app,
    an_authorization,
    granted,
    known,
    signed_in,
)
from tests.protocol.given import (
    NOW,
    POLICY,
    a_moment,
    a_signer,
    a_user,
    a_user_grant,
    an_access_token,
    refused,
    scope,
    signing_keys,
)
from tests.protocol.test_authorization import ASKED

from doorward.protocol import id_token, interaction
from doorward.protocol.authorization import Authorization, parameters
from doorward.protocol.authorization_events import AuthorizationDenied, AuthorizationRequested, CodeIssued
from doorward.protocol.decision import Decision
from doorward.protocol.entities import AuthorizationRequest
from doorward.protocol.interaction import Answered, Browser, Facts, Known, Page, Request, Resumed, WaitingFacts
from doorward.protocol.refusal import Destination
from doorward_verify import jwt

TO = Destination(CALLBACK, "query", "af0ifjsldkj")
HERE = Browser("a session's digest", COOKIE, "192.0.2.1")
KEYS = jwt.keys_from_jwks({"keys": [dict(key.public_jwk) for key in signing_keys()]})
NAMED = '{"id_token": {"sub": {"value": "%s"}}}'
ADA, BOB = signed_in(), replace(signed_in(), user=a_user(id="user_2", username="Bob"))


def hint(user_id: str = "user_1", client_id: str = "client_1", **changed: Any) -> str:
    of = granted(user=a_user(id=user_id), grant=a_user_grant(user_id=user_id, auth_time=NOW - 60))
    made = id_token.issue(an_app(id=client_id).client, of, scope("openid"), None, signing_keys(), POLICY, a_moment())
    assert made is not None
    return a_signer().id_token({**made.claims, **changed}, made.signing_key)


def begin(facts: Known, keys: jwt.Keys = KEYS, **changed: str) -> Decision[Any]:
    asked = parameters({**ASKED, "scope": "read", **changed}.items())
    return interaction.begin(Request(asked, HERE), Facts(facts, keys=keys), POLICY, a_moment())


def here(session: Any = ADA) -> Known:
    return known(None, session, a_user_grant(account_id="acme"))


def waits(decision: Decision[Any]) -> Authorization:
    (event,) = decision.events
    assert isinstance(event, AuthorizationRequested)
    assert isinstance(decision.reply, Page)
    assert decision.reply.path == "/login"
    return Authorization.of(event.request.asked)


def is_a_code(decision: Decision[Any]) -> bool:
    (event,) = decision.events
    return isinstance(event, CodeIssued)


def a_request_for(subject: str, **more: Any) -> AuthorizationRequest:
    return a_waiting_request(an_authorization(subjects=frozenset({subject}), **more))


def resume(facts: Known, row: AuthorizationRequest) -> Decision[Any]:
    return interaction.resume(Resumed(row.id, HERE), WaitingFacts(row, facts), POLICY, a_moment())


by_hint_or_claim = pytest.mark.parametrize(
    "named", [lambda one: {"id_token_hint": hint(one)}, lambda one: {"claims": NAMED % one}], ids=["hint", "claim"]
)


@by_hint_or_claim
class TestBegin:
    def test_who_is_meant_and_signed_in_gets_a_code(self, named: Any) -> None:
        assert is_a_code(begin(here(), **named("user_1")))
        assert is_a_code(begin(here(), prompt="none", **named("user_1")))

    def test_another_has_to_sign_in_anew(self, named: Any) -> None:
        assert waits(begin(here(), **named("user_2"))).subjects == {"user_2"}

    def test_without_a_page_another_is_no_answer(self, named: Any) -> None:
        with refused("login_required") as caught:
            begin(here(), prompt="none", **named("user_2"))
        assert caught.value.goes_to == TO

    def test_who_is_meant_is_not_forgotten_while_he_signs_in(self, named: Any) -> None:
        assert waits(begin(known(), **named("user_1"))).subjects == {"user_1"}


def test_a_hint_may_have_expired() -> None:
    """§3.1.2.1: the sign-in that it tells of may be long ago."""
    assert is_a_code(begin(here(), id_token_hint=hint(exp=1, iat=0)))


@pytest.mark.parametrize(
    "text",
    [
        "x", "a.b.c", an_access_token()[0], hint(client_id="client_2"), hint(iss="https://evil.example"),
        hint()[:-2], hint().rpartition(".")[0] + ".", hint(sub=None),
    ],
)  # fmt: skip
def test_what_is_no_id_token_of_this_client_is_no_hint(text: str) -> None:
    """T020: alg none, another's key, another's token."""
    for prompt in ("", "none"):
        with refused("invalid_request", reason="id_token_hint_invalid") as caught:
            begin(here(), id_token_hint=text, prompt=prompt)
        assert caught.value.goes_to == TO


def test_a_key_that_was_withdrawn_speaks_for_nobody() -> None:
    with refused("invalid_request", reason="id_token_hint_invalid"):
        begin(here(), {}, id_token_hint=hint())


def test_a_hint_cannot_turn_what_is_wrong_before_it_into_a_redirect() -> None:
    with refused("invalid_request", reason="redirect_uri_unregistered") as caught:
        begin(here(), id_token_hint="x", redirect_uri="https://evil.example/")
    assert caught.value.goes_to is None


def test_two_who_are_meant_at_once_are_nobody() -> None:
    with refused("invalid_request") as caught:
        begin(here(), id_token_hint=hint("user_1"), claims=NAMED % "user_2")
    assert caught.value.goes_to == TO
    both = '{"id_token": {"sub": {"values": ["user_1", "user_2"]}}}'
    assert is_a_code(begin(here(), id_token_hint=hint("user_1"), claims=both))
    assert waits(begin(here(), id_token_hint=hint("user_2"), claims=both)).subjects == {"user_2"}


class TestAfterSigningIn:
    def test_who_was_meant_goes_on(self) -> None:
        assert is_a_code(resume(here(ADA), a_request_for("user_1")))

    def test_another_ends_the_request(self) -> None:
        """§3.1.2.2: the client MUST NOT get a token for a different user."""
        row = a_request_for("user_1")
        with refused("access_denied", reason="user_other", events=(AuthorizationDenied(row, "user_2"),)) as caught:
            resume(here(BOB), row)
        assert caught.value.goes_to == TO

    def test_nor_can_he_allow_it(self) -> None:
        row = a_request_for("user_1")
        request = Answered(Resumed(row.id, HERE), allows=True, scope=scope("read"))
        with refused("access_denied", reason="user_other", events=(AuthorizationDenied(row, "user_2"),)):
            interaction.answer(request, WaitingFacts(row, here(BOB)), POLICY, a_moment())

    def test_the_session_that_was_anothers_is_not_enough(self) -> None:
        row = replace(a_request_for("user_1"), session_id="session_1")
        assert resume(here(BOB), row).reply == Page("/login", row.id)


class TestAcr:
    """§5.5.1.1: a session that is weaker than an essential acr."""

    strong = '{"id_token": {"acr": {"essential": true, "value": "1"}}}'
    weak = replace(signed_in(), session=replace(signed_in().session, acr="0"))

    def test_a_session_that_is_strong_enough_is_enough(self) -> None:
        assert is_a_code(begin(here(), claims=self.strong))

    def test_a_weaker_one_has_to_be_replaced(self) -> None:
        assert waits(begin(here(self.weak), claims=self.strong)).claims

    def test_signing_in_weakly_has_failed(self) -> None:
        asked = {"id_token": {"acr": {"essential": True, "value": "1"}}}
        row = a_waiting_request(an_authorization(claims=asked))
        over = (AuthorizationDenied(row, "user_1"),)
        with refused("unmet_authentication_requirements", reason="authentication_unmet", events=over) as caught:
            resume(here(self.weak), row)
        assert caught.value.goes_to == TO
