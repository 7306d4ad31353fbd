"""Client authentication, RFC 6749 §2.3: one method, the registered one, and one answer for every failure.

Authorization: Basic base64(form-encoded client_id ":" form-encoded secret)
client_id=...&client_secret=...
client_id=...                       a public client, which has no secret (§2.1)
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from doorward.protocol import rotation
from doorward.protocol.client import ClientFacts
from doorward.protocol.decision import Decision
from doorward.protocol.entities import Client
from doorward.protocol.events import CredentialRefused
from doorward.protocol.form import Form, decode
from doorward.protocol.moment import Moment
from doorward.protocol.policy import Policy
from doorward.protocol.refusal import InvalidClient, InvalidRequest, Refusal
from doorward.protocol.replay import HELD
from doorward.protocol.rotation_events import ClientOverlapBegun, VerifierOverlapBegun
from doorward.protocol.secret import Secret
from doorward.protocol.use import Used
from doorward.protocol.verifier import VerifierFacts
from doorward_verify import api_key

BASIC = "client_secret_basic"
POST = "client_secret_post"
METHODS = (BASIC, POST)
PUBLIC = "none"  # RFC 7591 §2
QUERY = "query"  # never a method: a secret in a URL is refused, and told so if it was the right one (T042)
IN_QUERY = "a secret was sent in the url"
NO_FORM = Form({})
BASIC_CHALLENGE = (("authenticate", "Basic"),)  # RFC 6749 §5.2: who tried Basic is answered with it
Reply = TypeVar("Reply")
SECRET_PARAMETERS = ("client_secret", "client_assertion", "token", "token_sha256")


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """What was presented; `method` is how."""

    client_id: str
    secret: str = field(repr=False)
    method: str

    @property
    def used_basic(self) -> bool:
        return self.method == BASIC


def parse(authorization: Sequence[bytes], form: Form, query: Form = NO_FORM) -> ClientCredentials:
    """Raises InvalidRequest when two methods are used (T040), InvalidClient when none or a malformed one (T041)."""
    if exposes(query):
        return _exposed(form, query)
    if len(authorization) > 1:
        raise InvalidRequest("the authorization header is repeated", reason="several_credentials")
    client_id, secret = form.get("client_id"), form.get("client_secret")
    if not authorization:
        if client_id is None:
            raise InvalidClient("client authentication is missing")
        return ClientCredentials(client_id, secret or "", PUBLIC if secret is None else POST)
    if secret is not None:
        raise InvalidRequest("more than one client authentication method is used", reason="several_credentials")
    credentials = _basic(authorization[0])
    if client_id is not None and client_id != credentials.client_id:
        raise InvalidRequest("client_id differs from the authorization header")
    return credentials


def exposes(query: Form) -> bool:
    """Whether there is a secret in the URL, where logs and histories keep it (T042)."""
    return any(query.get(name) is not None for name in SECRET_PARAMETERS)


def _exposed(form: Form, query: Form) -> ClientCredentials:
    client_id = query.get("client_id") or form.get("client_id")
    secret = query.get("client_secret")
    if client_id is None or secret is None:
        raise InvalidRequest(IN_QUERY, reason="secret_in_query")
    return ClientCredentials(client_id, secret, QUERY)


def _basic(header: bytes) -> ClientCredentials:
    scheme, _, encoded = header.partition(b" ")
    if scheme.lower() != b"basic":
        raise InvalidClient("the authorization scheme is not supported here")
    try:
        plain = base64.b64decode(encoded, validate=True)
        if base64.b64encode(plain) != encoded:
            raise ValueError
        name, colon, secret = plain.partition(b":")
        if not colon or not name or not secret:
            raise ValueError
        return ClientCredentials(decode(name), decode(secret), BASIC)
    except (ValueError, binascii.Error, Refusal):
        raise InvalidClient("the basic credentials are malformed", fields=BASIC_CHALLENGE) from None


def matching(credentials: ClientCredentials, kept: tuple[Secret, ...], policy: Policy, now: int) -> Secret | None:
    """The live secret that is the presented one; without any the same work is done in vain (T045)."""
    digest = api_key.digest(credentials.secret)
    live = [secret for secret in kept if secret.is_live(now)]
    if not live:
        policy.pepper.matches(digest, None)
    # All of them are compared: the first match must not end the work early.
    found = [secret for secret in live if policy.pepper.matches(digest, secret)]
    return found[0] if found else None


def secret_matches(credentials: ClientCredentials, kept: tuple[Secret, ...], policy: Policy, now: int) -> bool:
    return matching(credentials, kept, policy, now) is not None


def authenticate(credentials: ClientCredentials, facts: ClientFacts | None, policy: Policy, moment: Moment) -> Client:
    """The client. Unknown, wrong secret, wrong method, disabled, suspended: one answer (T043, T045, T105)."""
    kept = () if facts is None else facts.secrets
    matches = secret_matches(credentials, kept, policy, moment.now)
    is_itself = facts is not None and facts.client.is_public and credentials.method == PUBLIC
    if facts is None or not (matches or is_itself):
        raise _failed(credentials)
    ended = _ended(credentials, facts)
    if ended is not None:
        raise _failed(credentials, ended, CredentialRefused("client", facts.client.id, ended))
    return facts.client


def _ended(credentials: ClientCredentials, facts: ClientFacts) -> str | None:
    """Why a client with the right secret is refused all the same."""
    if credentials.method == QUERY:
        return "secret_in_query"
    if facts.client.state != "active":
        return "credential_held" if facts.client.state == HELD else "client_disabled"
    if facts.account.state != "active":
        return "account_suspended"
    if facts.client.token_endpoint_auth_method not in (None, credentials.method):
        return "client_unauthenticated"
    return None


def noticed(
    decision: Decision[Reply], credentials: ClientCredentials, facts: ClientFacts | VerifierFacts | None,
    policy: Policy, moment: Moment,
) -> Decision[Reply]:  # fmt: skip
    """While two secrets live: which of them was used, and whether its first use begins the overlap of the other one.

    Of whom was authenticated.
    """
    secret = _shown(credentials, () if facts is None else facts.secrets, policy, moment.now)
    if facts is None or secret is None:
        return decision
    used = _used(facts, secret, moment.now)
    return replace(decision, events=(*decision.events, *_begun(facts, secret, moment.now)), uses=(*decision.uses, used))


def _shown(credentials: ClientCredentials, kept: tuple[Secret, ...], policy: Policy, now: int) -> Secret | None:
    """Which of several it was; of one alone nobody asks."""
    live = [secret for secret in kept if secret.is_live(now)]
    if len(live) < 2:
        return None
    digest = api_key.digest(credentials.secret)
    return next((secret for secret in live if policy.pepper.matches(digest, secret)), None)


def _used(facts: ClientFacts | VerifierFacts, secret: Secret, now: int) -> Used:
    kind, id_ = ("client", facts.client.id) if isinstance(facts, ClientFacts) else ("verifier", facts.verifier.id)
    return Used(kind, id_, 1, now, secret_id=secret.id, is_old=secret.superseded_at is not None)


def _begun(
    facts: ClientFacts | VerifierFacts, used: Secret, now: int
) -> tuple[ClientOverlapBegun | VerifierOverlapBegun, ...]:
    waiting = next((one for one in facts.secrets if one.overlap is not None and one.is_live(now)), None)
    if waiting is None or used.superseded_at is not None:
        return ()
    begun = rotation.begun(waiting, now)
    if isinstance(facts, ClientFacts):
        return (ClientOverlapBegun(facts.client, begun),)
    return (VerifierOverlapBegun(facts.verifier, begun),)


def authenticate_verifier(
    credentials: ClientCredentials, facts: VerifierFacts | None, policy: Policy, moment: Moment
) -> VerifierFacts:
    """The verifier with the secret that it showed, or the same refusal as for a client."""
    kept = () if facts is None else facts.secrets
    shown = matching(credentials, kept, policy, moment.now)
    if facts is None or shown is None:
        raise _failed(credentials)
    if credentials.method == QUERY or facts.verifier.state != "active":
        ended = "credential_held" if facts.verifier.state == HELD else "credential_revoked"
        ended = "secret_in_query" if credentials.method == QUERY else ended
        raise _failed(credentials, ended, CredentialRefused("verifier", facts.verifier.id, ended))
    return replace(facts, secrets=(shown,))


def _failed(credentials: ClientCredentials, ended: str | None = None, *events: CredentialRefused) -> Refusal:
    """Only who showed the right secret learns why it was in vain, and only of that a record is kept."""
    if credentials.method == QUERY:
        return InvalidRequest(IN_QUERY, reason="secret_in_query", events=events)
    challenge = BASIC_CHALLENGE if credentials.used_basic else ()
    return InvalidClient("client authentication failed", reason=ended, events=events, fields=challenge)
