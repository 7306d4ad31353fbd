"""Token revocation, RFC 7009: a client ends its own token; unknown and foreign ones get the same answer (T102)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.protocol.given import (
    CLIENT_SECRET,
    EARLIER,
    KEY,
    NOW,
    POLICY,
    REFRESH_TOKEN,
    a_client,
    a_form,
    a_moment,
    a_secret,
    an_access_token,
    an_account,
    another_client,
    basic,
    published,
    refused,
)

from doorward.protocol import revocation
from doorward.protocol.client import ClientFacts
from doorward.protocol.credential import TokenFacts
from doorward.protocol.decision import Decision
from doorward.protocol.events import CredentialRefused, TokenRevoked
from doorward.protocol.form import Form
from doorward.protocol.revocation import Facts

NOTHING_CHANGES: Decision[None] = Decision(None)
TOKENS = {token_format: an_access_token(token_format) for token_format in ("jwt", "opaque")}
each_token = pytest.mark.parametrize(("text", "facts"), TOKENS.values(), ids=TOKENS)


def revoke(
    text: str,
    about: TokenFacts | None,
    client: ClientFacts | None = None,
    authorization: bytes = basic("client_1", CLIENT_SECRET),
    **more: str,
) -> Decision[None]:
    request = revocation.parse([authorization], a_form(token=text, **more), Form({}), "dw")
    facts = Facts(client or a_client(), about, published())
    return revocation.decide(request, facts, POLICY, a_moment())


@each_token
def test_a_client_ends_its_own_token_and_that_token_only(text: str, facts: TokenFacts) -> None:
    ended = TokenRevoked(facts.jti, NOW + 300, facts.opaque is not None, facts.api.id)
    assert revoke(text, facts) == Decision(None, (ended,))


@each_token
def test_a_hint_changes_nothing(text: str, facts: TokenFacts) -> None:
    for hint in ("access_token", "refresh_token", "pineapple"):
        assert revoke(text, facts, token_type_hint=hint) == revoke(text, facts)


@each_token
def test_ending_a_token_twice_is_fine_and_changes_nothing(text: str, facts: TokenFacts) -> None:
    assert revoke(text, replace(facts, revoked=True)) == NOTHING_CHANGES


@each_token
def test_a_token_that_ended_with_its_grant_stays_as_it_is(text: str, facts: TokenFacts) -> None:
    assert revoke(text, replace(facts, grant=replace(facts.grant, revoked_at=EARLIER))) == NOTHING_CHANGES


@each_token
def test_a_foreign_token_is_answered_like_an_unknown_one_and_left_alone(text: str, facts: TokenFacts) -> None:
    other = another_client()
    assert revoke(text, facts, other, basic("client_2", CLIENT_SECRET)) == NOTHING_CHANGES
    assert revoke(text, None) == NOTHING_CHANGES


@pytest.mark.parametrize("text", ["x", "a.b.c", KEY, REFRESH_TOKEN, a_secret("o", seed="never issued")])
def test_an_unknown_token_is_no_error(text: str) -> None:
    assert revoke(text, None) == NOTHING_CHANGES


@each_token
def test_a_token_is_ended_by_its_full_text_alone(text: str, facts: TokenFacts) -> None:
    for wrong in (text[:-1], text[:-2] + "00", text + "0", text.swapcase()):
        assert revoke(wrong, facts) == NOTHING_CHANGES


@pytest.mark.parametrize("authorization", [basic("client_1", "wrong"), basic("client_1", "")])
def test_a_client_must_authenticate(authorization: bytes) -> None:
    text, facts = TOKENS["jwt"]
    with refused("invalid_client"):
        revoke(text, facts, authorization=authorization)


@pytest.mark.parametrize(
    ("client", "reason"),
    [
        (a_client(state="disabled"), "client_disabled"),
        (a_client(account=an_account(state="suspended")), "account_suspended"),
    ],
)
def test_a_disabled_client_is_refused(client: ClientFacts, reason: str) -> None:
    text, facts = TOKENS["opaque"]
    with refused("invalid_client", reason=reason, events=(CredentialRefused("client", "client_1", reason),)):
        revoke(text, facts, client)


def test_the_token_is_required() -> None:
    for form in (Form({}), a_form(token_type_hint="access_token")):
        with refused("invalid_request", reason="request_malformed"):
            revocation.parse([basic("client_1", CLIENT_SECRET)], form, Form({}), "dw")


def test_a_token_in_the_url_is_refused() -> None:
    with refused("invalid_request", reason="secret_in_query"):
        revocation.parse([basic("client_1", CLIENT_SECRET)], a_form(token="x"), a_form(token="x"), "dw")


@each_token
def test_the_event_names_the_token_and_never_carries_it(text: str, facts: TokenFacts) -> None:
    decision: Any = revoke(text, facts)
    assert text not in repr(decision)
    assert text.rpartition(".")[2] not in repr(decision)
