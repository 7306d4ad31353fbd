"""The userinfo endpoint, OpenID Connect Core §5.3: what a client may know of the user whose access token it shows.

GET  /oauth/userinfo            Authorization: Bearer ...
POST /oauth/userinfo            the same, or access_token=... (RFC 6750 §2.2)

{"sub": "user_8sK2...", "name": "Ada Lovelace", "email": "ada@example.com", "email_verified": true}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from doorward.protocol import claims, credential
from doorward.protocol.credential import Presented, TokenFacts, Verdict
from doorward.protocol.decision import Decision
from doorward.protocol.entities import JSON
from doorward.protocol.events import CredentialRefused
from doorward.protocol.form import Form
from doorward.protocol.moment import Moment
from doorward.protocol.policy import Policy
from doorward.protocol.refusal import InsufficientScope, InvalidRequest, InvalidToken
from doorward_verify import jwt

PARAMETER = "access_token"
NEEDED = "openid"
REFUSED = "the access token is unknown or has ended"


@dataclass(frozen=True, slots=True)
class Request:
    about: Presented


@dataclass(frozen=True, slots=True)
class Facts:
    token: TokenFacts | None
    keys: jwt.Keys = field(default_factory=dict)


def parse(authorization: Sequence[bytes], form: Form, query: Form, brand: str) -> Request:
    """Raises InvalidToken without a token, InvalidRequest for several of them or for one in the URL."""
    if query.get(PARAMETER) is not None:
        raise InvalidRequest("a token was sent in the url", reason="secret_in_query")
    in_body = form.get(PARAMETER)
    if len(authorization) > 1 or (authorization and in_body is not None):
        raise InvalidRequest("more than one credential was sent", reason="several_credentials")
    text = _bearer(authorization[0]) if authorization else in_body
    if text is None:
        raise InvalidToken("no access token was sent", reason="credential_missing")
    return Request(credential.presented(text, brand))


def _bearer(header: bytes) -> str | None:
    """The token of the one scheme that there is here; of what is not ASCII none is left."""
    scheme, _, text = header.partition(b" ")
    return text.decode("ascii", "replace").strip(" ") if scheme.lower() == b"bearer" else None


def decide(request: Request, facts: Facts, policy: Policy, moment: Moment) -> Decision[Mapping[str, JSON]]:
    """Whatever its audience (decision 11), an access token with the scope `openid` opens it while it lives."""
    verdict = _verdict(request.about, facts, policy, moment)
    if not verdict.active:
        raise _refused(verdict)
    assert facts.token is not None, "an active token has its facts"
    scope = frozenset(str((verdict.claims or {}).get("scope")).split())
    user, client = facts.token.user, facts.token.client
    if user is None or NEEDED not in scope:
        raise InsufficientScope("the access token has not the scope openid", fields=(("scope", NEEDED),))
    named = claims.by_name(user, facts.token.grant.claims, claims.USERINFO, client, scope)
    return Decision({"sub": user.id, **claims.by_scope(user, scope), **named})


def _verdict(about: Presented, facts: Facts, policy: Policy, moment: Moment) -> Verdict:
    if about.kind == "jwt":
        return credential.check_jwt(about.jwt, facts.token, facts.keys, policy, moment)
    return credential.check_opaque(about.digest, facts.token, policy, moment)


def _refused(verdict: Verdict) -> InvalidToken:
    """Only who showed a token that there is learns why it was in vain (decision 19)."""
    if not verdict.exists:
        return InvalidToken(REFUSED, detail=verdict.reason or "")
    record = CredentialRefused(verdict.kind, verdict.id, verdict.reason or "")
    return InvalidToken(REFUSED, reason=verdict.reason, events=(record,))
