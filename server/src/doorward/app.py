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
    envoy_check,
    exposure,
    feed,
    first_sign_in,
    gateway,
    gateway_check,
    grant,
    identity,
    interaction,
    introspection,
    key_check,
    key_import,
    leak,
    leak_report,
    logout,
    member_keys,
    membership,
    node,
    own_key,
    password,
    plaintext,
    rehash,
    revocation,
    revoke,
    rotation,
    session,
    setup,
    sign_in,
    signing_key,
    token,
    upstream_sign_in,
    usage,
    user,
    userinfo,
    verifier,
)  # fmt: skip
from doorward.protocol import connected_apps as apps
from doorward.protocol.decision import Decision
from doorward.protocol.grant_types import authorization_code, client_credentials, refresh_token
from doorward.protocol.moment import Moment
from doorward.protocol.policy import Policy
from doorward.store import (
    accounts,
    admin_keys,
    api_keys,
    apis,
    authorization_requests,
    clients,
    codes,
    gateway_checks,
    grants,
    idempotency,
    identities,
    imports,
    key_life,
    leaks,
    memberships,
    nodes,
    refresh_tokens,
    revocations,
    sessions,
    setup_links,
    signing_keys,
    tables,
    tokens,
    upstream_sign_ins,
    users,
    verifiers,
)  # fmt: skip
from doorward.store import connected_apps as app_rows
from doorward.store import member_keys as own_keys
from doorward.store import plaintext as plaintext_rows
from doorward.store.memory import Reader

# On the way to a code a browser comes back; the address of each step.
AUTHORIZATION: Mapping[str, Exchange[Any, Any, Any]] = {
    "/oauth/authorize": Exchange(interaction.Request, authorization_requests.begin_facts, interaction.begin),
    "/consent": Exchange(interaction.Resumed, authorization_requests.resume_facts, interaction.resume),
    "/consent answered": Exchange(interaction.Answered, authorization_requests.answer_facts, interaction.answer),
}

GRANT_TYPES: Mapping[str, Exchange[Any, Any, Any]] = {
    #                              parse                      gather               decide
    "client_credentials": Exchange(client_credentials.parse, clients.token_facts, client_credentials.decide),
    "authorization_code": Exchange(authorization_code.parse, codes.facts, authorization_code.decide),
    "refresh_token": Exchange(refresh_token.parse, refresh_tokens.facts, refresh_token.decide),
}

# Who asks for a token in the very same words again: what parses it is a look at what was asked (`web/issuing.py`).
AGAIN: Exchange[token.Terms, client_credentials.Facts, token.TokenResponse | None] = Exchange(
    token.Terms, clients.terms_facts, client_credentials.again
)

ENDPOINTS: Mapping[str, Exchange[Any, Any, Any]] = {
    "/oauth/introspect": Exchange(introspection.parse, tokens.introspection_facts, introspection.decide),
    "/oauth/revoke": Exchange(revocation.parse, tokens.revocation_facts, revocation.decide),
    "/oauth/userinfo": Exchange(userinfo.parse, tokens.userinfo_facts, userinfo.decide),
}

# Reads: nothing is decided but who may hear.
FEED: Mapping[str, Exchange[Any, Any, Any]] = {
    "/revocations": Exchange(feed.parse, verifiers.feed_facts, feed.decide),
    "/revocations/stream": Exchange(feed.parse_stream, verifiers.feed_facts, feed.decide),
}

# A count, not a change: it is added without an event.
USAGE: Mapping[str, Exchange[Any, Any, Any]] = {
    "/usage": Exchange(usage.parse, verifiers.usage_facts, usage.decide),
}

# What else verifiers tell there: keys that were seen where they do not belong.
EXPOSURES: Exchange[Any, Any, None] = Exchange(exposure.parse, api_keys.exposure_facts, exposure.decide)
# Hot: what a gateway asks about each request that comes to it, by the family of header fields that tell of it.
CHECKS: Mapping[str, Exchange[gateway.Request, gateway_check.Facts, gateway_check.Passage]] = {
    "/check/nginx": Exchange(gateway.of_nginx, gateway_checks.facts, gateway_check.decide),
    "/check/forward": Exchange(gateway.of_forward, gateway_checks.facts, gateway_check.decide),
    "/check/envoy": Exchange(gateway.of_envoy, gateway_checks.facts, gateway_check.decide),
    "/envoy.service.auth.v3.Authorization/Check": Exchange(
        envoy_check.request, gateway_checks.facts, gateway_check.decide
    ),
}

