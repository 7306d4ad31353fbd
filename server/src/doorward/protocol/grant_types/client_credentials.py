"""Client credentials grant, RFC 6749 §4.4, with resource indicators (RFC 8707).

POST /oauth/token
grant_type=client_credentials&scope=invoices:read&resource=https://api.example.com
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from doorward.protocol import client_authentication, token
from doorward.protocol.client import ClientFacts
from doorward.protocol.client_authentication import ClientCredentials
from doorward.protocol.decision import Decision
from doorward.protocol.entities import SigningKey
from doorward.protocol.form import Form
from doorward.protocol.moment import Moment
from doorward.protocol.policy import Policy
from doorward.protocol.refusal import UnauthorizedClient
from doorward.protocol.scope import granted, requested
from doorward.protocol.status_list import Place
from doorward.protocol.token import Terms, TokenResponse
from doorward_verify.scope import Scope

GRANT_TYPE = "client_credentials"


@dataclass(frozen=True, slots=True)
class Request:
    credentials: ClientCredentials
    scope: Scope | None
    resources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Facts:
    client: ClientFacts | None
    signing_keys: tuple[SigningKey, ...] = ()
    place: Place | None = None


def parse(credentials: ClientCredentials, form: Form) -> Request:
    return Request(credentials, requested(form.get("scope")), form.all("resource"))


def decide(request: Request, facts: Facts, policy: Policy, moment: Moment) -> Decision[TokenResponse]:
    client = client_authentication.authenticate(request.credentials, facts.client, policy, moment)
    assert facts.client is not None
    if GRANT_TYPE not in client.grant_types:
        raise UnauthorizedClient("the client may not use this grant type")
    live = tuple(g for g in facts.client.grants if g.grant.revoked_at is None)
    chosen = token.choose(live, request.resources)
    scope = granted(request.scope, chosen.grant.scope, chosen.api)
    terms = token.settle(facts.client, chosen, scope, facts.signing_keys, policy)
    issued = token.issue(terms, moment, facts.place)
    issued = replace(issued, reply=replace(issued.reply, terms=_repeatable(terms, facts, moment)))
    return client_authentication.noticed(issued, request.credentials, facts.client, policy, moment)


def _repeatable(terms: Terms, facts: Facts, moment: Moment) -> Terms | None:
    """Not while two secrets live, since then it is noticed which of them is used, nor with a bit in a status list."""
    live = [secret for secret in terms.client.secrets if secret.is_live(moment.now)]
    if len(live) != 1 or facts.place is not None:
        return None
    return replace(terms, until=live[0].expires_at)


def again(terms: Terms, facts: Facts, policy: Policy, moment: Moment) -> Decision[TokenResponse | None]:
    """What `decide` would say to the very same request: on the very same facts only the moment is another one.

    None where something has changed or ended: then it is for `decide` to say.
    """
    is_same = facts.client is terms.client and facts.signing_keys is terms.keys and policy is terms.policy
    if not is_same or (terms.until is not None and moment.now >= terms.until):
        return Decision(None)
    return token.issue(terms, moment)
