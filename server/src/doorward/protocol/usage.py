"""Usage: how often a verifier saw credentials of its api used, of which it asks nobody each time (decision 14b).

POST /usage
authorization: Basic base64(client_id ":" client_secret)

{"usage": [{"kind": "api_key", "id": "key_8sK2...", "count": 41, "last_used_at": 1795559999,
            "secret_id": "7RcE...", "result": "active", "address": "192.0.2.7", "user_agent": "curl/8.5"}]}

The second line may be left out. A count never decides whether a credential is good.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from doorward.protocol import client_authentication
from doorward.protocol.client_authentication import ClientCredentials
from doorward.protocol.decision import Decision
from doorward.protocol.form import Form
from doorward.protocol.moment import Moment
from doorward.protocol.policy import Policy
from doorward.protocol.refusal import InvalidRequest
from doorward.protocol.use import ACTIVE, Used, result
from doorward.protocol.verifier import VerifierFacts

KINDS = ("api_key", "grant")
MEMBERS = {"kind", "id", "count", "last_used_at"}
OPTIONAL = {"secret_id", "result", "address", "user_agent"}
LIMIT = 500
COUNT_LIMIT = 10**9
TIME_LIMIT = 2**53
ID_LIMIT = 100
TEXT_LIMIT = 2_000


@dataclass(frozen=True, slots=True)
class Request:
    credentials: ClientCredentials
    usage: tuple[Used, ...]


@dataclass(frozen=True, slots=True)
class Known:
    """When what was named was made, and whose it is."""

    created_at: int
    account_id: str


@dataclass(frozen=True, slots=True)
class Facts:
    """Of what was named, that which is of the verifier's api, by (kind, id); and the secrets of its keys.

    `superseded_at` has those secrets: (key id, secret id) -> when each was superseded, if it was.
    """

    verifier: VerifierFacts | None
    known: Mapping[tuple[str, str], Known]
    superseded_at: Mapping[tuple[str, str], int | None] = field(default_factory=dict)


def parse(authorization: Sequence[bytes], query: Form, document: Mapping[str, Any]) -> Request:
    credentials = client_authentication.parse(authorization, client_authentication.NO_FORM, query)
    given = document.get("usage")
    if document.keys() != {"usage"} or not isinstance(given, list) or len(given) > LIMIT:
        raise InvalidRequest(f"the body is not an object with a list usage of at most {LIMIT}")
    return Request(credentials, tuple(map(_used, given)))


def _used(given: object) -> Used:
    if not isinstance(given, dict) or not MEMBERS <= given.keys() <= MEMBERS | OPTIONAL:
        raise InvalidRequest("each usage is an object with kind, id, count and last_used_at")
    kind, id_, count, at = given["kind"], given["id"], given["count"], given["last_used_at"]
    if kind not in KINDS or not isinstance(id_, str) or not 1 <= len(id_) <= ID_LIMIT:
        raise InvalidRequest("kind is not api_key or grant, or id is none")
    if type(count) is not int or type(at) is not int or not 1 <= count <= COUNT_LIMIT or not 0 <= at <= TIME_LIMIT:
        raise InvalidRequest("count and last_used_at are not whole numbers, or out of range")
    return Used(
        kind, id_, count, at, result(_text(given, "result", ACTIVE)), secret_id=_text(given, "secret_id"),
        address=_text(given, "address"), user_agent=_text(given, "user_agent"),
    )  # fmt: skip


def _text(given: Mapping[str, object], name: str, absent: str = "") -> str:
    value = given.get(name, absent)
    if not isinstance(value, str) or len(value) > TEXT_LIMIT:
        raise InvalidRequest(f"{name} is not a text of at most {TEXT_LIMIT} characters")
    return value


def decide(request: Request, facts: Facts, policy: Policy, moment: Moment) -> Decision[tuple[Used, ...]]:
    """What is to be added. What is not of the verifier's api is passed over: it may have been deleted."""
    client_authentication.authenticate_verifier(request.credentials, facts.verifier, policy, moment)
    told = Decision(merged(request.usage, facts, moment.now))
    return client_authentication.noticed(told, request.credentials, facts.verifier, policy, moment)


def merged(usage: Iterable[Used], facts: Facts, now: int) -> tuple[Used, ...]:
    """One for each thing; clocks differ, but nothing is used before it was made, nor later than now."""
    found: dict[tuple[str, ...], Used] = {}
    for told in usage:
        known = facts.known.get((told.kind, told.id))
        if known is None:
            continue
        one = _believed(told, known, facts, now)
        name = one.kind, one.id, one.secret_id, one.result
        before = found.get(name)
        found[name] = one if before is None else added(before, one)
    return tuple(found.values())


def _believed(told: Used, known: Known, facts: Facts, now: int) -> Used:
    at = min(max(told.last_used_at, known.created_at), now)
    secret = told.id, told.secret_id
    is_known = told.kind == "api_key" and secret in facts.superseded_at
    superseded_at = facts.superseded_at.get(secret) if is_known else None
    return replace(
        told,
        last_used_at=at,
        account_id=known.account_id,
        secret_id=told.secret_id if is_known else "",
        is_old=superseded_at is not None and at >= superseded_at,
    )


def added(one: Used, other: Used) -> Used:
    """Both together, as the later one was."""
    latest = max(one, other, key=lambda used: used.last_used_at)
    return replace(latest, count=one.count + other.count, is_old=one.is_old or other.is_old)
