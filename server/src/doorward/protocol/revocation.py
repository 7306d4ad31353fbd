"""Token revocation, RFC 7009: a client ends its own token; unknown and foreign ones get the same 200.

POST /oauth/revoke
token=...&token_type_hint=access_token

Of a user's access or refresh token the pair ends, with all that came of the same authorization (decision 9, T060).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from doorward.protocol import client_authentication, credential
from doorward.protocol.authorization_events import GrantTokensRevoked
from doorward.protocol.client import ClientFacts
from doorward.protocol.client_authentication import ClientCredentials
from doorward.protocol.credential import Presented, RefreshTokenFacts, TokenFacts, Verdict
from doorward.protocol.decision import Decision
from doorward.protocol.events import TokenRevoked
from doorward.protocol.form import Form
from doorward.protocol.moment import Moment
from doorward.protocol.policy import Policy
from doorward_verify import jwt


@dataclass(frozen=True, slots=True)
class Request:
    credentials: ClientCredentials
    about: Presented


@dataclass(frozen=True, slots=True)
class Facts:
    client: ClientFacts | None
    about: TokenFacts | RefreshTokenFacts | None
    keys: jwt.Keys = field(default_factory=dict)


def parse(authorization: Sequence[bytes], form: Form, query: Form, brand: str) -> Request:
    credentials = client_authentication.parse(authorization, form, query)
    return Request(credentials, credential.presented(form.required("token"), brand))


def decide(request: Request, facts: Facts, policy: Policy, moment: Moment) -> Decision[None]:
    client = client_authentication.authenticate(request.credentials, facts.client, policy, moment)
    verdict = check(request.about, facts.about, facts.keys, policy, moment)
    if not verdict.exists or verdict.client_id != client.id:
        # §2.2: an unknown token is not an error, and a foreign one is none of his business.
        return client_authentication.noticed(Decision(None), request.credentials, facts.client, policy, moment)
    decision: Decision[None] = Decision(None, ended(verdict, facts.about, moment))
    return client_authentication.noticed(decision, request.credentials, facts.client, policy, moment)


def check(
    about: Presented, facts: TokenFacts | RefreshTokenFacts | None, keys: jwt.Keys, policy: Policy, moment: Moment
) -> Verdict:
    if about.kind == "refresh_token":
        known = facts if isinstance(facts, RefreshTokenFacts) else None
        return credential.check_refresh_token(about.digest, known, policy, moment)
    token = facts if isinstance(facts, TokenFacts) else None
    if about.kind == "jwt":
        return credential.check_jwt(about.jwt, token, keys, policy, moment)
    return credential.check_opaque(about.digest, token, policy, moment)


def ended(
    verdict: Verdict, facts: TokenFacts | RefreshTokenFacts | None, moment: Moment
) -> tuple[TokenRevoked | GrantTokensRevoked, ...]:
    """What ends with a token that exists. A refresh token that was rotated leads to its family as well."""
    granted = facts.granted.grant if isinstance(facts, RefreshTokenFacts) else facts.grant if facts else None
    if granted is not None and granted.user_id is not None:
        over = replace(granted, tokens_revoked_at=moment.now, version=granted.version + 1)
        return () if granted.has_ended else (GrantTokensRevoked(over),)
    if not verdict.active or verdict.claims is None:
        return ()
    expires_at = int(verdict.claims["exp"])  # type: ignore[arg-type]
    api_id = verdict.api.id if verdict.api else ""
    return (TokenRevoked(verdict.id, expires_at, verdict.kind == "opaque", api_id),)