# Of any origin, several at once: what is ours ends.
LEAKS: Exchange[tuple[leak.Report, ...], leak.BatchFacts, tuple[leak.Outcome, ...]] = Exchange(
    tuple, leaks.facts, leak.decide
)

# The first use of a key that was imported by a slow hash.
REHASH: Exchange[Any, Any, None] = Exchange(rehash.Rehash, imports.rehash_facts, rehash.decide)

OWN_KEY_END: Exchange[Any, Any, own_key.RevokedObject] = Exchange(own_key.Request, api_keys.own_facts, own_key.revoke)

# In the clear, to a socket of ours or of a verifier.
PLAINTEXT: Exchange[Any, Any, plaintext.Burnt] = Exchange(plaintext.parse, plaintext_rows.facts, plaintext.decide)

SETUP: Exchange[Any, Any, Any] = Exchange(setup.UseLink, setup_links.facts, setup.use)
SETUP_CHECK: Exchange[Any, Any, Any] = Exchange(setup.UseLink, setup_links.facts, setup.check)

# What people do on their pages; slow work is done between two of these, and arrives in the second as a fact.
SIGN_IN: Exchange[Any, Any, session.Started] = Exchange(sign_in.Request, sessions.sign_in_facts, sign_in.decide)
# Elsewhere: the browser leaves, and comes back; in between the upstream is asked, which takes its time.
UPSTREAM: Mapping[str, Exchange[Any, Any, Any]] = {
    "begin": Exchange(upstream_sign_in.Begin, upstream_sign_ins.begin_facts, upstream_sign_in.begin),
    "arrive": Exchange(upstream_sign_in.Arrive, upstream_sign_ins.arrive_facts, upstream_sign_in.arrive),
    "sign in": Exchange(first_sign_in.Request, identities.first_sign_in_facts, first_sign_in.decide),
}
UNLINK: Exchange[Any, Any, None] = Exchange(identity.Unlink, identities.unlink_facts, identity.unlink)
LOGOUT: Exchange[Any, Any, logout.Done | logout.Question] = Exchange(
    logout.Request, sessions.logout_facts, logout.decide
)
SESSION_END: Exchange[Any, Any, int] = Exchange(session.End, sessions.end_facts, session.end_own)
PASSWORD_RESET: Exchange[Any, Any, Any] = Exchange(password.Reset, sessions.reset_facts, password.reset)
RESET_LINK: Exchange[Any, Any, password.Offered | None] = Exchange(password.Ask, users.ask_facts, password.ask)
DISCONNECT: Exchange[Any, Any, int] = Exchange(apps.Disconnect, app_rows.grants_facts, apps.disconnect)
KEY_MAKE: Exchange[Any, Any, api_key.NewKeyObject] = Exchange(member_keys.Make, own_keys.make_facts, member_keys.make)
KEY_ROTATE: Exchange[Any, Any, api_key.NewKeyObject] = Exchange(
    member_keys.Rotate, own_keys.rotate_facts, member_keys.rotate
)
KEY_END: Exchange[Any, Any, None] = Exchange(member_keys.EndKey, own_keys.key_facts, member_keys.end_key)
PASSWORD_CHANGE: Exchange[Any, Any, None] = Exchange(password.Change, sessions.change_facts, password.change)


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
    """What /v1 lists and shows: `find` reads one by its id, `show` makes the answer.

    A filter is equal to a column; a condition is made of the time and what was given.
    """

    path: str
    scope: str
    reply: type
    table: Table
    find: Callable[[Connection, str], Any]
    show: Callable[[Any, Policy], Any]
    filters: Mapping[str, tuple[str, Callable[[Connection, str], str]]] = field(default_factory=dict)
    conditions: Mapping[str, Callable[[int, str], Any]] = field(default_factory=dict)


def _api_id(connection: Connection, reference: str) -> str:
    """Filters name an api as freely as bodies do; one that does not exist has no members."""
    found = apis.by_reference(connection, reference)
    return "" if found is None else found.id


def _same(connection: Connection, value: str) -> str:  # noqa: ARG001
    return value


def _canonical(connection: Connection, value: str) -> str:  # noqa: ARG001
    return user.canonical(value)


def _user_id(connection: Connection, reference: str) -> str:
    """Filters name a user as bodies do; one that does not exist has nothing."""
    found = users.by_reference(connection, reference)
    return "" if found is None else found.user.id


