"""Everything that can happen names what it touches, and what the audit log keeps of it holds nothing secret (law 5)."""

from __future__ import annotations

import base64
import dataclasses
import json
import types
import typing
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from tests.protocol.allowed import a_code, a_refresh_token, a_waiting_request
from tests.protocol.elsewhere import a_sign_in, an_identity, an_invitation
from tests.protocol.given import (
    CLIENT_SECRET,
    KEY,
    NOW,
    a_client,
    a_grant,
    a_leak,
    a_logout_delivery,
    a_membership,
    a_password,
    a_secret,
    a_session,
    a_signing_key,
    a_user,
    a_user_grant,
    a_verifier,
    an_account,
    an_admin_key,
    an_api,
    an_api_key,
    kept,
)

from doorward.protocol import authorization_events as v
from doorward.protocol import events as e
from doorward.protocol import exposure_events as x
from doorward.protocol import gateway_events as g
from doorward.protocol import key_events as y
from doorward.protocol import leak_events as k
from doorward.protocol import people_events as p
from doorward.protocol import restore_events as b
from doorward.protocol import rotation_events as r
from doorward.protocol import signing_key_events as s
from doorward.protocol import upstream_events as u
from doorward.protocol.entities import SetupLink
from doorward.protocol.events import Event, entity_id, is_change, particulars
from doorward.protocol.moment import Position
from doorward.protocol.people import ResetLink
from doorward.protocol.replay import Replay

EVENTS: tuple[type[Any], ...] = typing.get_args(Event)
CANARY = b"canary-of-what-is-secret"
LINK = SetupLink("a digest", NOW + 60, NOW)
SECRET = kept(KEY, "key_1")
NEWER = kept(a_secret(seed="newer"), "key_1")
ADMIN = an_admin_key()
GRANT = a_grant().grant

ALLOWED = {"grant_id": "grant_u", "client_id": "client_1", "scope": ["read"], "user_id": "user_1"}
FAMILY = {"client_id": "client_1", "grant_id": "grant_u"}
GRANTED = {"grant_id": "grant_api_1", "client_id": "client_1", "scope": ["read", "write"]}
SIGNS = {"kid": "signing_1", "purpose": "token", "algorithm": "ES256", "state": "active"}
ADA = {"username": "Ada", "state": "active", "role": "member"}
BELONGS = {"account": "acme", "role": "developer"}
LINKED = {"identity": "identity_1", "issuer": "https://login.acme.example", "subject": "00u1a2b3"}
NOTICE = {"client_id": "client_1", "user_id": "user_1", "attempts": 0}
LEFT = {"upstream": "acme", "address": "192.0.2.1"}
SIGNED_IN = {"session": "session_1", "user": "user_1", "address": "192.0.2.1"}
READ, LIST, WRITE = ({"path": f"/{name}", "methods": ["GET"]} for name in ("read", "list", "write"))
REROUTED = {"api": "api_1", "added": [LIST], "removed": [WRITE]}
INVOICES = {"identifier": "https://api.example.com", "name": "invoices"}

