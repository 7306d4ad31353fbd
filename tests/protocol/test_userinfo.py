"""The userinfo endpoint, OpenID Connect Core §5.3: which token opens it, and what it tells."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.protocol.allowed import an_app, granted
from tests.protocol.given import (
    ADMIN_KEY,
    CLIENT_SECRET,
    EARLIER,
    KEY,
    NOW,
    POLICY,
    REFRESH_TOKEN,
    a_form,
    a_moment,
    a_signer,
    a_user,
    a_user_grant,
    an_access_token,
    an_account,
    an_api,
    published,
    refused,
    scope,
    signing_keys,
    text_of,
)

from doorward.protocol import id_token, userinfo
from doorward.protocol.credential import TokenFacts
from doorward.protocol.decision import Decision
from doorward.protocol.events import CredentialRefused
from doorward.protocol.grant_types import refresh_token
from doorward.protocol.refusal import Refusal
from doorward.protocol.userinfo import Facts, parse

EVERYTHING = "openid profile email address phone"
ADA = a_user(profile={"given_name": "Ada", "phone_number": "+44 20 7946 0000"})
MALFORMED = b"Bearer \xff\xfe"


def shown(
    allowed: str = "openid", token_format: str = "jwt", *, now: int = NOW, first_party: bool = False, **asked: Any
) -> tuple[str, TokenFacts]:
    """An access token of a user's grant, and what it hangs on."""
    api = an_api(token_format=token_format)
    of = granted(api=api, user=ADA, grant=a_user_grant(scope=scope(allowed), auth_time=NOW - 60, claims=asked))
    app = an_app(first_party=first_party)
    made = refresh_token.issue(app, of, scope(allowed), signing_keys(), POLICY, a_moment(now), None)
    (event,) = made.events
    jti, opaque = made.reply.stamp.jti, getattr(event, "opaque_token", None)
    return text_of(made), TokenFacts(jti, False, of.grant, app.client, app.account, api, opaque, user=ADA)


def ask(token: tuple[str, TokenFacts | None], now: int = NOW) -> Decision[Any]:
    text, facts = token
    request = parse([b"Bearer " + text.encode()], a_form(), a_form(), "dw")
    return userinfo.decide(request, Facts(facts, published()), POLICY, a_moment(now))


def refusal(*given: Any, **more: Any) -> Refusal:
    with pytest.raises(Refusal) as caught:
        parse(*given, **more)
    return caught.value


each_format = pytest.mark.parametrize("token_format", ["jwt", "opaque"])


# How a token is sent (RFC 6750 §2)


def test_it_is_sent_in_the_header_or_in_the_body() -> None:
    text, _ = shown()
    in_header = parse([b"Bearer " + text.encode()], a_form(), a_form(), "dw")
    assert in_header == parse([], a_form(access_token=text), a_form(), "dw")
    assert in_header == parse([b"bEARER  " + text.encode()], a_form(), a_form(), "dw")


def test_it_is_sent_once() -> None:
    for given in (([b"Bearer x"], a_form(access_token="x")), ([b"Bearer x", b"Bearer x"], a_form())):
        found = refusal(*given, a_form(), "dw")
        assert (found.error, found.reason) == ("invalid_request", "several_credentials")


def test_it_is_never_sent_in_the_url() -> None:
    """OAuth 2.1 §5.1: logs keep it."""
    for headers in ([], [b"Bearer x"]):
        found = refusal(headers, a_form(), a_form(access_token="x"), "dw")
        assert (found.error, found.reason) == ("invalid_request", "secret_in_query")


@pytest.mark.parametrize("headers", [[], [b"Basic eDp5"], [b"DPoP x"], [b""]])
def test_nothing_else_is_a_token(headers: list[bytes]) -> None:
    found = refusal(headers, a_form(), a_form(), "dw")
    assert (found.status, found.reason) == (401, "credential_missing")


# What it tells


@each_format
def test_who_the_user_is_and_nothing_else(token_format: str) -> None:
    """§5.3.2: the sub Claim MUST always be returned."""
    assert ask(shown("openid read", token_format)) == Decision({"sub": "user_1"})


