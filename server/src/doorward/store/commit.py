"""What events do to the rows: one `match` arm an entity here, one an event there; none can be forgotten."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any, assert_never

from sqlalchemy import Connection

from doorward.protocol import authorization_events as a
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
from doorward.store import (
    accounts,
    admin_keys,
    api_keys,
    apis,
    authorization_requests,
    clients,
    codes,
    deployment,
    grants,
    identities,
    leaks,
    logout_deliveries,
    memberships,
    refresh_tokens,
    restores,
    routes,
    secrets,
    sessions,
    setup_links,
    signing_keys,
    tokens,
    upstream_sign_ins,
    users,
    verifiers,
)


def apply_all(connection: Connection, events: Iterable[e.Event], now: int) -> None:
    """In their order; neighbours of one kind together where there may be a thousand of them."""
    for kind, alike in groupby(events, type):
        together = _TOGETHER.get(kind)
        if together is not None:
            together(connection, [*alike], now)
            continue
        for event in alike:
            apply(connection, event, now)


def apply_crowd(connection: Connection, events: Iterable[e.Event], now: int) -> None:
    """Of many decisions at once, all of kinds in CROWD, a few statements for each kind; raises Stale as `apply`."""
    by_kind: dict[type, list[Any]] = {}
    for event in events:
        by_kind.setdefault(type(event), []).append(event)
    for kind, alike in by_kind.items():
        CROWD[kind](connection, alike, now)


# What comes in crowds. Nobody else's events in a batch touch their rows, so that it is no matter what is written first.
CROWD: Mapping[type, Callable[[Connection, Sequence[Any], int], None]] = {
    e.AccessTokenIssued: tokens.issue_all, a.RefreshTokenIssued: refresh_tokens.issue_all,
    a.RefreshTokenRotated: refresh_tokens.rotate_all, a.CodeIssued: codes.issue_all, a.CodeRedeemed: codes.redeem_all,
}  # fmt: skip

_TOGETHER: Mapping[type, Callable[[Connection, Sequence[Any], int], None]] = {
    k.ApiKeySecretRevoked: leaks.end_all, k.LeakReported: leaks.report_all,
}  # fmt: skip


def apply(connection: Connection, event: e.Event, now: int) -> None:
    """Raises Stale when a guard of the event does not hold any more."""
    match event:
        # The records come first: they are many.
        case e.AccessTokenIssued() | e.TokenRevoked():
            tokens.apply(connection, event, now)
        case e.CredentialRefused():
            pass  # the journal row is all there is
        case e.ApiCreated() | e.ApiUpdated() | e.ApiDeleted() | y.LegacyTurned():
            apis.apply(connection, event)
        case g.RoutesChanged():
            routes.apply(connection, event)
        case e.AccountCreated() | e.AccountUpdated():
            accounts.apply(connection, event)
        case (
            e.ApiKeyCreated() | e.ApiKeyUpdated() | e.ApiKeyRevoked() | e.ApiKeyExpired() | y.ApiKeyRehashed()
            | y.ApiKeySelfMade() | x.ApiKeySeen()
        ):  # fmt: skip
            api_keys.apply(connection, event)
        case e.ClientCreated() | e.ClientUpdated() | e.ClientDeleted():
            clients.apply(connection, event, now)
        case e.GrantCreated() | e.GrantChanged() | e.GrantRevoked():
            grants.apply(connection, event)
        case e.VerifierCreated() | e.VerifierRevoked():
            verifiers.apply(connection, event)
        case e.AdminKeyCreated() | e.AdminKeyRevoked():
            admin_keys.apply(connection, event)
        case s.SecretsRotated() | e.EverythingRevoked():
            deployment.apply(connection, event)
        case b.DeploymentRestored() | b.VerifierResumed() | b.AdminKeyResumed():
            restores.apply(connection, event, now)
        case (
            s.SigningKeyCreated() | s.SigningKeyActivated() | s.SigningKeyRetired() | s.SigningKeyRemoved()
            | s.SigningKeyResealed()
        ):  # fmt: skip
            signing_keys.apply(connection, event)
        case e.SetupLinkCreated() | e.SetupLinkUsed():
            setup_links.apply(connection, event)
        case _:
            _apply_of_secrets(connection, event, now)


def _apply_of_secrets(
    connection: Connection, event: k.OfLeaks | r.OfSecrets | a.Authorizing | p.OfPeople | u.OfUpstreams, now: int
) -> None:
    match event:
        case k.LeakReported() | k.LeakUpdated() | k.DecoyTried():
            leaks.apply(connection, event, now)
        case k.ApiKeySecretRevoked() | k.ClientSecretRevoked() | k.VerifierSecretRevoked():
            leaks.apply(connection, event, now)
        case (
            r.ApiKeyRotated() | r.ClientSecretRotated() | r.VerifierSecretRotated()
            | r.ApiKeyOverlapBegun() | r.ClientOverlapBegun() | r.VerifierOverlapBegun()
            | r.ApiKeyRotationCancelled() | r.ClientRotationCancelled() | r.VerifierRotationCancelled()
        ):  # fmt: skip
            secrets.apply(connection, event)
        case _:
            _apply_of_people(connection, event, now)


def _apply_of_people(connection: Connection, event: a.Authorizing | p.OfPeople | u.OfUpstreams, now: int) -> None:
    match event:
        case a.GrantTokensRevoked():
            grants.apply(connection, event)
        case a.AuthorizationRequested() | a.AuthorizationDenied():
            authorization_requests.apply(connection, event, now)
        case a.CodeIssued() | a.CodeRedeemed():
            codes.apply(connection, event, now)
        case a.RefreshTokenIssued() | a.RefreshTokenRotated():
            refresh_tokens.apply(connection, event)
        case p.UserCreated() | p.UserUpdated() | p.PasswordChanged() | p.ResetLinkCreated():
            users.apply(connection, event)
        case p.MembershipCreated() | p.MembershipChanged() | p.MembershipDeleted():
            memberships.apply(connection, event)
        case p.SessionStarted() | p.SessionEnded():
            sessions.apply(connection, event)
        case p.LogoutTokenDelivered() | p.LogoutTokenUndelivered():
            logout_deliveries.apply(connection, event)
        case u.UpstreamSignInBegun() | u.UpstreamSignInEnded():
            upstream_sign_ins.apply(connection, event)
        case u.IdentityAdded() | u.IdentityClaimed() | u.IdentityRemoved():
            identities.apply(connection, event)
        case _:
            assert_never(event)