# event, what it touches, what the audit log keeps
LEAKED = {
    "credential": "api_key", "credential_id": a_leak().credential_id, "owner": "key_1", "account": "acme",
    "outcome": "revoked", "origin": "github", "locations": ["a fork"],
}  # fmt: skip
TOLD: tuple[tuple[Event, str, dict[str, Any]], ...] = (
    (e.ApiCreated(an_api()), "api/api_1", INVOICES),
    (e.ApiUpdated(an_api()), "api/api_1", INVOICES),
    (e.ApiDeleted(an_api()), "api/api_1", INVOICES),
    (g.RoutesChanged(an_api(routes=(READ, LIST)), (READ, WRITE)), "route/all", REROUTED),
    (e.AccountCreated(an_account()), "account/acme", {"name": "Acme Inc", "state": "active"}),
    (e.AccountUpdated(an_account(state="suspended")), "account/acme", {"name": "Acme Inc", "state": "suspended"}),
    (e.ApiKeyCreated(an_api_key(), SECRET), "api_key/key_1",
        {"account": "acme", "api": "api_1", "state": "active"}),
    (e.ApiKeyUpdated(an_api_key()), "api_key/key_1",
        {"account": "acme", "api": "api_1", "state": "active"}),
    (e.ApiKeyRevoked(an_api_key(state="revoked")), "api_key/key_1",
        {"account": "acme", "api": "api_1", "state": "revoked"}),
    (e.ApiKeyExpired(an_api_key(), "unused"), "api_key/key_1", {"account": "acme", "api": "api_1", "reason": "unused"}),
    (e.ClientCreated(a_client().client, kept(CLIENT_SECRET, "client_1"), (GRANT,)), "client/client_1",
        {"account": "acme", "name": "worker", "state": "active"}),
    (e.ClientUpdated(a_client(state="disabled").client), "client/client_1",
        {"account": "acme", "name": "worker", "state": "disabled"}),
    (e.ClientDeleted(a_client(state="deleted").client), "client/client_1",
        {"account": "acme", "name": "worker", "state": "deleted"}),
    # Whoever relied on a client relied on which grants it has: a new one touches the client.
    (e.GrantCreated(GRANT), "client/client_1", GRANTED),
    (e.GrantChanged(GRANT), "grant/grant_api_1", GRANTED),
    (e.GrantRevoked(GRANT), "grant/grant_api_1", GRANTED),
    (v.GrantTokensRevoked(a_user_grant()), "grant/grant_u", ALLOWED),
    # What a code and its grant are is known by the grant alone: no journal holds what was made from a code.
    (v.CodeIssued(a_user_grant(), a_code(), a_waiting_request()), "grant/grant_u", ALLOWED),
    (v.CodeRedeemed(a_code()), "code/grant_u", {"client_id": "client_1", "user_id": "user_1"}),
    (v.AuthorizationRequested(a_waiting_request()), "authorization_request/authorization_1",
        {"client_id": "client_1"}),
    (v.AuthorizationDenied(a_waiting_request(), "user_1"), "authorization_request/authorization_1",
        {"client_id": "client_1", "user_id": "user_1"}),
    (v.RefreshTokenIssued(a_refresh_token()), f"refresh_token/{a_refresh_token().id}", FAMILY),
    (v.RefreshTokenRotated(a_refresh_token(), a_refresh_token("next")), f"refresh_token/{a_refresh_token().id}",
        FAMILY),
    (e.VerifierCreated(a_verifier().verifier, SECRET), "verifier/verifier_1", {"api": "api_1", "name": "billing"}),
    (e.VerifierRevoked(a_verifier().verifier), "verifier/verifier_1", {"api": "api_1", "name": "billing"}),
    (e.AdminKeyCreated(ADMIN.admin_key, ADMIN.secret), "admin_key/admin_1", {"name": "ci"}),
    (e.AdminKeyRevoked(ADMIN.admin_key), "admin_key/admin_1", {"name": "ci"}),
    (s.SigningKeyCreated(a_signing_key()), "signing_key/all", SIGNS),
    (s.SigningKeyActivated(a_signing_key()), "signing_key/all", SIGNS),
    (s.SigningKeyRetired(replace(a_signing_key(), state="retired")), "signing_key/all", {**SIGNS, "state": "retired"}),
    (s.SigningKeyRemoved(replace(a_signing_key(), state="removed"), "emergency"), "signing_key/all",
        {**SIGNS, "state": "removed", "reason": "emergency"}),
    (s.SigningKeyResealed(a_signing_key()), "signing_key/all", SIGNS),
    (s.SecretsRotated("a fingerprint", "another", 2, 3), "deployment/secrets",
        {"master_key_version": 2, "pepper_version": 3}),
    (e.EverythingRevoked(), "deployment/all", {}),
    (b.DeploymentRestored(7, Position(1, 42), Replay(50)), "deployment/restored",
        {"epoch": 7, "backup": "1:42", "replayed_to": 50}),
    (b.VerifierResumed(a_verifier().verifier), "verifier/verifier_1", {"api": "api_1", "name": "billing"}),
    (b.AdminKeyResumed(ADMIN.admin_key), "admin_key/admin_1", {"name": "ci"}),
    (e.TokenRevoked("jti_1", NOW, True, "api_1"), "token/jti_1", {"api": "api_1", "exp": NOW, "opaque": True}),
    (p.UserCreated(a_user()), "user/user_1", ADA),
    (p.UserUpdated(a_user(state="disabled")), "user/user_1", {**ADA, "state": "disabled"}),
    (p.PasswordChanged(a_password()), "user/user_1", {}),
    (p.ResetLinkCreated(ResetLink("a digest", "user_1", NOW + 60, NOW)), "user/user_1", {"expires_at": NOW + 60}),
    # Whoever relied on a user relied on what he belongs to, and on where he is signed in.
    (p.MembershipCreated(a_membership()), "user/user_1", BELONGS),
    (p.MembershipChanged(a_membership(role="owner")), "user/user_1", {**BELONGS, "role": "owner"}),
    (p.MembershipDeleted(a_membership()), "user/user_1", BELONGS),
    (p.SessionStarted(a_session()), "user/user_1", SIGNED_IN),
    (p.SessionEnded(a_session(ended_at=NOW)), "session/session_1", SIGNED_IN),
    (p.LogoutTokenDelivered(a_logout_delivery()), "session/session_1", NOTICE),
    (p.LogoutTokenUndelivered(a_logout_delivery(), "status_500"), "session/session_1",
        {**NOTICE, "reason": "status_500"}),
    (u.UpstreamSignInBegun(a_sign_in()), "upstream_sign_in/upstream_1", LEFT),
    (u.UpstreamSignInEnded(a_sign_in(ended_at=NOW)), "upstream_sign_in/upstream_1", LEFT),
    (u.IdentityAdded(an_invitation()), "user/user_1", {**LINKED, "identity": "identity_2", "subject": None}),
    (u.IdentityClaimed(an_identity()), "user/user_1", LINKED),
    (u.IdentityRemoved(an_identity()), "user/user_1", LINKED),
    (k.LeakReported(a_leak()), f"leak/{a_leak().id}", LEAKED),
    (k.LeakUpdated(a_leak(locations=())), f"leak/{a_leak().id}", {**LEAKED, "locations": []}),
    (k.ApiKeySecretRevoked(an_api_key(), SECRET), "api_key/key_1",
        {"account": "acme", "api": "api_1", "secret": SECRET.id}),
    (k.VerifierSecretRevoked(a_verifier().verifier, SECRET), "verifier/verifier_1",
        {"api": "api_1", "secret": SECRET.id}),
    (k.ClientSecretRevoked(a_client().client, SECRET), "client/client_1", {"account": "acme", "secret": SECRET.id}),
    (k.DecoyTried(an_api_key()), "api_key/key_1", {"account": "acme", "api": "api_1"}),
    (r.ApiKeyRotated(an_api_key(), NEWER, (SECRET,)), "api_key/key_1", {"secret": NEWER.id, "retired": [SECRET.id]}),
    (r.ApiKeyOverlapBegun(an_api_key(), replace(SECRET, expires_at=NOW)), "api_key/key_1",
        {"waiting": SECRET.id, "ends_at": NOW}),
    (x.ApiKeySeen(an_api_key(), "url", NOW), "api_key/key_1",
        {"account": "acme", "api": "api_1", "where": "url", "seen_at": NOW}),
    (r.ClientSecretRotated(a_client().client, NEWER, (SECRET,)), "client/client_1",
        {"secret": NEWER.id, "retired": [SECRET.id]}),
    (r.VerifierSecretRotated(a_verifier().verifier, NEWER, ()), "verifier/verifier_1",
        {"secret": NEWER.id, "retired": []}),
    # Whoever remembered which apis take imported keys, and whoever counted an account's keys, does so anew.
    (y.LegacyTurned("api_1", True), "legacy/any", {"api": "api_1", "legacy": True}),
    (y.ApiKeySelfMade(an_api_key(user_id="user_1"), SECRET), "keys_of/acme",
        {"key": "key_1", "api": "api_1", "user": "user_1"}),
    (y.ApiKeyRehashed(an_api_key(), SECRET), "api_key/key_1", {"secret": SECRET.id}),
    *((begun, touched, {"waiting": SECRET.id, "ends_at": None}) for begun, touched in (
        (r.ClientOverlapBegun(a_client().client, SECRET), "client/client_1"),
        (r.VerifierOverlapBegun(a_verifier().verifier, SECRET), "verifier/verifier_1"),
    )),
    *((cancelled, touched, {"withdrawn": NEWER.id, "restored": SECRET.id}) for cancelled, touched in (
        (r.ApiKeyRotationCancelled(an_api_key(), NEWER, SECRET), "api_key/key_1"),
        (r.ClientRotationCancelled(a_client().client, NEWER, SECRET), "client/client_1"),
        (r.VerifierRotationCancelled(a_verifier().verifier, NEWER, SECRET), "verifier/verifier_1"),
    )),
    (e.SetupLinkCreated(LINK), "setup/first", {"expires_at": NOW + 60}),
    (e.SetupLinkUsed(LINK), "setup/first", {"expires_at": NOW + 60}),
    (e.AccessTokenIssued("jti_1", "client_1", "grant_api_1", NOW), "token/jti_1",
        {"client_id": "client_1", "grant_id": "grant_api_1", "exp": NOW}),
    (e.CredentialRefused("api_key", "key_1", "credential_revoked"), "credential/key_1",
        {"credential": "api_key", "reason": "credential_revoked"}),
)  # fmt: skip


