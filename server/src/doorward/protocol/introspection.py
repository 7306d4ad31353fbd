"""Introspection, RFC 7662, of JWTs, opaque tokens and api keys, by full text or by digest.

POST /oauth/introspect
token=...                       or, for verifiers: token_sha256=base64url(SHA-256(full text))
address=192.0.2.7&user_agent=curl/8.5           from verifiers, and optional: where it was shown, and by what
usage=reported                                  from a verifier that tells its uses to /usage: they count once

Of a key that has limits a verifier takes one use with each question, or `cost` uses; with `spare` it asks for more, to
give away itself. Who sends neither knows nothing of limits: for him a key that was used too often is inactive.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from doorward.protocol import admin_key, client_authentication, credential, limit, use
from doorward.protocol.admin import permitted
from doorward.protocol.admin_key import AdminKeyFacts
from doorward.protocol.client import ClientFacts
from doorward.protocol.client_authentication import ClientCredentials
from doorward.protocol.credential import ApiKeyFacts, Presented, RefreshTokenFacts, TokenFacts, Verdict
from doorward.protocol.decision import Decision
from doorward.protocol.entities import JSON
from doorward.protocol.events import CredentialRefused, Event
from doorward.protocol.form import Form
from doorward.protocol.leak_events import DecoyTried
from doorward.protocol.limit import COST_LIMIT, UNLIMITED, Admission, Charge
from doorward.protocol.moment import FOREVER, Moment, Position
from doorward.protocol.policy import Policy
from doorward.protocol.refusal import InvalidClient, InvalidRequest, InvalidToken
from doorward.protocol.use import Used
from doorward.protocol.verifier import VerifierFacts
from doorward_verify import api_key, jwt

NUMBER = re.compile(r"[0-9]{1,7}")


@dataclass(frozen=True, slots=True)
class Request:
    """Who asks (client or verifier credentials, or an admin key's digest) about what."""

    caller: ClientCredentials | Presented
    about: Presented
    by_digest: bool = False
    address: str = ""
    cost: int = 1
    spare: int = 0
    knows_limits: bool = False
    shown_from: str = ""
    user_agent: str = ""
    is_reported: bool = False

    @property
    def actor(self) -> str:
        return self.caller.id if isinstance(self.caller, Presented) else self.caller.client_id


@dataclass(frozen=True, slots=True)
class Facts:
    caller: ClientFacts | VerifierFacts | AdminKeyFacts | None
    about: ApiKeyFacts | TokenFacts | RefreshTokenFacts | None
    keys: jwt.Keys = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Introspection:
    """`claims` is empty for an inactive credential: nothing but `active` is told (RFC 7662 §2.2).

    `uses` is what is counted of it, each time that it is told.
    """

    active: bool
    position: Position
    credential: str = ""
    claims: Mapping[str, JSON] = field(default_factory=dict)
    charges: tuple[Charge, ...] = ()
    uses: tuple[Used, ...] = ()


def parse(authorization: Sequence[bytes], form: Form, query: Form, brand: str, address: str = "") -> Request:
    caller = _caller(authorization, form, query, brand)
    digest, token = form.get("token_sha256"), form.get("token")
    if (digest is None) == (token is None):
        raise InvalidRequest("exactly one of token and token_sha256 is needed")
    shown = _shown(form)
    if token is not None:
        about = credential.presented(token, brand)
        return Request(caller, about, address=address, **shown, **_limits(form))
    try:
        raw = jwt.b64url_decode(digest or "")
    except ValueError:
        raw = b""
    if len(raw) != 32:
        raise InvalidRequest("token_sha256 is not 43 characters of base64url")
    about = Presented("digest", digest=raw)
    return Request(caller, about, by_digest=True, address=address, **shown, **_limits(form))


def _shown(form: Form) -> dict[str, Any]:
    """Where it was shown, and by what, as the verifier tells."""
    is_reported = form.get("usage") == "reported"
    told = {"shown_from": form.get("address") or "", "user_agent": form.get("user_agent") or ""}
    return {**told, "is_reported": is_reported}


def _limits(form: Form) -> dict[str, Any]:
    cost, spare = _number(form, "cost"), _number(form, "spare")
    return {"cost": 1 if cost is None else cost, "spare": spare or 0, "knows_limits": (cost, spare) != (None, None)}


def _number(form: Form, name: str) -> int | None:
    value = form.get(name)
    if value is None:
        return None
    if not NUMBER.fullmatch(value) or int(value) > COST_LIMIT:
        raise InvalidRequest(f"{name} is not a whole number of at most {COST_LIMIT}")
    return int(value)


def _caller(authorization: Sequence[bytes], form: Form, query: Form, brand: str) -> ClientCredentials | Presented:
    """Bearer is an admin key; everything else is client authentication, and so is a secret in the URL."""
    is_bearer = len(authorization) == 1 and authorization[0][:7].lower() == b"bearer "
    if is_bearer and not client_authentication.exposes(query):
        if form.get("client_secret") is not None:
            raise InvalidRequest("more than one credential is used", reason="several_credentials")
        return admin_caller(authorization[0][7:], brand)
    return client_authentication.parse(authorization, form, query)


def admin_caller(text: bytes, brand: str) -> Presented:
    try:
        plain = api_key.strip_uri_scheme(text.decode("ascii"))
        found = api_key.parse(plain, brand)
    except (UnicodeDecodeError, api_key.MalformedCredential):
        raise InvalidToken("the admin key is unknown or ended", reason="credential_malformed") from None
    if found.kind != "a":
        raise InvalidToken("the admin key is unknown or ended", reason="credential_unknown")
    return Presented("admin_key", found.id, api_key.digest(plain))


def decide(request: Request, facts: Facts, policy: Policy, moment: Moment) -> Decision[Introspection]:
    sees = _authenticate(request, facts, policy, moment)
    decision = _decided(request, facts, sees, policy, moment)
    if isinstance(request.caller, Presented) or isinstance(facts.caller, AdminKeyFacts):
        return decision
    return client_authentication.noticed(decision, request.caller, facts.caller, policy, moment)


def _decided(
    request: Request, facts: Facts, sees: _Sight, policy: Policy, moment: Moment
) -> Decision[Introspection]:  # fmt: skip
    verdict = _verdict(request, facts, policy, moment)
    if not verdict.exists or not sees(verdict):
        return Decision(Introspection(False, moment.position))
    uses = _uses(request, facts, verdict, moment)
    if not verdict.active:
        record: Event = CredentialRefused(verdict.kind, verdict.id, verdict.reason or "")
        if verdict.reason == "decoy" and isinstance(facts.about, ApiKeyFacts):
            record = DecoyTried(facts.about.api_key)
        return Decision(Introspection(False, moment.position), (record,), uses)
    if not isinstance(facts.about, ApiKeyFacts):
        return Decision(Introspection(True, moment.position, verdict.kind, verdict.claims or {}, (), uses), (), uses)
    claims = credential.api_key_claims(facts.about, policy)
    found = Introspection(True, moment.position, verdict.kind, claims, (), uses)
    if not isinstance(facts.caller, VerifierFacts):
        return Decision(found, (), uses)
    found = replace(found, charges=credential.charges(facts.about, request.cost, moment.now))
    return Decision(found, credential.first_use(facts.about, moment.now), uses)


def ends_at(found: Introspection, facts: Facts, now: int) -> int:
    """Until when the same is told of the same facts; `now` where the next one may be told otherwise."""
    about = facts.about
    if not found.active or any(charge.limit.type == "quota" for charge in found.charges):
        return now
    match about:
        case ApiKeyFacts():
            ends = credential.ends_at(about)
            if credential.first_use(about, now):
                return now
        case TokenFacts():
            ends = about.opaque.expires_at if about.opaque else int(str(found.claims["exp"]))
        case _:
            return now
    return min(FOREVER if ends is None else ends, _caller_ends_at(facts.caller, now))


def _caller_ends_at(caller: ClientFacts | VerifierFacts | AdminKeyFacts | None, now: int) -> int:
    """While a client or verifier has two secrets it is counted which of them was shown."""
    if isinstance(caller, AdminKeyFacts):
        return admin_key.ends_at(caller)
    live = [secret for secret in caller.secrets if secret.is_live(now)] if caller else []
    if len(live) != 1:
        return now
    return FOREVER if live[0].expires_at is None else live[0].expires_at


def counted(found: Introspection, now: int) -> tuple[Used, ...]:
    """Its uses, of an answer that may have been decided a while ago."""
    return tuple([use.counted(one, one.result, now) for one in found.uses])


def _uses(request: Request, facts: Facts, verdict: Verdict, moment: Moment) -> tuple[Used, ...]:
    """A verifier asks because something was shown to it, others look. Of what is refused it can tell nothing itself."""
    if not isinstance(facts.caller, VerifierFacts) or not isinstance(facts.about, ApiKeyFacts | TokenFacts):
        return ()
    if verdict.active and request.is_reported:
        return ()
    return (credential.used(facts.about, verdict.reason, moment.now, request.shown_from, request.user_agent),)


def _verdict(request: Request, facts: Facts, policy: Policy, moment: Moment) -> Verdict:
    about = request.about
    if about.kind == "jwt":
        token = facts.about if isinstance(facts.about, TokenFacts) else None
        return credential.check_jwt(about.jwt, token, facts.keys, policy, moment)
    if about.kind == "refresh_token":
        known = facts.about if isinstance(facts.about, RefreshTokenFacts) else None
        return credential.check_refresh_token(about.digest, known, policy, moment)
    if isinstance(facts.about, RefreshTokenFacts):
        return credential.UNKNOWN
    if isinstance(facts.about, ApiKeyFacts):
        return credential.check_api_key(about.digest, facts.about, policy, moment)
    return credential.check_opaque(about.digest, facts.about, policy, moment)


class _Sight:
    """What a caller may see: a verifier its api's, a client its own, an admin key all (decision 13)."""

    def __init__(self, *, api_id: str | None = None, client_id: str | None = None) -> None:
        self.api_id, self.client_id = api_id, client_id

    def __call__(self, verdict: Verdict) -> bool:
        if self.api_id is not None:
            return verdict.api is not None and verdict.api.id == self.api_id
        return self.client_id is None or verdict.client_id == self.client_id


def _authenticate(request: Request, facts: Facts, policy: Policy, moment: Moment) -> _Sight:
    caller = facts.caller
    if isinstance(request.caller, Presented):
        known = caller if isinstance(caller, AdminKeyFacts) else None
        admin = admin_key.authenticate(request.caller.digest, request.address, known, policy, moment)
        permitted(admin, "keys:read")
        if request.by_digest:
            raise InvalidRequest("token_sha256 is for verifiers")
        return _Sight()
    if isinstance(caller, VerifierFacts):
        verifier = client_authentication.authenticate_verifier(request.caller, caller, policy, moment)
        return _Sight(api_id=verifier.api.id)
    if request.caller.method == client_authentication.PUBLIC:
        raise InvalidClient("client authentication is missing")
    client = client_authentication.authenticate(
        request.caller, caller if isinstance(caller, ClientFacts) else None, policy, moment
    )
    if request.by_digest:
        raise InvalidRequest("token_sha256 is for verifiers")
    return _Sight(client_id=client.id)


def members(
    found: Introspection, admission: Admission = UNLIMITED, spare: int = 0, knows_limits: bool = False
) -> dict[str, Any]:
    """The answer, RFC 7662 §2.2, now that the limits of the credential were asked."""
    if not found.active or (admission.refused and not knows_limits):
        return {"active": False}
    told: dict[str, Any] = {"active": True, **found.claims, "credential": found.credential}
    # A refresh token is sent to us alone, and bears nothing.
    told |= {} if found.credential == "refresh_token" else {"token_type": "Bearer"}
    if not found.charges:
        return told
    told |= {"limits": [limit.told(state) for state in admission.states], "spare": spare}
    return told | ({"limited": admission.reason, "retry_after": admission.retry_after} if admission.refused else {})
