"""A key ends itself: whoever has it may, without an admin key, and with it can do nothing else here (T166).

POST /v1/keys/self/revoke
Authorization: Bearer dw_live_...            or X-API-Key
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from doorward.protocol import credential
from doorward.protocol.credential import ApiKeyFacts, Presented
from doorward.protocol.decision import Decision
from doorward.protocol.events import ApiKeyRevoked, CredentialRefused
from doorward.protocol.leak_events import DecoyTried
from doorward.protocol.moment import Moment
from doorward.protocol.policy import Policy
from doorward.protocol.refusal import InvalidRequest, InvalidToken

REFUSED = "the api key is unknown or ended"
# A key that is not good for the time being could be good again.
ENDABLE = (None, "credential_inactive", "account_suspended", "legacy_closed")


@dataclass(frozen=True, slots=True)
class Request:
    about: Presented


@dataclass(frozen=True, slots=True)
class RevokedObject:
    id: str
    revoked_at: int


def parse(authorization: Sequence[bytes], api_key: Sequence[bytes], brand: str) -> Request:
    if len(authorization) + len(api_key) > 1:
        raise InvalidRequest("more than one credential was sent", reason="several_credentials")
    if not authorization and not api_key:
        raise InvalidToken("an api key is needed", reason="credential_missing")
    text = api_key[0] if api_key else _bearer(authorization[0])
    about = credential.presented(text.decode("ascii", "replace"), brand)
    if about.kind not in ("api_key", "legacy"):
        raise InvalidToken(REFUSED, reason="credential_malformed")
    return Request(about)


def _bearer(header: bytes) -> bytes:
    scheme, _, text = header.partition(b" ")
    if scheme.lower() != b"bearer":
        raise InvalidToken("an api key is needed", reason="credential_missing")
    return text.strip(b" ")


def revoke(request: Request, facts: ApiKeyFacts | None, policy: Policy, moment: Moment) -> Decision[RevokedObject]:
    verdict = credential.check_api_key(request.about.digest, facts, policy, moment)
    if facts is None or not verdict.exists:
        raise InvalidToken(REFUSED, reason="credential_unknown")
    key = facts.api_key
    if verdict.reason == "decoy":
        # To whoever tries it, it is none.
        raise InvalidToken(REFUSED, reason="credential_unknown", events=(DecoyTried(key),))
    if verdict.reason not in ENDABLE:
        refused = CredentialRefused("api_key", key.id, verdict.reason or "")
        raise InvalidToken(REFUSED, reason=verdict.reason, events=(refused,))
    ended = replace(key, state="revoked", revoked_at=moment.now, updated_at=moment.now, version=key.version + 1)
    return Decision(RevokedObject(key.id, moment.now), (ApiKeyRevoked(ended),))