@each_format
def test_what_the_scopes_tell(token_format: str) -> None:
    assert ask(shown(EVERYTHING, token_format)).reply == {
        "sub": "user_1", "name": "Ada Lovelace", "preferred_username": "Ada", "given_name": "Ada",
        "updated_at": EARLIER, "email": "ada@example.com", "email_verified": True, "phone_number": "+44 20 7946 0000",
    }  # fmt: skip


def test_what_is_asked_for_by_name_needs_its_scope_or_our_own_client() -> None:
    named = {"userinfo": {"email": {"essential": True}}, "id_token": {"phone_number": None}}
    assert ask(shown(**named)).reply == {"sub": "user_1"}
    assert ask(shown(first_party=True, **named)).reply == {"sub": "user_1", "email": "ada@example.com"}


def test_a_token_of_less_scope_tells_less() -> None:
    """What was granted later or before does not matter: the token that is shown does."""
    text, facts = shown("openid")
    wide = replace(facts, grant=replace(facts.grant, scope=scope(EVERYTHING)))
    assert ask((text, wide)).reply == {"sub": "user_1"}


# Whom it refuses


@each_format
def test_without_the_scope_openid_it_tells_nothing(token_format: str) -> None:
    with refused("insufficient_scope", fields={"scope": "openid"}):
        ask(shown("profile email read", token_format))


def test_who_acts_for_himself_is_no_user() -> None:
    with refused("insufficient_scope"):
        ask(an_access_token())


ENDS: dict[str, tuple[dict[str, Any], str]] = {
    "the token was revoked": ({"revoked": True}, "credential_revoked"),
    "the grant was revoked": ({"grant": a_user_grant(revoked_at=NOW - 1)}, "credential_revoked"),
    "the grant's tokens were revoked": ({"grant": a_user_grant(tokens_revoked_at=NOW - 1)}, "credential_revoked"),
    "the user is disabled": ({"user": replace(ADA, state="disabled")}, "user_disabled"),
    "the client is disabled": ({"client": an_app(state="disabled").client}, "client_disabled"),
    "the account is suspended": ({"account": an_account(state="suspended")}, "account_suspended"),
    "something that it hangs on was ended": ({"cut_off": 1_000}, "credential_revoked"),
}


@each_format
@pytest.mark.parametrize(("fields", "reason"), ENDS.values(), ids=ENDS)
def test_what_has_ended_is_refused_and_noted(token_format: str, fields: dict[str, Any], reason: str) -> None:
    text, facts = shown(EVERYTHING, token_format)
    note = CredentialRefused(token_format, facts.jti, reason)
    with refused("invalid_token", reason=reason, events=(note,)):
        ask((text, replace(facts, **fields)))


def test_an_opaque_token_that_is_too_old_is_refused_and_noted() -> None:
    text, facts = shown(token_format="opaque")
    with refused(
        "invalid_token",
        reason="credential_expired",
        events=(CredentialRefused("opaque", facts.jti, "credential_expired"),),
    ):
        ask((text, facts), NOW + 300)


def test_a_jwt_that_is_too_old_is_refused() -> None:
    with refused("invalid_token"):
        ask(shown(), NOW + 310)


def test_t076_an_id_token_opens_nothing() -> None:
    _, facts = shown()
    of = granted(grant=a_user_grant(scope=scope("openid")))
    made = id_token.issue(an_app().client, of, scope("openid"), None, signing_keys(), POLICY, a_moment())
    assert made is not None
    with refused("invalid_token", reason="credential_unknown"):
        ask((a_signer().id_token(made.claims, made.signing_key), facts))


@pytest.mark.parametrize("text", [KEY, REFRESH_TOKEN, CLIENT_SECRET, ADMIN_KEY, "x", "", "a.b.c", "…"])
def test_nothing_else_opens_it(text: str) -> None:
    with refused("invalid_token", reason="credential_unknown"):
        ask((text, None))


def test_every_refusal_of_a_stranger_is_the_same() -> None:
    """T070, decision 19: what was wrong with it is for the log."""
    text, _ = shown()
    said = set()
    for wrong in (text[:-2], text + "x", "a.b.c", an_access_token()[0]):
        with pytest.raises(Refusal) as caught:
            ask((wrong, None))
        said.add((caught.value.description, caught.value.reason, caught.value.status))
    assert len(said) == 1


def test_no_token_is_in_a_repr_of_what_is_not_ascii() -> None:
    assert parse([MALFORMED], a_form(), a_form(), "dw").about.kind == "unknown"
