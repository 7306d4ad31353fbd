"""Token revocation, RFC 7009: a client ends its own access token; unknown and foreign ones get the same 200.

POST /oauth/revoke
token=...&token_type_hint=access_token
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from doorward.protocol import client_authentication, credential
from doorward.protocol.client import ClientFacts
from doorward.protocol.client_authentication import ClientCredentials
from doorward.protocol.credential import Presented, TokenFacts, Verdict
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
    about: TokenFacts | None
    keys: jwt.Keys = field(default_factory=dict)


def parse(authorization: Sequence[bytes], form: Form, query: Form, brand: str) -> Request:
    credentials = client_authentication.parse(authorization, form, query)
    return Request(credentials, credential.presented(form.required("token"), brand))


def decide(request: Request, facts: Facts, policy: Policy, moment: Moment) -> Decision[None]:
    client = client_authentication.authenticate(request.credentials, facts.client, policy, moment)
    verdict = check(request.about, facts.about, facts.keys, policy, moment)
    if not verdict.active or verdict.client_id != client.id or verdict.claims is None:
        # §2.2: an unknown token is not an error, and a foreign one is none of his business.
        return Decision(None)
    return Decision(None, (ended(verdict),))


def check(about: Presented, facts: TokenFacts | None, keys: jwt.Keys, policy: Policy, moment: Moment) -> Verdict:
    if about.kind == "jwt":
        return credential.check_jwt(about.jwt, facts, keys, policy, moment)
    return credential.check_opaque(about.digest, facts, policy, moment)


def ended(verdict: Verdict) -> TokenRevoked:
    assert verdict.claims is not None
    assert verdict.api is not None
    return TokenRevoked(verdict.id, int(verdict.claims["exp"]), verdict.kind == "opaque", verdict.api.id)  # type: ignore[arg-type]