def _plain(show: Callable[[Any], Any]) -> Callable[[Any, Policy], Any]:
    return lambda entity, policy: show(entity)  # noqa: ARG005


def _known_key(connection: Connection, id_: str) -> api_key.Facts | None:
    facts = api_keys.by_id(connection, id_)
    return None if facts.api_key is None else facts


BY_API = {"api": ("api_id", _api_id)}
BY_ACCOUNT = {"account": ("account_id", _same)}
BY_USER = {"user": ("user_id", _user_id)}

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
    Route("POST",   "/keys/verify/batch",      "keys:read",        key_check.CheckKeys,      key_check.KeyChecksObject,  api_keys.batch_facts,     key_check.decide_batch),
    Route("POST",   "/keys/import",            "keys:write",       key_import.ImportKeys,    key_import.ImportedObject,  imports.facts,            key_import.decide,     201),
    Route("POST",   "/keys/import/check",      "keys:write",       key_import.ImportKeys,    key_import.ImportedObject,  imports.facts,            key_import.check),
    Route("PATCH",  "/keys/{id}",              "keys:write",       api_key.UpdateKey,        api_key.KeyObject,          api_keys.facts,           api_key.update),
    Route("POST",   "/keys/{id}/revoke",       "keys:write",       admin.Nothing,            api_key.KeyObject,          api_keys.facts,           api_key.revoke),
    Route("POST",   "/keys/{id}/rotate",       "keys:write",       rotation.RotateKey,       api_key.NewKeyObject,       api_keys.facts,           api_key.rotate,        201),
    Route("POST",   "/keys/{id}/cancel-rotation", "keys:write", admin.Nothing, api_key.KeyObject, api_keys.facts, api_key.cancel_rotation),
    Route("POST",   "/keys/{id}/deactivate",   "keys:write",       admin.Nothing,            api_key.KeyObject,          api_keys.facts,           api_key.deactivate),
    Route("POST",   "/keys/{id}/activate",     "keys:write",       admin.Nothing,            api_key.KeyObject,          api_keys.facts,           api_key.activate),
    Route("POST",   "/clients",                "clients:write",    client.CreateClient,      client.NewClientObject,     clients.create_facts,     client.create,         201),
    Route("PATCH",  "/clients/{id}",           "clients:write",    client.UpdateClient,      client.ClientObject,        clients.facts,            client.update),
    Route("DELETE", "/clients/{id}",           "clients:write",    admin.Nothing,            None,                       clients.facts,            client.delete,         204),
    Route("POST",   "/clients/{id}/rotate-secret", "clients:write", rotation.RotateSecret,   client.NewClientObject,     clients.facts,            client.rotate_secret,  201),
    Route("POST",   "/clients/{id}/cancel-rotation", "clients:write", admin.Nothing, client.ClientObject, clients.facts, client.cancel_rotation),
    Route("POST",   "/grants/{id}/revoke",     "grants:write",     admin.Nothing,            grant.GrantObject,          grants.facts,             grant.revoke),
    Route("POST",   "/verifiers",              "verifiers:write",  verifier.CreateVerifier,  verifier.NewVerifierObject, verifiers.create_facts,   verifier.create,       201),
    Route("POST",   "/verifiers/{id}/rotate",  "verifiers:write",  rotation.RotateSecret,    verifier.NewVerifierObject, verifiers.facts,          verifier.rotate,       201),
    Route("POST",   "/verifiers/{id}/cancel-rotation", "verifiers:write", admin.Nothing, verifier.VerifierObject, verifiers.facts, verifier.cancel_rotation),
    Route("POST",   "/verifiers/{id}/revoke",  "verifiers:write",  admin.Nothing,            verifier.VerifierObject,    verifiers.facts,          verifier.revoke),
    Route("POST",   "/admin-keys",             "admin-keys:write", admin_key.CreateAdminKey, admin_key.NewAdminKeyObject, admin_keys.create_facts, admin_key.create,      201),
    Route("POST",   "/admin-keys/{id}/revoke", "admin-keys:write", admin.Nothing,            admin_key.AdminKeyObject,   admin_keys.facts,         admin_key.revoke),
    Route("POST",   "/signing-keys/rotate",    "signing-keys:write", signing_key.RotateSigningKeys, signing_key.RotationObject, signing_keys.facts, signing_key.rotate),
    Route("POST",   "/signing-keys/{id}/retire", "signing-keys:write", signing_key.RetireSigningKey, signing_key.RotationObject, signing_keys.facts, signing_key.retire),
    Route("POST",   "/users",                  "users:write",      user.CreateUser,          user.UserObject,            users.create_facts,       user.create,           201),
    Route("PATCH",  "/users/{id}",             "users:write",      user.UpdateUser,          user.UserObject,            users.facts,              user.update),
    Route("POST",   "/users/{id}/disable",     "users:write",      admin.Nothing,            user.UserObject,            users.facts,              user.disable),
    Route("POST",   "/users/{id}/enable",      "users:write",      admin.Nothing,            user.UserObject,            users.facts,              user.enable),
    Route("POST",   "/users/{id}/reset-password", "users:write",   admin.Nothing,            user.ResetLinkObject,       users.facts,              user.reset_password,   201),
    Route("POST",   "/memberships",            "memberships:write", membership.CreateMembership, membership.MembershipObject, memberships.create_facts, membership.create, 201),
    Route("PATCH",  "/memberships/{id}",       "memberships:write", membership.UpdateMembership, membership.MembershipObject, memberships.facts, membership.update),
    Route("DELETE", "/memberships/{id}",       "memberships:write", admin.Nothing,           None,                       memberships.facts,        membership.delete,     204),
    Route("POST",   "/identities",             "identities:write", identity.CreateIdentity,  identity.IdentityObject,    identities.create_facts,  identity.create,       201),
    Route("DELETE", "/identities/{id}",        "identities:write", admin.Nothing,            None,                       identities.facts,         identity.delete,       204),
    Route("POST",   "/sessions/{id}/revoke",   "sessions:write",   admin.Nothing,            session.SessionObject,      sessions.facts,           session.revoke),
    Route("POST",   "/leaks",                  "leaks:write",      leak_report.ReportLeaks,  leak_report.ReportedObject, leaks.report_facts,       leak_report.decide),
    Route("POST",   "/revocations",            "admin",            revoke.Revoke,            revoke.RevocationObject,    revocations.facts,        revoke.decide),
)  # fmt: skip

