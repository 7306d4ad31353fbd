"""What the rules are tested on: small values that say only what matters, a moment without chance, and `refused`."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cache
from hashlib import shake_256
from itertools import count
from typing import Any
from urllib.parse import quote_plus

import pytest

from doorward.protocol import secret, token
from doorward.protocol.admin import Asked, Caller, Nothing
from doorward.protocol.admin_key import AdminKeyFacts
from doorward.protocol.client import ClientFacts, GrantFacts
from doorward.protocol.client_authentication import ClientCredentials
from doorward.protocol.credential import ApiKeyFacts, TokenFacts
from doorward.protocol.decision import Decision
from doorward.protocol.entities import Account, AdminKey, Api, ApiKey, Client, Grant, Leak, SigningKey, Verifier
from doorward.protocol.events import Event
from doorward.protocol.form import Form
from doorward.protocol.moment import Moment, Position
from doorward.protocol.people import LogoutDelivery, Membership, Password, Session, User
from doorward.protocol.policy import DAY, Policy
from doorward.protocol.reasons import REASONS
from doorward.protocol.refusal import Refusal
from doorward.protocol.secret import Pepper, Secret
from doorward.protocol.token import TokenResponse
from doorward.protocol.user import UserFacts
from doorward.protocol.verifier import VerifierFacts
from doorward.sign import Keyring, Signer
from doorward_verify import api_key, jwt
from doorward_verify.scope import Scope

NOW = 1_800_000_000
EARLIER = NOW - DAY
POSITION = Position(2, 41)
PEPPER = Pepper({1: b"1" * 32, 2: b"2" * 32}, 2)
POLICY = Policy("https://auth.example.com", PEPPER)
IDENTIFIER = "https://api.example.com"


def chance(seed: object = 0) -> Callable[[int], bytes]:
    """Bytes that look random and are the same in every run."""
    drawn = count()
    return lambda length: shake_256(f"{seed}/{next(drawn)}".encode()).digest(length)


def a_moment(now: int = NOW, seed: object = 0) -> Moment:
    return Moment(now, chance(seed), POSITION)


def a_secret(kind: str = "", environment: str = "live", seed: object = "secret") -> str:
    """The text that a holder has."""
    text, _ = secret.mint(kind, environment, "", brand="dw", pepper=PEPPER, moment=a_moment(seed=f"{seed}{kind}"))
    return text


def kept(text: str, owner_id: str, **fields: Any) -> Secret:
    """What we keep of a text."""
    found = api_key.parse(text)
    mac = PEPPER.mac(api_key.digest(text))
    return replace(Secret(found.id, found.kind, found.environment, owner_id, mac, 2, EARLIER), **fields)


KEY = a_secret()
CLIENT_SECRET = a_secret("s")
ADMIN_KEY = a_secret("a")
VERIFIER_SECRET = a_secret("s", seed="verifier")
REFRESH_TOKEN = a_secret("r")


def scope(text: str) -> Scope:
    return frozenset(text.split())


def an_api(**fields: Any) -> Api:
    scopes = {"read": "Read your invoices", "write": "Change your invoices"}
    return replace(Api("api_1", IDENTIFIER, "invoices", scopes, "jwt", 300, "ES256", {}, EARLIER, EARLIER), **fields)


def another_api(**fields: Any) -> Api:
    return an_api(**{"id": "api_2", "identifier": "https://other.example.com", "name": "other", **fields})


def an_account(**fields: Any) -> Account:
    return replace(Account("acme", "Acme Inc", "active", {}, EARLIER, EARLIER), **fields)


def an_api_key(**fields: Any) -> ApiKey:
    made = ApiKey(
        "key_1", "acme", "api_1", "Acme Inc", "live", scope("read"), "active", NOW + DAY, {}, EARLIER, EARLIER
    )
    return replace(made, **fields)


def a_key(text: str = KEY, *, account: Account | None = None, api: Api | None = None, **fields: Any) -> ApiKeyFacts:
    """An api key with all that it hangs on."""
    return ApiKeyFacts(an_api_key(**fields), kept(text, "key_1"), account or an_account(), api or an_api())


def a_grant(api: Api | None = None, allowed: str = "read write", **fields: Any) -> GrantFacts:
    resource = api or an_api()
    grant = Grant(f"grant_{resource.id}", "client_1", resource.id, scope(allowed), EARLIER)
    return GrantFacts(replace(grant, **fields), resource)


def a_client(
    *grants: GrantFacts,
    account: Account | None = None,
    secrets: tuple[Secret, ...] | None = None,
    **fields: Any,
) -> ClientFacts:
    """A client with all that decides what it may do; without other grants, one for the api."""
    client = Client("client_1", "acme", "worker", ("client_credentials",), None, "active", {}, EARLIER, EARLIER)
    made = replace(client, **fields)
    known = (kept(CLIENT_SECRET, made.id),) if secrets is None else secrets
    return ClientFacts(made, account or an_account(), known, grants or (a_grant(),))


def another_client() -> ClientFacts:
    return a_client(id="client_2")


def a_verifier(api: Api | None = None, **fields: Any) -> VerifierFacts:
    resource = api or an_api()
    made = replace(Verifier("verifier_1", resource.id, "billing", "active", EARLIER), **fields)
    return VerifierFacts(made, resource, (kept(VERIFIER_SECRET, made.id),))


def an_admin_key(text: str = ADMIN_KEY, allowed: str = "admin", **fields: Any) -> AdminKeyFacts:
    key = AdminKey("admin_1", "ci", scope(allowed), "setup", (), "active", NOW + DAY, EARLIER)
    return AdminKeyFacts(replace(key, **fields), kept(text, "admin_1"))


def a_user(**fields: Any) -> User:
    made = User(
        "user_1", "Ada", "ada", "ada@example.com", True, "Ada Lovelace", "active", "member", {}, EARLIER, EARLIER
    )
    return replace(made, **fields)


def a_password(phc: str = "$argon2id$kept", **fields: Any) -> Password:
    return replace(Password("user_1", phc, EARLIER), **fields)


def a_membership(**fields: Any) -> Membership:
    return replace(Membership("membership_1", "user_1", "acme", "developer", EARLIER), **fields)


def a_person(*memberships: Membership, password: Password | None = None, **fields: Any) -> UserFacts:
    """A user who has chosen a password, with all that he belongs to."""
    return UserFacts(a_user(**fields), password or a_password(), memberships)


def a_session(**fields: Any) -> Session:
    made = Session(
        "session_1", "a digest", "user_1", NOW - 60, ("pwd",), "1", NOW - 60, NOW + DAY, "Firefox/140", "192.0.2.1"
    )
    return replace(made, **fields)


def a_logout_delivery(**fields: Any) -> LogoutDelivery:
    return replace(LogoutDelivery("session_1", "client_1", "user_1", NOW, NOW), **fields)


def a_leak(**fields: Any) -> Leak:
    id_ = api_key.parse(KEY).id
    made = Leak(f"leak_{id_}", "api_key", id_, "key_1", "acme", "revoked", "github", ("a fork",), EARLIER, EARLIER)
    return replace(made, **fields)


def a_user_grant(**fields: Any) -> Grant:
    grant = Grant("grant_u", "client_1", "api_1", scope("read"), EARLIER)
    return replace(grant, **{"user_id": "user_1", "session_id": "session_1", **fields})


def an_administrator(allowed: str = "admin") -> Caller:
    return Caller("admin_1", scope(allowed))


def asked(body: Any = None, allowed: str = "admin", **fields: Any) -> Asked[Any]:
    """An admin request by someone who may do everything, unless said otherwise."""
    return replace(Asked(Nothing() if body is None else body, an_administrator(allowed)), **fields)


def a_form(**fields: str) -> Form:
    return Form({name: (value,) for name, value in fields.items()})


def basic(client_id: str, client_secret: str) -> bytes:
    """The value of an Authorization header, RFC 6749 §2.3.1."""
    pair = f"{quote_plus(client_id)}:{quote_plus(client_secret)}"
    return b"Basic " + base64.b64encode(pair.encode())


def credentials(
    client_id: str = "client_1", text: str = CLIENT_SECRET, method: str = "client_secret_basic"
) -> ClientCredentials:
    return ClientCredentials(client_id, text, method)


@cache
def a_signer() -> Signer:
    return Signer(Keyring.of(b"m" * 32))


@cache
def a_signing_key(kid: str = "signing_1", algorithm: str = "ES256") -> SigningKey:
    return a_signer().generate(kid, algorithm, EARLIER)


def signing_keys() -> tuple[SigningKey, ...]:
    """One that is active for each algorithm, as there are as a rule."""
    return a_signing_key(), a_signing_key("signing_rsa", "RS256")


@cache
def published() -> jwt.Keys:
    return jwt.keys_from_jwks({"keys": [dict(a_signing_key().public_jwk)]})


def an_access_token(
    token_format: str = "jwt", client: ClientFacts | None = None, now: int = NOW, seed: object = "token"
) -> tuple[str, TokenFacts]:
    """An access token for the client's first grant, as it was issued, and what it hangs on."""
    facts = client or a_client()
    first = facts.grants[0]
    granted = replace(first, api=replace(first.api, token_format=token_format))
    terms = token.settle(facts, granted, granted.grant.scope, (a_signing_key(),), POLICY)
    decision = token.issue(terms, a_moment(now, seed))
    (event,) = decision.events
    row = getattr(event, "opaque_token", None)
    known = TokenFacts(decision.reply.stamp.jti, False, granted.grant, facts.client, facts.account, granted.api, row)
    return text_of(decision), known


