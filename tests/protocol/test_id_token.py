"""ID tokens, OpenID Connect Core §2: what they say, to whom, and which of them are taken back as a hint."""

from __future__ import annotations

import base64
import hashlib
import json
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from tests.protocol.allowed import an_app, granted
from tests.protocol.given import (
    IDENTIFIER,
    NOW,
    POLICY,
    a_moment,
    a_signer,
    a_signing_key,
    a_user_grant,
    an_access_token,
    scope,
    signing_keys,
)

from doorward.protocol import id_token
from doorward.protocol.client import ClientFacts
from doorward.protocol.entities import SigningKey
from doorward.protocol.grant import UserGrantFacts
from doorward.protocol.id_token import Hint
from doorward.protocol.refusal import TemporarilyUnavailable
from doorward.protocol.token import IdToken
from doorward.sign import Keyring, Signer
from doorward_verify import access_token, jwt
from doorward_verify.errors import DoorwardError

KEYS = jwt.keys_from_jwks({"keys": [dict(key.public_jwk) for key in signing_keys()]})
OF = replace(granted(), amr=("pwd",))


def issue(
    allowed: str = "openid", of: UserGrantFacts = OF, *, client: ClientFacts | None = None, nonce: str | None = "n-0S6",
    keys: tuple[SigningKey, ...] | None = None,
) -> IdToken | None:  # fmt: skip
    asks = (client or an_app()).client
    held = signing_keys() if keys is None else keys
    return id_token.issue(asks, of, scope(allowed), nonce, held, POLICY, a_moment())


def issued(*given: Any, **more: Any) -> IdToken:
    made = issue(*given, **more)
    assert made is not None
    return made


def signed(made: IdToken | None = None, **changed: Any) -> str:
    known = made or issued()
    claims = {name: value for name, value in {**known.claims, **changed}.items() if value is not None}
    return a_signer().id_token(claims, known.signing_key)


# What is said


def test_it_says_who_signed_in_when_and_how() -> None:
    assert issued().claims == {
        "iss": POLICY.issuer, "sub": "user_1", "aud": "client_1", "exp": NOW + 300, "iat": NOW, "auth_time": NOW - 60,
        "acr": "1", "amr": ["pwd"], "nonce": "n-0S6", "sid": "session_1",
    }  # fmt: skip


def test_without_the_scope_openid_there_is_none() -> None:
    assert issue("profile email read") is None


def test_what_is_not_known_is_left_out() -> None:
    claims = issued(of=granted(grant=a_user_grant()), nonce=None).claims
    assert claims.keys() == {"iss", "sub", "aud", "exp", "iat", "sid"}


def test_the_access_token_that_it_comes_with_is_bound_to_it() -> None:
    """§3.1.3.6: the left half of the SHA-256 of its ASCII octets."""
    text, _ = an_access_token()
    half = hashlib.sha256(text.encode()).digest()[:16]
    expected = base64.urlsafe_b64encode(half).rstrip(b"=").decode()
    assert id_token.bound(issued(), text) == {**issued().claims, "at_hash": expected}


def test_the_hash_of_the_specifications_example() -> None:
    """Core, appendix A.3."""
    text = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y"
    assert id_token.at_hash(text) == "77QmUPtjPfzWtF2AnpK9RQ"


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
def test_it_is_signed_as_the_client_wants_it(algorithm: str) -> None:
    made = issued(client=an_app(id_token_signed_response_alg=algorithm))
    assert (made.signing_key.algorithm, made.signing_key.state) == (algorithm, "active")
    header = jwt.parse(signed(made)).header
    assert header == {"typ": "JWT", "alg": algorithm, "kid": made.signing_key.id}


def test_it_is_signed_by_rs256_unless_the_client_says_otherwise() -> None:
    """§2: the default of id_token_signed_response_alg."""
    assert issued().signing_key.algorithm == "RS256"


def test_no_other_algorithm_signs_where_the_key_for_one_is_missing() -> None:
    with pytest.raises(TemporarilyUnavailable):
        issue(keys=(a_signing_key(),))


