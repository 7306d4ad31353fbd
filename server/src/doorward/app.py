# ruff: noqa: E501  the table is wider than a page, so that it can be read as one
"""THE TABLE: every grant type, endpoint and admin route, one row each. Routes, discovery and OpenAPI come from here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

from sqlalchemy import Connection, Table

from doorward.exchange import Exchange
from doorward.protocol import (
    account,
    admin,
    admin_key,
    administration,
    api,
    api_key,
    client,
    feed,
    introspection,
    key_check,
    revocation,
    revoke,
    setup,
    signing_key,
    verifier,
)  # fmt: skip
from doorward.protocol.decision import Decision
from doorward.protocol.grant_types import client_credentials
from doorward.protocol.moment import Moment
from doorward.protocol.policy import Policy
from doorward.store import (
    accounts,
    admin_keys,
    api_keys,
    apis,
    clients,
    idempotency,
    revocations,
    setup_links,
    signing_keys,
    tables,
    tokens,
    verifiers,
)  # fmt: skip
from doorward.store.memory import Reader

GRANT_TYPES: Mapping[str, Exchange[Any, Any, Any]] = {
    #                              parse                      gather               decide
    "client_credentials": Exchange(client_credentials.parse, clients.token_facts, client_credentials.decide),
}

ENDPOINTS: Mapping[str, Exchange[Any, Any, Any]] = {
    "/oauth/introspect": Exchange(introspection.parse, tokens.introspection_facts, introspection.decide),
    "/oauth/revoke": Exchange(revocation.parse, tokens.revocation_facts, revocation.decide),
}

# Reads: nothing is decided but who may hear.
FEED: Mapping[str, Exchange[Any, Any, Any]] = {
    "/revocations": Exchange(feed.parse, verifiers.feed_facts, feed.decide),
    "/revocations/stream": Exchange(feed.parse_stream, verifiers.feed_facts, feed.decide),
}

SETUP: Exchange[Any, Any, Any] = Exchange(setup.UseLink, setup_links.facts, setup.use)


def caller_facts(read: Reader, who: administration.Presented | admin.Caller) -> admin_key.AdminKeyFacts | None:
    return read(admin_keys.by_secret_id, who.secret_id) if isinstance(who, administration.Presented) else None


@cache
def admission(scope: str) -> Exchange[Any, Any, admin.Caller]:
    """Who may come in to /v1 with this scope; refusing a key that exists is a record like any other."""
    return Exchange(administration.presented, caller_facts, partial(administration.admit, scope))


def administered(route: Route) -> Exchange[Any, Any, Any]:
    """A route of /v1 with what surrounds every one of them: who asks, what he may, and what he asked before."""

    def gather(read: Reader, request: administration.Request[Any]) -> administration.Facts:
        key = request.idempotency_key
        answered = idempotency.find(read.connection, key) if key else None
        return administration.Facts(caller_facts(read, request.who), answered, route.gather(read, request.asked))

    decide = partial(administration.decide, route.scope, route.decide)
    return Exchange(administration.Request, gather, decide)


@dataclass(frozen=True, slots=True)
class Route:
    """A change through /v1: the scope it needs, its body, what it answers, and how it decides."""

    method: str
    path: str
    scope: str
    body: type
    reply: type | None
    gather: Callable[[Reader, Any], Any]
    decide: Callable[[Any, Any, Policy, Moment], Decision[Any]]
    status: int = 200


@dataclass(frozen=True, slots=True)
class Resource:
    """What /v1 lists and shows: `find` reads one by its id, `show` makes the answer."""

    path: str
    scope: str
    reply: type
    table: Table
    find: Callable[[Connection, str], Any]
    show: Callable[[Any, Policy], Any]
    filters: Mapping[str, tuple[str, Callable[[Connection, str], str]]] = field(default_factory=dict)


def _api_id(connection: Connection, reference: str) -> str:
    """Filters name an api as freely as bodies do; one that does not exist has no members."""
    found = apis.by_reference(connection, reference)
    return "" if found is None else found.id


def _same(connection: Connection, value: str) -> str:  # noqa: ARG001
    return value


def _plain(show: Callable[[Any], Any]) -> Callable[[Any, Policy], Any]:
    return lambda entity, policy: show(entity)  # noqa: ARG005


def _known_key(connection: Connection, id_: str) -> api_key.Facts | None:
    facts = api_keys.by_id(connection, id_)
    return None if facts.api_key is None else facts


BY_API = {"api": ("api_id", _api_id)}
BY_ACCOUNT = {"account": ("account_id", _same)}

ROUTES = (
    #     method    path                       scope             body                      reply                       gather                    decide                 status
    Route("POST",   "/apis",                   "apis:write",       api.CreateApi,            api.ApiObject,              apis.create_facts,        api.create,            201),
    Route("PATCH",  "/apis/{id}",              "apis:write",       api.UpdateApi,            api.ApiObject,              apis.facts,               api.update),
    Route("DELETE", "/apis/{id}",              "apis:write",       admin.Nothing,            None,                       apis.facts,               api.delete,            204),
    Route("POST",   "/accounts",               "accounts:write",   account.CreateAccount,    account.AccountObject,      accounts.create_facts,    account.create,        201),
    Route("PATCH",  "/accounts/{id}",          "accounts:write",   account.UpdateAccount,    account.AccountObject,      accounts.facts,           account.update),
    Route("POST",   "/accounts/{id}/suspend",  "accounts:write",   admin.Nothing,            account.AccountObject,      accounts.facts,           account.suspend),
    Route("POST",   "/accounts/{id}/resume",   "accounts:write",   admin.Nothing,            account.AccountObject,      accounts.facts,           account.resume),
    Route("POST",   "/keys",                   "keys:write",       api_key.CreateKey,        api_key.NewKeyObject,       api_keys.create_facts,    api_key.create,        201),
    Route("POST",   "/keys/verify",            "keys:read",        key_check.CheckKey,       key_check.KeyCheckObject,   api_keys.check_facts,     key_check.decide),
    Route("PATCH",  "/keys/{id}",              "keys:write",       api_key.UpdateKey,        api_key.KeyObject,          api_keys.facts,           api_key.update),
    Route("POST",   "/keys/{id}/revoke",       "keys:write",       admin.Nothing,            api_key.KeyObject,          api_keys.facts,           api_key.revoke),
    Route("POST",   "/clients",                "clients:write",    client.CreateClient,      client.NewClientObject,     clients.create_facts,     client.create,         201),
    Route("PATCH",  "/clients/{id}",           "clients:write",    client.UpdateClient,      client.ClientObject,        clients.facts,            client.update),
    Route("DELETE", "/clients/{id}",           "clients:write",    admin.Nothing,            None,                       clients.facts,            client.delete,         204),
    Route("POST",   "/verifiers",              "verifiers:write",  verifier.CreateVerifier,  verifier.NewVerifierObject, verifiers.create_facts,   verifier.create,       201),
    Route("POST",   "/verifiers/{id}/revoke",  "verifiers:write",  admin.Nothing,            verifier.VerifierObject,    verifiers.facts,          verifier.revoke),
    Route("POST",   "/admin-keys",             "admin-keys:write", admin_key.CreateAdminKey, admin_key.NewAdminKeyObject, admin_keys.create_facts, admin_key.create,      201),
    Route("POST",   "/admin-keys/{id}/revoke", "admin-keys:write", admin.Nothing,            admin_key.AdminKeyObject,   admin_keys.facts,         admin_key.revoke),
    Route("POST",   "/revocations",            "admin",            revoke.Revoke,            revoke.RevocationObject,    revocations.facts,        revoke.decide),
)  # fmt: skip

RESOURCES = (
    #        path             scope                reply                         table                find                     show                        filters
    Resource("/apis",         "apis:read",         api.ApiObject,                tables.apis,         apis.by_reference,       _plain(api.show),           {"identifier": ("identifier", _same)}),
    Resource("/accounts",     "accounts:read",     account.AccountObject,        tables.accounts,     accounts.by_id,          _plain(account.show)),
    Resource("/keys",         "keys:read",         api_key.KeyObject,            tables.api_keys,     _known_key,              api_key.show,               {**BY_API, **BY_ACCOUNT}),
    Resource("/clients",      "clients:read",      client.ClientObject,          tables.clients,      clients.by_id,           _plain(client.show),        BY_ACCOUNT),
    Resource("/verifiers",    "verifiers:read",    verifier.VerifierObject,      tables.verifiers,    verifiers.by_id,         verifier.show,              BY_API),
    Resource("/admin-keys",   "admin-keys:read",   admin_key.AdminKeyObject,     tables.admin_keys,   admin_keys.by_id,        admin_key.show),
    Resource("/signing-keys", "signing-keys:read", signing_key.SigningKeyObject, tables.signing_keys, signing_keys.by_id,      _plain(signing_key.show)),
)  # fmt: skip
