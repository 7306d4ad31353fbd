"""May this request pass the gateway, and as whom? One decision for every family of header fields.

A route lets it through or nothing does. Then the route's needs: a credential of its api, sent as the route allows, from
where the key may be used, and with its scope. Who passes is told to the backend by header fields, and by an assertion.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from doorward.protocol import credential, request_path, route_limit, route_policy, token
from doorward.protocol.credential import ApiKeyFacts, TokenFacts, Verdict
from doorward.protocol.decision import Decision
from doorward.protocol.entities import JSON, SigningKey
from doorward.protocol.events import CredentialRefused, Event
from doorward.protocol.gateway import Request
from doorward.protocol.leak_events import DecoyTried
from doorward.protocol.limit import Charge
from doorward.protocol.moment import Moment, Position
from doorward.protocol.policy import Policy
from doorward.protocol.reasons import REASONS
from doorward.protocol.refusal import InsufficientScope, InTheClear, InvalidRequest, InvalidToken, Refusal, RouteRefused
from doorward.protocol.route_policy import Found, Route
from doorward.protocol.sign_in import network_of
from doorward.protocol.use import Used
from doorward_verify import assertion as asserted
from doorward_verify import jwt, networks
from doorward_verify import scope as scopes

# For how long the same may be answered to the same question, while nothing has changed; the assertion in it lives on.
ANSWER_LIFETIME = 5


@dataclass(frozen=True, slots=True)
class Facts:
    routes: route_policy.Table
    about: ApiKeyFacts | TokenFacts | None = None
    keys: jwt.Keys = field(default_factory=dict)
    signing: tuple[SigningKey, ...] = ()


@dataclass(frozen=True, slots=True)
class Passage:
    """It may pass; on a public route as nobody. `about` is what was decided on, `position` and `now` where and when."""

    request: Request
    route: Route
    verdict: Verdict | None = None
    about: ApiKeyFacts | TokenFacts | None = None
    signing_key: SigningKey | None = None
    now: int = 0
    position: Position | None = None

    @property
    def is_safe(self) -> bool:
        return self.verdict is None or self.request.method in asserted.SAFE

    @property
    def is_preflight(self) -> bool:
        """It is answered for a method that it only names."""
        return self.request.method not in self.route.methods

    def charges(self, now: int) -> tuple[Charge, ...]:
        """What it costs of the limits of a key, and of those of the route, whoever asks."""
        route, about = self.route, self.about
        charged = credential.charges(about, route.cost, now) if isinstance(about, ApiKeyFacts) else ()
        if not route.limits or self.is_preflight:
            return charged
        whose = _whose(about, self.request.address)
        return charged + route_limit.charges(route.place, route.limits, whose, route.cost, now)

    def uses(self, reason: str | None, now: int, agent: str) -> tuple[Used, ...]:
        """The use of the credential, as it ended once its limits were asked; the same answer is given to any agent."""
        return () if self.about is None else (credential.used(self.about, reason, now, self.request.address, agent),)

    @property
    def answer_ends_at(self) -> int:
        """Until when the same holds of the same facts: none of what limits them in time comes before."""
        ends = [self.now + ANSWER_LIFETIME]
        if isinstance(self.about, ApiKeyFacts):
            ends.append(credential.ends_at(self.about) or ends[0])
        expires_at = (self.verdict.claims or {}).get("exp") if self.verdict else None
        return min(*ends, expires_at) if isinstance(expires_at, int) else min(ends)


def _whose(about: ApiKeyFacts | TokenFacts | None, address: str) -> Mapping[str, str]:
    """By whose name it is counted, for each `each` of a route's limits; on a public route nobody has more than two."""
    anybody = {"address": f"address/{_network(address)}", "route": "all"}
    match about:
        case ApiKeyFacts():
            return {**anybody, "credential": f"key/{about.api_key.id}", "account": f"account/{about.account.id}"}
        case TokenFacts():
            account = about.account if about.acts_for is None else about.acts_for
            return {**anybody, "credential": _holder(about), "account": f"account/{account.id}"}
    return anybody


def _network(address: str) -> str:
    """What is no address was not told: as a name it could be of any length."""
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    return network_of(address)


def _holder(about: TokenFacts) -> str:
    """A client, or a user of it: counted is who holds tokens, since he can have new ones, and a new grant, at will."""
    return f"client/{about.client.id}" if about.user is None else f"user/{about.user.id}/{about.client.id}"


def decide(request: Request, facts: Facts, policy: Policy, moment: Moment) -> Decision[Passage]:
    found = route_policy.find(policy.routes, facts.routes, request.method, request.host, request.target.path)
    route = found.route
    if route is None:
        return Decision(Passage(request, _preflight(found, request)))
    if route.public:
        return Decision(Passage(request, route))
    flaw = _arrival(request)
    verdict = Verdict(flaw) if flaw else _verdict(request, facts, policy, moment)
    reason = verdict.reason or _unfit(verdict, request, route, facts.about)
    if reason is not None:
        raise _refusal(reason, verdict, request, route, facts.about, moment.now)
    begun = credential.first_use(facts.about, moment.now) if isinstance(facts.about, ApiKeyFacts) else ()
    key = token.signing_key(facts.signing, "ES256")
    return Decision(Passage(request, route, verdict, facts.about, key, moment.now, moment.position), begun)


def _preflight(found: Found, request: Request) -> Route:
    """A browser asks without credentials; it is answered where the route of the method that it names says so."""
    wanted = (found.by_method or {}).get(request.wanted_method)
    if wanted is not None and wanted.preflight:
        return wanted
    if found.by_method is None:
        raise RouteRefused("no route lets this request through")
    raise RouteRefused("no route lets this method through here", reason="route_method")