def test_scopes_ask_for_userinfo_and_names_ask_here() -> None:
    """§5.4: with a code, what a scope asks for is told at the userinfo endpoint."""
    everything = "openid profile email address phone"
    assert issued(everything).claims.keys() == issued().claims.keys()
    named = granted(grant=a_user_grant(claims={"id_token": {"email": None}, "userinfo": {"name": None}}))
    claims = issued(everything, named).claims
    assert claims["email"] == "ada@example.com"
    assert "name" not in claims
    assert "email" not in issued("openid", named).claims
    assert "email" in issued("openid", named, client=an_app(first_party=True)).claims


def test_no_claim_of_the_user_stands_in_for_one_of_ours() -> None:
    named = {"id_token": {"iss": {"value": "x"}, "aud": None, "sub": {"value": "user_1"}, "nonce": {"value": "x"}}}
    assert issued(of=granted(grant=a_user_grant(claims=named))).claims["iss"] == POLICY.issuer


# What is taken back (T020)


def test_a_hint_is_read_whatever_its_age() -> None:
    for made in (issued(), issued(client=an_app(id_token_signed_response_alg="ES256"))):
        assert id_token.read(signed(made), KEYS, POLICY.issuer) == Hint("user_1", "client_1", "session_1")
        assert id_token.read(signed(made, exp=1, iat=0), KEYS, POLICY.issuer).subject == "user_1"


def test_a_retired_key_is_a_key_while_it_is_published() -> None:
    without = {kid: key for kid, key in KEYS.items() if kid != "signing_rsa"}
    with pytest.raises(DoorwardError):
        id_token.read(signed(), without, POLICY.issuer)


def none_of_ours() -> dict[str, str]:
    header, payload, signature = signed().split(".")

    def encoded(members: dict[str, Any]) -> str:
        return jwt.b64url_encode(json.dumps(members).encode())

    text, _ = an_access_token()
    stranger = Signer(Keyring.of(b"x" * 32))
    other = stranger.generate("signing_rsa", "RS256", NOW)
    members = dict(jwt.parse(signed()).header)
    return {
        "unsigned": f"{encoded({'alg': 'none', 'typ': 'JWT'})}.{payload}.",
        "unsigned with a key": f"{encoded({**members, 'alg': 'none'})}.{payload}.{signature}",
        "of another type": f"{encoded({**members, 'typ': 'at+jwt'})}.{payload}.{signature}",
        "of another algorithm": f"{encoded({**members, 'alg': 'HS256'})}.{payload}.{signature}",
        "of another's key": stranger.id_token(issued().claims, other),
        "changed": f"{header}.{encoded({**issued().claims, 'sub': 'user_2'})}.{signature}",
        "of another issuer": signed(iss="https://evil.example"),
        "without a subject": signed(sub=None),
        "without an audience": signed(aud=None),
        "of many audiences": signed(aud=["client_1"]),
        "without a session": signed(sid=None),
        "an access token": text,
        "a logout token": a_signer()._whole("logout+jwt", issued().claims, issued().signing_key),
        "no token": "x",
        "empty": "..",
    }


def is_hint(text: str) -> bool:
    with suppress(DoorwardError):
        return bool(id_token.read(text, KEYS, POLICY.issuer))
    return False


def test_nothing_else_is_a_hint() -> None:
    assert is_hint(signed())
    assert [kind for kind, text in none_of_ours().items() if is_hint(text)] == []


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
def test_t076_no_service_takes_an_id_token_for_an_access_token(algorithm: str) -> None:
    """Not even one that says the same as an access token."""
    made = issued(client=an_app(id_token_signed_response_alg=algorithm))
    alike = signed(made, aud=IDENTIFIER, client_id="client_1", jti="j", grant_id="grant_u", scope="read")
    for audience in (IDENTIFIER, "client_1", POLICY.issuer):
        with pytest.raises(DoorwardError):
            access_token.verify(alike, KEYS, issuer=POLICY.issuer, audience=audience, now=NOW)