RESOURCES = (
    #        path             scope                reply                         table                find                     show                        filters
    Resource("/apis",         "apis:read",         api.ApiObject,                tables.apis,         apis.by_reference,       _plain(api.show),           {"identifier": ("identifier", _same)}),
    Resource("/accounts",     "accounts:read",     account.AccountObject,        tables.accounts,     accounts.by_id,          _plain(account.show)),
    Resource("/keys",         "keys:read",         api_key.KeyObject,            tables.api_keys,     _known_key,              api_key.show,               {**BY_API, **BY_ACCOUNT}, key_life.CONDITIONS),
    Resource("/clients",      "clients:read",      client.ClientObject,          tables.clients,      clients.by_id,           _plain(client.show),        BY_ACCOUNT),
    Resource("/users",        "users:read",        user.UserObject,              tables.users,        users.by_reference,      _plain(user.show),          {"username": ("canonical", _canonical)}),
    Resource("/memberships",  "memberships:read",  membership.MembershipObject,  tables.memberships,  memberships.by_id,       _plain(membership.show),    {**BY_ACCOUNT, **BY_USER}),
    Resource("/identities",   "identities:read",   identity.IdentityObject,      tables.identities,   identities.by_id,        identity.show,              BY_USER),
    Resource("/sessions",     "sessions:read",     session.SessionObject,        tables.sessions,     sessions.by_id,          _plain(session.show),       BY_USER),
    Resource("/grants",       "grants:read",        grant.GrantObject,            tables.grants,       grants.by_id,            _plain(grant.show),         {**BY_API, **BY_USER, "client": ("client_id", _same)}),
    Resource("/verifiers",    "verifiers:read",    verifier.VerifierObject,      tables.verifiers,    verifiers.by_id,         verifier.show,              BY_API),
    Resource("/leaks",        "leaks:read",         leak_report.LeakObject,       tables.leaks,        leaks.by_id,             _plain(leak_report.show),   {**BY_ACCOUNT, "outcome": ("outcome", _same)}),
    Resource("/admin-keys",   "admin-keys:read",   admin_key.AdminKeyObject,     tables.admin_keys,   admin_keys.by_id,        admin_key.show),
    Resource("/signing-keys", "signing-keys:read", signing_key.SigningKeyObject, tables.signing_keys, signing_keys.by_id,      signing_key.show),
    Resource("/nodes",        "nodes:read",         node.NodeObject,              tables.nodes,        nodes.by_id,             _plain(node.show),          {"name": ("name", _same)}),
)  # fmt: skip
