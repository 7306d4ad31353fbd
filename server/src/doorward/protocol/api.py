"""An api: a protected resource with its identifier, scopes and token format (RFC 8707 §2, RFC 9068 §3)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal
from urllib.parse import urlsplit

from doorward.protocol import api_routes, route_policy
from doorward.protocol.admin import Asked, Nothing, Strict, absent, current, invalid, limited, named, touched
from doorward.protocol.api_routes import RouteObject
from doorward.protocol.consent import OIDC
from doorward.protocol.decision import Decision
from doorward.protocol.entities import Api
from doorward.protocol.events import ApiCreated, ApiDeleted, ApiUpdated, Event
from doorward.protocol.key_events import LegacyTurned
from doorward.protocol.limit import ApiLimit
from doorward.protocol.moment import Moment
from doorward.protocol.policy import DAY, Policy
from doorward.protocol.refusal import Conflict
from doorward_verify.arrival import TRANSPORTS
from doorward_verify.scope import MalformedScope
from doorward_verify.scope import parse as parse_scope

RESERVED_CLAIMS = frozenset({
    "iss", "sub", "aud", "exp", "nbf", "iat", "jti", "client_id", "scope", "grant_id", "account",
    "client_account", "cnf", "act", "auth_time", "acr", "amr", "status", "pos", "sid", "nonce",
    "active", "credential", "token_type", "key_id", "secret_id", "environment", "networks", "limits", "spare",
    "limited", "retry_after", "transports", "browsers",
})  # fmt: skip
CLAIM_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.:/-]{0,63}")
Transport = Literal["bearer", "header", "basic", "query", "body"]
Browsers = Literal["allow", "flag", "refuse"]
CLAIM_SOURCE = re.compile(r"(account|client|key)\.(id|name|metadata\.[A-Za-z0-9_.-]{1,64})")


@dataclass(frozen=True, slots=True)
class CreateApi(Strict):
    identifier: str
    name: str
    scopes: dict[str, str] = field(default_factory=dict)
    token_format: Literal["jwt", "opaque"] = "jwt"
    token_lifetime: int | None = None
    signing_algorithm: Literal["ES256", "RS256"] = "ES256"
    claims: dict[str, str] = field(default_factory=dict)
    status_list: bool = False
    limits: list[ApiLimit] = field(default_factory=list)
    legacy: bool = False
    self_service: list[str] = field(default_factory=list)
    transports: list[Transport] = field(default_factory=lambda: ["bearer", "header"])
    browsers: Browsers = "flag"
    unused_key_lifetime: int | None = None
    key_lifetime_limit: int | None = None
    routes: list[RouteObject] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class UpdateApi(Strict):
    """A span of 0 lifts its rule."""

    name: str | None = None
    scopes: dict[str, str] | None = None
    token_format: Literal["jwt", "opaque"] | None = None
    token_lifetime: int | None = None
    signing_algorithm: Literal["ES256", "RS256"] | None = None
    claims: dict[str, str] | None = None
    status_list: bool | None = None
    limits: list[ApiLimit] | None = None
    legacy: bool | None = None
    self_service: list[str] | None = None
    transports: list[Transport] | None = None
    browsers: Browsers | None = None
    unused_key_lifetime: int | None = None
    key_lifetime_limit: int | None = None
    routes: list[RouteObject] | None = None


@dataclass(frozen=True, slots=True)
class ApiObject:
    id: str
    identifier: str
    name: str
    scopes: dict[str, str]
    token_format: str
    token_lifetime: int
    signing_algorithm: str
    claims: dict[str, str]
    status_list: bool
    limits: list[ApiLimit]
    created_at: int
    updated_at: int
    version: int
    legacy: bool
    self_service: list[str]
    transports: list[str]
    browsers: str
    unused_key_lifetime: int | None
    key_lifetime_limit: int | None
    routes: list[RouteObject] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class CreateFacts:
    same_identifier: Api | None
    same_name: Api | None
    routes: route_policy.Table = route_policy.NONE


@dataclass(frozen=True, slots=True)
class Facts:
    api: Api | None
    same_name: Api | None = None
    in_use: bool = False
    routes: route_policy.Table = route_policy.NONE


def create(asked: Asked[CreateApi], facts: CreateFacts, policy: Policy, moment: Moment) -> Decision[ApiObject]:
    body = asked.body
    absent(facts.same_identifier, "identifier")
    absent(facts.same_name, "name")
    lifetime = policy.token_lifetime if body.token_lifetime is None else body.token_lifetime
    api = Api(
        moment.id("api"), body.identifier, body.name, body.scopes, body.token_format, lifetime,
        body.signing_algorithm, body.claims, moment.now, moment.now, status_list=body.status_list,
        limits=limited(body.limits),
        legacy=body.legacy, self_service=frozenset(body.self_service),
        transports=_transports(body.transports), browsers=body.browsers,
        unused_key_lifetime=body.unused_key_lifetime or None, key_lifetime_limit=body.key_lifetime_limit or None,
        key_policy_at=moment.now,
        routes=api_routes.kept(body.routes, body.identifier, body.scopes),
    )  # fmt: skip
    api_routes.check_free(api, facts.routes)
    api_routes.check_arrivals(api)
    events: tuple[Event, ...] = (ApiCreated(api), *_turned(api, legacy=False), *api_routes.changed(api))
    return Decision(show(checked(api, policy)), events)


def update(asked: Asked[UpdateApi], facts: Facts, policy: Policy, moment: Moment) -> Decision[ApiObject]:
    api = current(facts.api, asked, "api")
    changes = {name: value for name in _CHANGEABLE if (value := getattr(asked.body, name)) is not None}
    if facts.same_name is not None and facts.same_name.id != api.id:
        raise Conflict("this name exists already")
    if asked.body.limits is not None:
        changes["limits"] = limited(asked.body.limits)
    if "self_service" in changes:
        changes["self_service"] = frozenset(changes["self_service"])
    if asked.body.transports is not None:
        changes["transports"] = _transports(asked.body.transports)
    rules = {name: value or None for name in KEY_RULES if (value := getattr(asked.body, name)) is not None}
    if any(getattr(api, name) != value for name, value in rules.items()):
        changes |= {**rules, "key_policy_at": moment.now}
    asked_for = replace(api, **changes)
    if asked.body.routes is not None:
        asked_for = replace(asked_for, routes=api_routes.kept(asked.body.routes, api.identifier, asked_for.scopes))
        api_routes.check_free(asked_for, facts.routes)
    api_routes.check_arrivals(asked_for)
    changed = touched(asked_for, api, moment.now)
    if changed is api:
        return Decision(show(checked(api, policy)))
    events: tuple[Event, ...] = (
        ApiUpdated(changed),
        *_turned(changed, legacy=api.legacy),
        *api_routes.changed(changed, api),
    )
    return Decision(show(checked(changed, policy)), events)


def _turned(api: Api, *, legacy: bool) -> tuple[LegacyTurned, ...]:
    """Whoever remembers which apis take imported keys has to read again."""
    return () if api.legacy == legacy else (LegacyTurned(api.id, api.legacy),)


def delete(asked: Asked[Nothing], facts: Facts, policy: Policy, moment: Moment) -> Decision[None]:
    api = current(facts.api, asked, "api")
    if facts.in_use:
        raise Conflict("the api still has keys, clients or verifiers")
    return Decision(None, (ApiDeleted(api), *api_routes.changed(replace(api, routes=()), api)))


_CHANGEABLE = (
    "name", "scopes", "token_format", "token_lifetime", "signing_algorithm", "claims", "status_list", "legacy",
    "self_service", "browsers",
)  # fmt: skip


def _transports(given: Sequence[str]) -> tuple[str, ...]:
    """One order, so that what is the same looks the same."""
    if not given:
        raise invalid("transports", "must be at least one: its keys could not be sent at all")
    return tuple(name for name in TRANSPORTS if name in given)


# How long the api's keys may live, and how long without being used.
KEY_RULES = ("unused_key_lifetime", "key_lifetime_limit")
# Verifiers tell of uses within half a minute; a rule must not be quicker than what it goes by.
KEY_RULES_FROM, KEY_LIFETIME_LIMIT = 3600, 10 * 365 * DAY


def checked(api: Api, policy: Policy) -> Api:
    """The api, if every field may stand as it is."""
    _check_identifier(api.identifier)
    named(api.name)
    _check_scopes(dict(api.scopes))
    _check_claims(dict(api.claims))
    if not 10 <= api.token_lifetime <= policy.token_lifetime_limit:
        raise invalid("token_lifetime", f"must be 10 to {policy.token_lifetime_limit} seconds")
    for name in KEY_RULES:
        span = getattr(api, name)
        if span is not None and not KEY_RULES_FROM <= span <= KEY_LIFETIME_LIMIT:
            raise invalid(name, f"must be {KEY_RULES_FROM} to {KEY_LIFETIME_LIMIT} seconds")
    if api.status_list and api.token_format != "jwt":
        raise invalid("status_list", "must be false unless tokens are JWTs")
    if not api.self_service <= api.scopes.keys():
        raise invalid("self_service", "must name scopes that the api defines")
    return api


def _check_identifier(identifier: str) -> None:
    """RFC 8707 §2: an absolute URI without a fragment; in plain ASCII too, since it is compared as text."""
    must = "must be an absolute https (or http on loopback) URI without user, query or fragment"
    if len(identifier) > 500 or not re.fullmatch(r"[!-~]+", identifier) or any(c in identifier for c in '#?@"\\<>'):
        raise invalid("identifier", must)
    try:
        parts = urlsplit(identifier)
        parts.port  # noqa: B018  raises when the port is no number
    except ValueError:
        raise invalid("identifier", must) from None
    local = parts.hostname in ("localhost", "127.0.0.1", "::1")
    if not parts.hostname or not (parts.scheme == "https" or (parts.scheme == "http" and local)):
        raise invalid("identifier", must)


def _check_scopes(scopes: dict[str, str]) -> None:
    if len(scopes) > 200:
        raise invalid("scopes", "must be at most 200")
    for name, sentence in scopes.items():
        try:
            one = parse_scope(name) == {name}
        except MalformedScope:
            one = False
        if not one or len(name) > 100:
            raise invalid("scopes", "must be named by printable ASCII without spaces, quotes or backslashes")
        if name in OIDC:
            # Whoever allows it would be shown one thing and give another: /oauth/userinfo answers to it too.
            raise invalid("scopes", "must not be named as a scope of OpenID Connect, such as email or profile")
        if not 1 <= len(sentence) <= 200 or not sentence.isprintable():
            raise invalid("scopes", "must each have a printable sentence of at most 200 characters")


def _check_claims(claims: dict[str, str]) -> None:
    """Custom claims are a mapping, never code; reserved names stay ours (T070: claim confusion)."""
    for name, source in claims.items():
        if name in RESERVED_CLAIMS or not CLAIM_NAME.fullmatch(name):
            raise invalid("claims", "must have names that are not reserved")
        if not CLAIM_SOURCE.fullmatch(source):
            raise invalid("claims", "must come from account, client or key: .id, .name or .metadata.NAME")


def show(api: Api) -> ApiObject:
    return ApiObject(
        api.id, api.identifier, api.name, dict(api.scopes), api.token_format, api.token_lifetime,
        api.signing_algorithm, dict(api.claims), api.status_list, list(api.limits),
        api.created_at, api.updated_at, api.version,
        api.legacy, sorted(api.self_service), list(api.transports), api.browsers,
        api.unused_key_lifetime, api.key_lifetime_limit, api_routes.shown(api),
    )  # fmt: skip
