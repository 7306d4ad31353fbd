"""Every request to /v1: who asks is settled first, then what he may, then whether it was answered before.

Authorization: Bearer dwa_live_...
Idempotency-Key: 5f3c...
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from doorward.protocol import admin_key
from doorward.protocol.admin import Asked, Caller, permitted
from doorward.protocol.admin_key import AdminKeyFacts
from doorward.protocol.decision import Decision
from doorward.protocol.moment import Moment
from doorward.protocol.policy import Policy
from doorward.protocol.refusal import InvalidRequest, InvalidToken, Unprocessable
from doorward_verify import api_key

Body = TypeVar("Body")


@dataclass(frozen=True, slots=True)
class Presented:
    """An admin key as it was shown, and the address that showed it; the text itself goes no further."""

    secret_id: str
    digest: bytes = field(repr=False)
    address: str = ""


@dataclass(frozen=True, slots=True)
class Answered:
    """A reply that was kept under the request's idempotency key, for the request with this digest."""

    request: str
    reply: bytes = field(repr=False)
    expires_at: int


@dataclass(frozen=True, slots=True)
class Request(Generic[Body]):
    """`who` is an admin key, or the caller himself on the local data directory (decision 20)."""

    who: Presented | Caller
    asked: Asked[Body]
    digest: str = ""
    idempotency_key: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """`decided_on` are the facts of the route's own decision."""

    admin_key: AdminKeyFacts | None
    answered: Answered | None
    decided_on: Any


Decide = Callable[[Any, Any, Policy, Moment], Decision[Any]]


def presented(authorization: list[bytes], address: str, brand: str) -> Presented:
    """Raises InvalidToken when there is no admin key (without an error code in the challenge), or a malformed one."""
    if len(authorization) > 1:
        raise InvalidRequest("the authorization header is repeated", reason="several_credentials")
    scheme, _, text = authorization[0].partition(b" ") if authorization else (b"", b"", b"")
    if scheme.lower() != b"bearer":
        raise InvalidToken("an admin key is needed", reason="credential_missing")
    try:
        plain = api_key.strip_uri_scheme(text.decode("ascii"))
        found = api_key.parse(plain, brand)
    except (UnicodeDecodeError, api_key.MalformedCredential):
        raise InvalidToken("the admin key is unknown or ended", reason="credential_malformed") from None
    if found.kind != "a":
        raise InvalidToken("the admin key is unknown or ended", reason="credential_unknown")
    return Presented(found.id, api_key.digest(plain), address)


def identify(who: Presented | Caller, facts: AdminKeyFacts | None, policy: Policy, moment: Moment) -> Caller:
    if isinstance(who, Caller):
        return who
    return admin_key.authenticate(who.digest, who.address, facts, policy, moment)


def admit(
    scope: str, who: Presented | Caller, facts: AdminKeyFacts | None, policy: Policy, moment: Moment
) -> Decision[Caller]:
    """Who it is, if he may: for reads, and before the body of a change is looked at."""
    caller = identify(who, facts, policy, moment)
    permitted(caller, scope)
    return Decision(caller)


def decide(
    scope: str, within: Decide, request: Request[Any], facts: Facts, policy: Policy, moment: Moment
) -> Decision[Any]:
    """The route's own decision, or the reply that was given before under the same idempotency key (decision 18)."""
    caller = admit(scope, request.who, facts.admin_key, policy, moment).reply
    if facts.answered is None or moment.now >= facts.answered.expires_at:
        asked = request.asked
        return within(Asked(asked.body, caller, asked.id, asked.if_match), facts.decided_on, policy, moment)
    if facts.answered.request != request.digest:
        raise Unprocessable("the idempotency key was used with another request", reason="idempotency_mismatch")
    return Decision(facts.answered)