def test_every_event_is_told_of() -> None:
    assert {type(event) for event, _, _ in TOLD} == set(EVENTS)


@pytest.mark.parametrize(("event", "touched", "kept"), TOLD, ids=[type(event).__name__ for event, _, _ in TOLD])
def test_an_event_names_what_it_touches_and_what_is_kept_of_it(
    event: Event, touched: str, kept: dict[str, Any]
) -> None:
    assert f"{event.entity}/{entity_id(event)}" == touched
    assert particulars(event) == kept


def test_records_make_no_facts_stale_and_everything_else_does() -> None:
    records = {e.AccessTokenIssued, e.CredentialRefused, v.AuthorizationRequested, v.RefreshTokenIssued}
    records |= {k.DecoyTried, u.UpstreamSignInBegun, p.LogoutTokenDelivered, p.LogoutTokenUndelivered}
    assert {type(event) for event, _, _ in TOLD if not is_change(event)} == records


def filled(kind: Any) -> Any:
    """A value of this type in which all that is secret, or made from a secret, is the canary."""
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        fields = dataclasses.fields(kind)
        secret = {field.name for field in fields if field.name in ("digest", "bcrypt")}
        return kind(**{f.name: CANARY.decode() if f.name in secret else filled(hints[f.name]) for f in fields})
    members = typing.get_args(kind)
    match typing.get_origin(kind) or kind:
        case types.UnionType:
            return filled(next(member for member in members if member is not type(None)))
        case kind if kind is tuple:
            return (filled(members[0]),)
        case kind if kind is frozenset:
            return frozenset({"read"})
        case kind if kind is typing.Literal:
            return members[0]
        case kind if kind is Mapping:
            return {"plan": "gold"}
        case kind:
            return {bytes: CANARY, str: "text", int: 1, bool: True}[kind]


@pytest.mark.parametrize("kind", EVENTS)
def test_what_is_kept_of_an_event_holds_nothing_secret_nor_made_from_a_secret(kind: type[Any]) -> None:
    event = filled(kind)
    kept = json.dumps(particulars(event))
    assert entity_id(event)
    for text in (CANARY.decode(), CANARY.hex(), base64.b64encode(CANARY).decode()):
        assert text not in kept + entity_id(event)


@pytest.mark.parametrize("kind", [kind for kind in EVENTS if "Setup" not in kind.__name__])
def test_an_event_shows_nothing_secret_in_its_repr(kind: type[Any]) -> None:
    assert CANARY.decode() not in repr(filled(kind))


def test_the_canary_is_where_secrets_are() -> None:
    created = filled(e.ApiKeyCreated)
    assert created.secret.mac == filled(s.SigningKeyCreated).signing_key.private_key == CANARY
    assert filled(e.AccessTokenIssued).opaque_token.mac == CANARY
    assert filled(e.SetupLinkUsed).link.digest == CANARY.decode()