def _arrival(request: Request) -> str:
    """What is wrong before anybody looks at the credential."""
    if request.is_plaintext and not networks.contain(_LOOPBACK, request.address):
        return "plaintext"
    return request.flaw


_LOOPBACK = ("127.0.0.0/8", "::1/128")


def presented(request: Request, brand: str) -> credential.Presented:
    """Tokens come as bearers alone (RFC 6750 §2.1); refresh tokens and the secrets of others open nothing here."""
    about = credential.presented(request.credential, brand)
    keys = ("api_key", "legacy")
    opens = keys if request.transport != "bearer" else (*keys, "opaque", "jwt")
    return about if about.kind in opens else credential.Presented("unknown")


def _verdict(request: Request, facts: Facts, policy: Policy, moment: Moment) -> Verdict:
    about = presented(request, policy.brand)
    match about.kind, facts.about:
        case "api_key" | "legacy", ApiKeyFacts() | None:
            verdict = credential.check_api_key(about.digest, facts.about, policy, moment)
            if facts.about is None or not verdict.exists:
                return verdict
            return replace(verdict, claims=credential.api_key_claims(facts.about, policy))
        case "opaque", TokenFacts() | None:
            return credential.check_opaque(about.digest, facts.about, policy, moment)
        case "jwt", TokenFacts() | None:
            return credential.check_jwt(about.jwt, facts.about, facts.keys, policy, moment)
    return credential.MALFORMED


def _unfit(verdict: Verdict, request: Request, route: Route, about: object) -> str | None:
    """A good credential that is not good for this."""
    api = verdict.api
    if api is None or route.api not in (api.identifier, api.id, api.name):
        return "wrong_audience"
    if route.transports and request.transport not in route.transports:
        return "transport_not_allowed"
    if isinstance(about, ApiKeyFacts):
        key = about.api_key
        if request.transport not in api.transports:
            return "transport_not_allowed"
        if key.environment != route.environment:
            return "wrong_environment"
        if key.networks and not networks.contain(key.networks, request.address):
            return "network_not_allowed"
    return None if route.scope <= _scope(verdict) else "insufficient_scope"


def _scope(verdict: Verdict) -> frozenset[str]:
    return frozenset(str((verdict.claims or {}).get("scope", "")).split())


def _refusal(
    reason: str, verdict: Verdict, request: Request, route: Route, about: ApiKeyFacts | TokenFacts | None, now: int
) -> Refusal:
    """Refusing what exists is a record, under its own name; what does not exist leaves no trace."""
    events: tuple[Event, ...] = ()
    uses: tuple[Used, ...] = ()
    if verdict.exists and about is not None:
        events = (CredentialRefused(verdict.kind, verdict.id, reason),)
        uses = (credential.used(about, reason, now, request.address, request.agent),)
    if reason == "decoy" and isinstance(about, ApiKeyFacts):
        events = (DecoyTried(about.api_key),)
    kind = InTheClear if reason == "plaintext" else _BY_STATUS[REASONS[reason].status]
    fields = (("realm", route.api), ("scope", scopes.text(route.scope)))
    return kind(_SAID.get(reason, "the credential has ended"), reason=reason, events=events, fields=fields, uses=uses)


_BY_STATUS: dict[int, type[Refusal]] = {400: InvalidRequest, 401: InvalidToken, 403: InsufficientScope}
_SAID = {
    "plaintext": "the request came over plain http",
    "several_credentials": "more than one credential was sent",
    "secret_in_query": "a credential was sent in the URL",
    "credential_missing": "no credential was sent",
    "transport_not_allowed": "the credential may not be sent like this here",
    "credential_unknown": "the credential is malformed, unknown or has ended",
    "wrong_audience": "the credential is for another api",
    "wrong_environment": "the key is of another environment",
    "network_not_allowed": "the key may not be used from this address",
    "insufficient_scope": "the credential lacks a scope that is needed here",
}


# What a token says of itself, and the assertion says in its own way or not at all.
_OWN = frozenset({"iss", "aud", "iat", "exp", "nbf", "jti", "pos", "status", "cnf", "networks", "htm", "uri", "token"})


def assertion(passage: Passage, issuer: str, jti: str) -> dict[str, JSON]:
    """The claims by which the backend knows who passed, with which request, and whether that has ended since."""
    verdict, request, position = passage.verdict, passage.request, passage.position
    proved = {} if verdict is None else verdict.claims
    assert verdict, "nobody is asserted"
    assert proved is not None
    told: dict[str, JSON] = {name: value for name, value in proved.items() if name not in _OWN}
    expires_at = proved.get("exp")
    ends_at = passage.now + asserted.LIFETIME
    told |= {
        "iss": issuer, "aud": passage.route.service, "credential": verdict.kind, "api": proved.get("aud"),
        "htm": request.method, "uri": asserted.uri(written(request)), "pos": str(position),
        "iat": passage.now, "exp": min(ends_at, expires_at) if isinstance(expires_at, int) else ends_at, "jti": jti,
    }  # fmt: skip
    if verdict.kind != "api_key":
        told["token"] = verdict.id
    return told


def written(request: Request) -> str:
    return request_path.written(request.target)


def identity(passage: Passage) -> Mapping[str, str]:
    """What the plain header fields tell; a field without anything to tell is there all the same, and empty (T171)."""
    verdict = passage.verdict
    claims: Mapping[str, JSON] = (verdict.claims if verdict else None) or {}
    told = {name: str(claims.get(claim) or "") for name, claim in _TOLD}
    return {**told, "x-auth-credential": verdict.kind if verdict else ""}


_TOLD = (
    ("x-auth-account", "account"), ("x-auth-scope", "scope"), ("x-auth-client", "client_id"),
    ("x-auth-subject", "sub"), ("x-auth-key-id", "key_id"),
)  # fmt: skip
