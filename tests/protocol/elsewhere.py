"""Logins elsewhere, for the rules that are tested on them: upstreams, what they tell, and who comes from there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

from joserfc import jwt as outside
from joserfc.jwk import ECKey, RSAKey
from tests.protocol.given import EARLIER, NOW, POLICY, a_person

from doorward.protocol import interaction, upstream_sign_in
from doorward.protocol.first_sign_in import Person
from doorward.protocol.people import Membership
from doorward.protocol.policy import Policy
from doorward.protocol.upstream import Identity, Told, Upstream, UpstreamSignIn
from doorward.protocol.upstream_sign_in import Expected
from doorward.protocol.user import UserFacts
from doorward_verify import jwt

ACME = Upstream("acme", "Acme", "https://login.acme.example", client_id="doorward", email_domains=("acme.example",))
PAGE = "https://shop.example/sign-in"
COOKIE = "u" * 43
STATE = "upstream_1"
SUBJECT = "00u1a2b3"
NONCE = upstream_sign_in.nonce(COOKIE, STATE)
ADA = Told(SUBJECT, "ada@acme.example", True, "Ada Lovelace", "ada.lovelace")


@cache
def a_key_pair(kid: str = "acme_1", algorithm: str = "ES256") -> ECKey | RSAKey:
    """Of a library that is not ours, as providers have them."""
    about = {"kid": kid, "alg": algorithm, "use": "sig"}
    return ECKey.generate_key("P-256", about) if algorithm == "ES256" else RSAKey.generate_key(2048, about)


def published(*pairs: ECKey | RSAKey) -> jwt.Keys:
    """As a JWKS document has them."""
    return jwt.keys_from_jwks({"keys": [pair.as_dict(private=False) for pair in pairs or (a_key_pair(),)]})


def signed(claims: Mapping[str, Any], pair: ECKey | RSAKey | None = None, **header: Any) -> str:
    key = pair or a_key_pair()
    members = {"alg": key.alg, "kid": key.kid, "typ": "JWT", **header}
    return outside.encode({name: one for name, one in members.items() if one is not None}, dict(claims), key)


def an_upstream(**fields: Any) -> Upstream:
    return replace(ACME, **fields)


def a_page(**fields: Any) -> Upstream:
    """A sign-in page of the company's own."""
    made = Upstream("shop", "Shop", "https://shop.example", page=PAGE, keys=published(a_key_pair("shop_1")))
    return replace(made, email_domains=("acme.example",), **fields)


def with_upstreams(*upstreams: Upstream) -> Policy:
    return replace(POLICY, upstreams={one.name: one for one in upstreams or (ACME,)})


def an_expected(upstream: Upstream = ACME, **fields: Any) -> Expected:
    made = Expected(upstream, "authorization_1", NONCE, upstream_sign_in.verifier(COOKIE, STATE), NOW - 30, None)
    return replace(made, **fields)


def a_sign_in(**fields: Any) -> UpstreamSignIn:
    made = UpstreamSignIn(
        STATE, "acme", interaction.digest(COOKIE), "authorization_1", "192.0.2.1", None, NOW - 30, NOW + 600
    )
    return replace(made, **fields)


def an_identity(**fields: Any) -> Identity:
    made = Identity("identity_1", "user_1", ACME.issuer, SUBJECT, "ada@acme.example", EARLIER)
    return replace(made, **fields)


def an_invitation(**fields: Any) -> Identity:
    given = {"id": "identity_2", "subject": None, "expires_at": NOW + 600, **fields}
    return an_identity(**given)


def somebody(*identities: Identity, memberships: tuple[Membership, ...] = (), **fields: Any) -> Person:
    """A user with a password, and the logins that he has."""
    return Person(a_person(*memberships, **{"email": "ada@acme.example", **fields}), identities)


def without_password(person: Person) -> Person:
    return replace(person, user=UserFacts(person.user.user, None, person.user.memberships))
