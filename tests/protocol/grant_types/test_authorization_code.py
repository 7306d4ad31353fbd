"""Authorization code grant, RFC 6749 §4.1.3 with PKCE: who redeems what, once."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from tests.protocol.allowed import CALLBACK, CODE, VERIFIER, a_code, a_public_app, an_app, granted
from tests.protocol.given import (
    IDENTIFIER,
    NOW,
    POLICY,
    a_form,
    a_grant,
    a_moment,
    a_secret,
    a_user,
    a_user_grant,
    an_account,
    an_api,
    credentials,
    refused,
    scope,
    signing_keys,
)

from doorward.protocol.authorization_events import CodeRedeemed, RefreshTokenIssued
from doorward.protocol.client import ClientFacts
from doorward.protocol.client_authentication import ClientCredentials
from doorward.protocol.decision import Decision
from doorward.protocol.entities import Code
from doorward.protocol.events import AccessTokenIssued, CredentialRefused, GrantRevoked
from doorward.protocol.grant import UserGrantFacts
from doorward.protocol.grant_types import authorization_code
from doorward.protocol.refusal import Refusal
from doorward.protocol.token import TokenResponse

PUBLIC = ClientCredentials("client_1", "", "none")
NOTED = CredentialRefused("code", "grant_u", "grant_invalid")


def redeem(
    code: Code | None = None, of: UserGrantFacts | None = None, *, client: ClientFacts | None = None,
    shown: ClientCredentials | None = None, now: int = NOW, text: str = CODE, **changed: str,
) -> Decision[TokenResponse]:  # fmt: skip
    given = {"code": text, "code_verifier": VERIFIER, "redirect_uri": CALLBACK, **changed}
    request = authorization_code.parse(shown or credentials(), a_form(**{n: v for n, v in given.items() if v}))
    kept = a_code() if code is None else code
    known = kept if kept.digest == request.digest else None
    facts = authorization_code.Facts(client or an_app(), known, of or granted(), signing_keys())
    return authorization_code.decide(request, facts, POLICY, a_moment(now))


def test_a_code_is_redeemed_for_a_token_in_the_users_name() -> None:
    decision = redeem()
    claims = decision.reply.claims
    assert (claims["sub"], claims["client_id"], claims["aud"]) == ("user_1", "client_1", IDENTIFIER)
    assert (claims["scope"], claims["grant_id"]) == ("read", "grant_u")
    assert (claims["auth_time"], claims["acr"], claims["sid"]) == (NOW - 60, "1", "session_1")
    redeemed, token, first = decision.events
    assert redeemed == CodeRedeemed(a_code(redeemed_at=NOW))
    assert isinstance(token, AccessTokenIssued)
    assert isinstance(first, RefreshTokenIssued)
    assert first.refresh_token.grant_id == "grant_u"


def test_the_text_of_the_refresh_token_is_in_the_reply_alone() -> None:
    decision = redeem()
    text = decision.reply.refresh_token
    assert text is not None
    assert text.startswith("dwr_live_")
    assert text not in repr(decision)


def test_without_the_refresh_token_grant_there_is_no_refresh_token() -> None:
    decision = redeem(client=an_app(grant_types=("authorization_code",)))
    assert decision.reply.refresh_token is None
    assert [type(event) for event in decision.events] == [CodeRedeemed, AccessTokenIssued]


def test_a_public_client_redeems_by_its_name_and_the_verifier() -> None:
    assert redeem(client=a_public_app(), shown=PUBLIC).reply.claims["sub"] == "user_1"


@pytest.mark.parametrize("right", [*product((True, False), repeat=4)])
def test_only_the_right_client_address_verifier_and_time_together_redeem(right: tuple[bool, ...]) -> None:
    """T032: one of sixteen. None of the others burns the code."""
    client, address, verifier, time = right
    code = a_code(client_id="client_1" if client else "client_2")
    wrong = {
        "redirect_uri": CALLBACK if address else "https://client.example/other",
        "code_verifier": VERIFIER if verifier else "x" * 43,
    }
    now = NOW if time else code.expires_at
    if all(right):
        assert redeem(code, now=now, **wrong).events
        return
    with pytest.raises(Refusal) as caught:
        redeem(code, now=now, **wrong)
    assert caught.value.error == "invalid_grant"
    assert all(isinstance(event, CredentialRefused) for event in caught.value.events)


@pytest.mark.parametrize("verifier", ["", "x" * 43, VERIFIER[:-1], VERIFIER.lower()])
def test_another_verifier_is_refused_and_noted(verifier: str) -> None:
    """T007, T035."""
    with refused("invalid_grant", reason="pkce_failed", events=(CredentialRefused("code", "grant_u", "pkce_failed"),)):
        redeem(code_verifier=verifier)


@pytest.mark.parametrize("uri", [CALLBACK + "/", CALLBACK + "?", CALLBACK.upper(), "https://evil.example/"])
def test_another_redirect_uri_is_refused(uri: str) -> None:
    """T033; where none is sent none is compared (OAuth 2.1 §4.1.3)."""
    with refused("invalid_grant", events=(NOTED,)):
        redeem(redirect_uri=uri)
    assert redeem(redirect_uri="").events


def test_a_code_that_is_too_old_is_refused() -> None:
    assert redeem(now=a_code().expires_at - 1).events
    with refused("invalid_grant", reason="grant_invalid", events=(NOTED,)):
        redeem(now=a_code().expires_at)


def test_an_unknown_code_is_refused() -> None:
    for code in ("x", CODE[:-1], CODE + "x", "é" * 43):
        with refused("invalid_grant", reason="grant_invalid"):
            redeem(text=code)


class TestSecondUse:
    """T031, decision 5."""

    used = a_code(redeemed_at=NOW - 5)

    def test_it_ends_the_grant(self) -> None:
        over = replace(granted().grant, revoked_at=NOW, version=2)
        note = CredentialRefused("code", "grant_u", "code_replayed")
        with refused("invalid_grant", reason="code_replayed", events=(GrantRevoked(over), note)):
            redeem(self.used)

    def test_it_does_so_whenever_it_comes(self) -> None:
        with refused("invalid_grant", reason="code_replayed", events=self.events(NOW + 86_000)):
            redeem(self.used, now=NOW + 86_000)

    def events(self, now: int) -> tuple[Any, ...]:
        over = replace(granted().grant, revoked_at=now, version=2)
        return GrantRevoked(over), CredentialRefused("code", "grant_u", "code_replayed")

    def test_a_third_use_finds_it_ended(self) -> None:
        ended = granted(grant=a_user_grant(revoked_at=NOW - 1))
        note = CredentialRefused("code", "grant_u", "code_replayed")
        with refused("invalid_grant", reason="code_replayed", events=(note,)):
            redeem(self.used, ended)

    @pytest.mark.parametrize(
        "wrong", [{"code_verifier": "x" * 43}, {"code_verifier": ""}, {"redirect_uri": "https://evil.example/"}]
    )
    def test_an_attempt_with_the_wrong_things_ends_nothing(self, wrong: dict[str, str]) -> None:
        with pytest.raises(Refusal) as caught:
            redeem(self.used, **wrong)
        assert [type(event) for event in caught.value.events] == [CredentialRefused]

    def test_nor_does_a_stranger(self) -> None:
        with refused("invalid_grant", reason="grant_invalid"):
            redeem(replace(self.used, client_id="client_2"))


@pytest.mark.parametrize(
    ("of", "client"),
    [
        (granted(user=a_user(state="disabled")), an_app()),
        (granted(grant=a_user_grant(revoked_at=NOW - 1)), an_app()),
        (granted(grant=a_user_grant(tokens_revoked_at=NOW - 1)), an_app()),
        (granted(session_has_ended=True), an_app()),
        (granted(acts_for_account=False), an_app()),
    ],
)
def test_what_was_ended_meanwhile_is_not_redeemed(of: UserGrantFacts, client: ClientFacts) -> None:
    """T034."""
    note = CredentialRefused("code", "grant_u", "grant_ended")
    with refused("invalid_grant", reason="grant_ended", events=(note,)):
        redeem(of=of, client=client)


def test_what_an_administrator_took_meanwhile_is_not_redeemed() -> None:
    with refused("invalid_grant", reason="grant_ended"):
        redeem(client=an_app(a_grant(allowed="write")))


@pytest.mark.parametrize("fields", [{"state": "disabled"}, {"account": an_account(state="suspended")}])
def test_a_client_that_was_stopped_is_not_authenticated(fields: dict[str, Any]) -> None:
    with pytest.raises(Refusal) as caught:
        redeem(client=an_app(**fields))
    assert caught.value.error == "invalid_client"


def test_the_client_comes_first() -> None:
    with refused("invalid_client"):
        redeem(shown=credentials(text=a_secret("s", seed="wrong")), code_verifier="x" * 43)


def test_the_client_must_be_registered_for_codes() -> None:
    with refused("unauthorized_client"):
        redeem(client=an_app(grant_types=("client_credentials",)))


def test_the_resource_may_be_named_once_more_and_is_no_other() -> None:
    """RFC 8707 §2.2."""
    assert redeem(resource=IDENTIFIER).reply.claims["aud"] == IDENTIFIER
    with refused("invalid_target"):
        redeem(resource="https://other.example.com")


def test_without_an_api_the_issuer_is_the_audience() -> None:
    """Decision 11."""
    app = an_app()
    bare = ClientFacts(app.client, app.account, app.secrets, ())
    of = granted(grant=a_user_grant(api_id=None, scope=scope("openid")), api=None)
    decision = redeem(a_code(api_id=None, scope=scope("openid")), of, client=bare)
    assert decision.reply.claims["aud"] == POLICY.issuer
    with refused("invalid_target"):
        redeem(a_code(api_id=None, scope=scope("openid")), of, client=bare, resource=POLICY.issuer)


def test_the_account_is_the_one_that_the_user_chose() -> None:
    claims = redeem(of=granted(grant=a_user_grant(account_id="other"))).reply.claims
    assert (claims["account"], claims["client_account"]) == ("other", "acme")
    claims = redeem(of=granted(grant=a_user_grant(account_id="acme"))).reply.claims
    assert (claims["account"], "client_account" in claims) == ("acme", False)
    claims = redeem().reply.claims
    assert ("account" in claims, claims["client_account"]) == (False, "acme")


def test_who_may_act_while_the_user_is_away_is_not_tied_to_his_session() -> None:
    lasting = scope("read offline_access")
    of = granted(grant=a_user_grant(scope=lasting), session_has_ended=True)
    assert "sid" not in redeem(a_code(scope=lasting), of).reply.claims


def test_an_opaque_token_says_the_same() -> None:
    api = an_api(token_format="opaque")
    decision = redeem(of=granted(api=api), client=an_app(a_grant(api)))
    token = decision.events[1]
    assert isinstance(token, AccessTokenIssued)
    assert token.opaque_token is not None
    assert token.opaque_token.claims["sub"] == "user_1"


def test_code_and_verifier_are_in_no_repr() -> None:
    request = authorization_code.parse(PUBLIC, a_form(code=CODE, code_verifier=VERIFIER))
    assert CODE not in repr(request)
    assert VERIFIER not in repr(request)


class TestIdToken:
    """OpenID Connect Core §3.1.3.3: with the scope `openid` one comes with the access token."""

    def redeemed(self, allowed: str, **fields: Any) -> TokenResponse:
        of = granted(grant=a_user_grant(scope=scope(allowed), auth_time=NOW - 60, acr="1"))
        return redeem(a_code(scope=scope(allowed), **fields), of).reply

    def test_it_is_about_who_allowed_it_and_has_the_requests_nonce(self) -> None:
        made = self.redeemed("read openid", nonce="n-0S6_WzA2Mj").id_token
        assert made is not None
        assert (made.claims["sub"], made.claims["aud"], made.claims["nonce"]) == ("user_1", "client_1", "n-0S6_WzA2Mj")

    def test_it_tells_the_session_whoever_may_act_while_the_user_is_away(self) -> None:
        made = self.redeemed("openid offline_access read").id_token
        assert made is not None
        assert made.claims["sid"] == "session_1"

    def test_without_the_scope_there_is_none(self) -> None:
        assert self.redeemed("read", nonce="n").id_token is None
