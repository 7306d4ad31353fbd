"""Keys that were seen in a URL or a browser: verifiers tell of them on the way that usage goes, once each.

POST /usage
authorization: Basic base64(client_id ":" client_secret)

{"usage": [], "seen": [{"id": "key_8sK2...", "where": "url", "seen_at": 1795559999}]}
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from doorward.protocol import client_authentication
from doorward.protocol.client_authentication import ClientCredentials
from doorward.protocol.decision import Decision
from doorward.protocol.entities import ApiKey
from doorward.protocol.exposure_events import ApiKeySeen
from doorward.protocol.form import Form
from doorward.protocol.moment import Moment
from doorward.protocol.policy import Policy
from doorward.protocol.refusal import InvalidRequest
from doorward.protocol.usage import ID_LIMIT, LIMIT, TIME_LIMIT
from doorward.protocol.verifier import VerifierFacts
from doorward_verify.arrival import BROWSER, URL

MEMBERS = {"id", "where", "seen_at"}


@dataclass(frozen=True, slots=True)
class Seen:
    id: str
    where: str
    seen_at: int


@dataclass(frozen=True, slots=True)
class Request:
    credentials: ClientCredentials
    seen: tuple[Seen, ...]


@dataclass(frozen=True, slots=True)
class Facts:
    """Of the keys that were named, those of the verifier's api."""

    verifier: VerifierFacts | None
    api_keys: Mapping[str, ApiKey]


def parse(authorization: Sequence[bytes], query: Form, given: object) -> Request:
    credentials = client_authentication.parse(authorization, client_authentication.NO_FORM, query)
    if not isinstance(given, list) or len(given) > LIMIT:
        raise InvalidRequest(f"seen is not a list of at most {LIMIT}")
    return Request(credentials, tuple(map(_seen, given)))


def _seen(given: object) -> Seen:
    if not isinstance(given, dict) or given.keys() != MEMBERS:
        raise InvalidRequest("each of those seen is an object with id, where and seen_at")
    id_, where, at = given["id"], given["where"], given["seen_at"]
    if where not in (URL, BROWSER) or not isinstance(id_, str) or not 1 <= len(id_) <= ID_LIMIT:
        raise InvalidRequest("where is not url or browser, or id is none")
    if type(at) is not int or not 0 <= at <= TIME_LIMIT:
        raise InvalidRequest("seen_at is not a whole number, or out of range")
    return Seen(id_, where, at)


def decide(request: Request, facts: Facts, policy: Policy, moment: Moment) -> Decision[None]:
    """What is not of the verifier's api is passed over: it may have been deleted."""
    client_authentication.authenticate_verifier(request.credentials, facts.verifier, policy, moment)
    first: dict[tuple[str, str], ApiKeySeen] = {}
    for one in request.seen:
        for event in flagged(facts.api_keys.get(one.id), (one.where,), min(one.seen_at, moment.now)):
            first.setdefault((one.id, one.where), event)
    noted: Decision[None] = Decision(None, tuple(first.values()))
    return client_authentication.noticed(noted, request.credentials, facts.verifier, policy, moment)


def flagged(key: ApiKey | None, where: Iterable[str], seen_at: int) -> tuple[ApiKeySeen, ...]:
    """Once for each key and place: what is known already is not told again, with however many requests it comes."""
    if key is None:
        return ()
    known = {URL: key.seen_in_url_at, BROWSER: key.seen_in_browser_at}
    return tuple(ApiKeySeen(key, one, max(seen_at, key.created_at)) for one in where if known[one] is None)