def text_of(decision: Decision[TokenResponse]) -> str:
    reply = decision.reply
    return reply.token or a_signer().jwt(reply.claims, reply.stamp, reply.signing_key or a_signing_key())


class Counted(dict[int, bytes]):
    """Peppers that count how often one was fetched: once for each MAC that is made to compare."""

    fetched = 0

    def get(self, key: int, default: Any = None) -> Any:
        self.fetched += 1
        return super().get(key, default)


def work_of(decide: Callable[..., object], *given: object) -> int:
    """How many MACs a decision makes, whether it refuses or not."""
    peppers = Counted(PEPPER.versions)
    with suppress(Refusal):
        decide(*given, replace(POLICY, pepper=Pepper(peppers, PEPPER.current)), a_moment())
    return peppers.fetched


@contextmanager
def refused(
    error: str, *, reason: str | None = None, events: tuple[Event, ...] = (), fields: Mapping[str, str] | None = None
) -> Iterator[pytest.ExceptionInfo[Refusal]]:
    """The answer is no, with this code on the wire, and exactly these events are still to be committed."""
    with pytest.raises(Refusal) as caught:
        yield caught
    refusal = caught.value
    assert (refusal.error, refusal.events) == (error, events)
    assert REASONS[refusal.reason].sentence
    assert reason is None or refusal.reason == reason
    assert fields is None or dict(refusal.fields) == fields
    assert str(refusal) == refusal.description
