"""Usage: how often a verifier saw credentials of its api used, of which it asks nobody each time (decision 14b).

POST /usage
authorization: Basic base64(client_id ":" client_secret)

{"usage": [{"kind": "api_key", "id": "key_8sK2...", "count": 41, "last_used_at": 1795559999}]}

A count never decides whether a credential is good.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from doorward.protocol import client_authentication
from doorward.protocol.client_authentication import ClientCredentials
from doorward.protocol.decision import Decision
from doorward.protocol.form import Form
from doorward.protocol.moment import Moment
from doorward.protocol.policy import Policy
from doorward.protocol.refusal import InvalidRequest
from doorward.protocol.verifier import VerifierFacts

KINDS = ("api_key", "grant")
MEMBERS = {"kind", "id", "count", "last_used_at"}
LIMIT = 500
COUNT_LIMIT = 10**9
TIME_LIMIT = 2**53
ID_LIMIT = 100


@dataclass(frozen=True, slots=True)
class Used:
    """`id` is that of an api key, or of the grant behind a token."""

    kind: str
    id: str
    count: int
    last_used_at: int


@dataclass(frozen=True, slots=True)
class Request:
    credentials: ClientCredentials
    usage: tuple[Used, ...]


@dataclass(frozen=True, slots=True)
class Facts:
    """`created_at` has, of what was named, those that are of the verifier's api: (kind, id) -> when each was made."""

    verifier: VerifierFacts | None
    created_at: Mapping[tuple[str, str], int]


def parse(authorization: Sequence[bytes], query: Form, document: Mapping[str, Any]) -> Request:
    credentials = client_authentication.parse(authorization, client_authentication.NO_FORM, query)
    given = document.get("usage")
    if document.keys() != {"usage"} or not isinstance(given, list) or len(given) > LIMIT:
        raise InvalidRequest(f"the body is not an object with a list usage of at most {LIMIT}")
    return Request(credentials, tuple(map(_used, given)))


def _used(given: object) -> Used:
    if not isinstance(given, dict) or given.keys() != MEMBERS:
        raise InvalidRequest("each usage is an object with kind, id, count and last_used_at")
    kind, id_, count, at = given["kind"], given["id"], given["count"], given["last_used_at"]
    if kind not in KINDS or not isinstance(id_, str) or not 1 <= len(id_) <= ID_LIMIT:
        raise InvalidRequest("kind is not api_key or grant, or id is none")
    if type(count) is not int or type(at) is not int or not 1 <= count <= COUNT_LIMIT or not 0 <= at <= TIME_LIMIT:
        raise InvalidRequest("count and last_used_at are not whole numbers, or out of range")
    return Used(kind, id_, count, at)


def decide(request: Request, facts: Facts, policy: Policy, moment: Moment) -> Decision[tuple[Used, ...]]:
    """What is to be added. What is not of the verifier's api is passed over: it may have been deleted."""
    client_authentication.authenticate_verifier(request.credentials, facts.verifier, policy, moment)
    return Decision(tuple(merged(request.usage, facts.created_at, moment.now)))


def merged(usage: Iterable[Used], created_at: Mapping[tuple[str, str], int], now: int) -> Iterable[Used]:
    """One for each thing; clocks differ, but nothing is used before it was made, nor later than now."""
    found: dict[tuple[str, str], Used] = {}
    for one in usage:
        name = one.kind, one.id
        if name in created_at:
            at = min(max(one.last_used_at, created_at[name]), now)
            before = found.get(name, Used(*name, 0, at))
            found[name] = Used(*name, before.count + one.count, max(before.last_used_at, at))
    return found.values()
