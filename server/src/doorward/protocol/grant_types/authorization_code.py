"""Authorization code grant, RFC 6749 §4.1.3 with PKCE (RFC 7636 §4.6): a code is redeemed once.

POST /oauth/token
grant_type=authorization_code&code=...&code_verifier=...&redirect_uri=...
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from doorward.protocol import client_authentication, grant, interaction, pkce
from doorward.protocol.authorization_events import CodeRedeemed
from doorward.protocol.client import ClientFacts
from doorward.protocol.client_authentication import ClientCredentials
from doorward.protocol.decision import Decision
from doorward.protocol.entities import Code, SigningKey
from doorward.protocol.events import CredentialRefused, Event
from doorward.protocol.form import Form
from doorward.protocol.grant import UserGrantFacts
from doorward.protocol.grant_types import refresh_token
from doorward.protocol.moment import Moment
from doorward.protocol.policy import Policy
from doorward.protocol.refusal import InvalidGrant, InvalidTarget, UnauthorizedClient
from doorward.protocol.status_list import Place
from doorward.protocol.token import TokenResponse

GRANT_TYPE = "authorization_code"


@dataclass(frozen=True, slots=True)
class Request:
    credentials: ClientCredentials
    code: str = field(repr=False)
    verifier: str | None = field(repr=False)
    redirect_uri: str | None
    resources: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        return interaction.digest(self.code)


@dataclass(frozen=True, slots=True)
class Facts:
    client: ClientFacts | None
    code: Code | None = None
    granted: UserGrantFacts | None = None
    signing_keys: tuple[SigningKey, ...] = ()
    place: Place | None = None


def parse(credentials: ClientCredentials, form: Form) -> Request:
    return Request(
        credentials, form.required("code"), form.get("code_verifier"), form.get("redirect_uri"), form.all("resource")
    )


def decide(request: Request, facts: Facts, policy: Policy, moment: Moment) -> Decision[TokenResponse]:
    client = client_authentication.authenticate(request.credentials, facts.client, policy, moment)
    assert facts.client is not None
    if GRANT_TYPE not in client.grant_types:
        raise UnauthorizedClient("the client may not use this grant type")
    code, granted = facts.code, facts.granted
    if code is None or granted is None or code.client_id != client.id:
        # T032: nor may a stranger's attempt burn the code of its rightful client.
        raise InvalidGrant("the code is unknown")
    _compare(request, code)
    if code.redeemed_at is not None:
        raise _replayed(granted, moment)
    _check(request, code, granted, facts.client, moment)
    scope = refresh_token.narrowed(code.scope, granted, facts.client)
    issued = refresh_token.issue(
        facts.client, granted, scope, facts.signing_keys, policy, moment, facts.place, code.nonce
    )
    issued = client_authentication.noticed(issued, request.credentials, facts.client, policy, moment)
    redeemed = CodeRedeemed(replace(code, redeemed_at=moment.now))
    if refresh_token.GRANT_TYPE not in client.grant_types:
        return Decision(issued.reply, (redeemed, *issued.events))
    first = refresh_token.first(granted.grant, policy, moment)
    reply = replace(issued.reply, refresh_token=first.reply)
    return Decision(reply, (redeemed, *issued.events, *first.events))


def _compare(request: Request, code: Code) -> None:
    """T007, T033, T035: who shows the wrong things has not used it (decision 5)."""
    if not pkce.matches(request.verifier, code.code_challenge):
        raise InvalidGrant("code_verifier does not match", reason="pkce_failed", events=_noted(code, "pkce_failed"))
    if request.redirect_uri is not None and request.redirect_uri != code.redirect_uri:
        raise InvalidGrant("redirect_uri is another one", events=_noted(code, "grant_invalid"))


def _check(request: Request, code: Code, granted: UserGrantFacts, client: ClientFacts, moment: Moment) -> None:
    if moment.now >= code.expires_at:
        raise InvalidGrant("the code is too old", events=_noted(code, "grant_invalid"))
    if grant.why_ended(granted, client) is not None:
        raise InvalidGrant("what the user allowed has ended", reason="grant_ended", events=_noted(code, "grant_ended"))
    if not grant.is_for(granted, request.resources):
        raise InvalidTarget("the code is for another resource")


def _replayed(granted: UserGrantFacts, moment: Moment) -> InvalidGrant:
    """T031: whoever comes second, client or thief, what the first one got ends as well."""
    note = CredentialRefused("code", granted.grant.id, "code_replayed")
    events: tuple[Event, ...] = (*grant.end(granted.grant, moment), note)
    return InvalidGrant("the code was used before", reason="code_replayed", events=events)


def _noted(code: Code, reason: str) -> tuple[CredentialRefused, ...]:
    """By its grant: no journal holds what was made from a code."""
    return (CredentialRefused("code", code.grant_id, reason),)
