"""The revocation log: which events end or change what a verifier may know of, and for how long that matters.

{"pos": "1:1042", "prev": "1:1017", "kind": "grant", "value": "grant_8sK2...", "effect": "dead", "exp": 1795559999}

An entry for a token or grant names it for good; one for a client or account hits the tokens with a smaller `pos`, so
that a later resume is no exception to anything. "changed" means: ask again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

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
from doorward.protocol.entities import JSON
from doorward.protocol.moment import Position

DEAD, CHANGED = "dead", "changed"
# Clocks differ.
LEEWAY = 60
# The longest access token, and the longest that a verifier remembers what it was told by introspection.
DEAD_LIFETIME = 3600 + LEEWAY
CHANGED_LIFETIME = 900 + LEEWAY


@dataclass(frozen=True, slots=True)
class Entry:
    """`api_id` is the one api whose verifiers hear of it; without it, those are found by what hangs on the value."""

    kind: str
    value: str
    effect: str
    expires_at: int
    api_id: str | None = None


@dataclass(frozen=True, slots=True)
class Placed:
    """An entry as an audience hears it: `seq` is that of the journal row that caused it."""

    seq: int
    entry: Entry


def entry(event: e.Event, now: int) -> Entry | None:
    """An event makes one entry at most, so that a position names it."""
    match event:
        case e.TokenRevoked():
            told = Entry("token", event.jti, DEAD, event.expires_at + LEEWAY, event.api_id)
            # What is for the issuer itself no verifier knows of.
            return told if event.api_id else None
        case e.GrantRevoked() | e.GrantChanged() | a.GrantTokensRevoked():
            grant = event.grant
            return _entry("grant", grant.id, not grant.has_ended, now, grant.api_id) if grant.api_id else None
        case e.ClientUpdated() | e.ClientDeleted():
            return _entry("client", event.client.id, event.client.state == "active", now)
        case k.ClientSecretRevoked():
            # What the secret gave is dead; with another one the client gets new tokens.
            return _entry("client", event.client.id, False, now)
        case e.AccountUpdated():
            return _entry("account", event.account.id, event.account.state == "active", now)
        case (
            e.ApiKeyRevoked() | e.ApiKeyUpdated() | e.ApiKeyExpired() | k.ApiKeySecretRevoked()
            | r.ApiKeyRotated() | r.ApiKeyOverlapBegun() | r.ApiKeyRotationCancelled()
        ):  # fmt: skip
            return _of_key(event, now)
        case e.ApiUpdated():
            return _entry("api", event.api.id, True, now, event.api.id)
        case p.UserUpdated():
            return _entry("user", event.user.id, event.user.state == "active", now)
        case p.SessionEnded():
            return _entry("session", event.session.id, False, now)
        case e.EverythingRevoked():
            return _entry("everything", "", False, now)
        case s.SigningKeyRemoved() if event.reason == "emergency":
            return _entry("signing_key", event.signing_key.id, False, now)
        case _:
            _untold(event)
            return None


OfKey = (
    e.ApiKeyRevoked | e.ApiKeyUpdated | e.ApiKeyExpired | k.ApiKeySecretRevoked
    | r.ApiKeyRotated | r.ApiKeyOverlapBegun | r.ApiKeyRotationCancelled
)  # fmt: skip


def _of_key(event: OfKey, now: int) -> Entry:
    """Of a secret that ends earlier than was said, its key is asked about again."""
    key = event.api_key
    if isinstance(event, e.ApiKeyExpired):
        return _entry("api_key", key.id, False, now, key.api_id)
    if isinstance(event, k.ApiKeySecretRevoked) and event.secret.legacy is None:
        # The secret alone: its sibling in rotation need not be asked about again (decision 12). Only an imported text
        # does not say which secret it is.
        return _entry("secret", event.secret.id, False, now, key.api_id)
    return _entry("api_key", key.id, isinstance(event, k.ApiKeySecretRevoked) or key.state == "active", now, key.api_id)


Untold = (
    # What is new hits nothing that is known; an api that is deleted had neither credentials nor verifiers.
    e.ApiCreated | e.ApiDeleted | e.AccountCreated | e.ApiKeyCreated | e.ClientCreated | e.GrantCreated
    | s.SigningKeyCreated | s.SigningKeyActivated | s.SigningKeyRetired | s.SigningKeyResealed | s.SecretsRotated
    # Of what the schedule removes nothing lives.
    | s.SigningKeyRemoved
    | e.AccessTokenIssued | a.AuthorizationRequested | a.AuthorizationDenied
    | a.CodeIssued | a.CodeRedeemed | a.RefreshTokenIssued | a.RefreshTokenRotated
    # A verifier's own end closes its streams; the rest is no credential that a verifier checks.
    | r.ClientSecretRotated | r.ClientOverlapBegun | r.ClientRotationCancelled
    | r.VerifierSecretRotated | r.VerifierOverlapBegun | r.VerifierRotationCancelled | k.VerifierSecretRevoked
    | e.VerifierCreated | e.VerifierRevoked | e.AdminKeyCreated | e.AdminKeyRevoked
    | e.SetupLinkCreated | e.SetupLinkUsed | e.CredentialRefused
    # Of another epoch everything is asked for anew.
    | b.OfRestores
    # What a leak ended has an event of its own.
    | k.LeakReported | k.LeakUpdated | k.DecoyTried
    # It stays as good as it was.
    | x.ApiKeySeen
    # What a person signs in with, and where, hits no token; the sessions that end with it are told one by one.
    | p.UserCreated | p.PasswordChanged | p.ResetLinkCreated | p.MembershipCreated
    | p.MembershipChanged | p.MembershipDeleted | p.SessionStarted
    # Who heard that a session ended changes nothing of that.
    | p.LogoutTokenDelivered | p.LogoutTokenUndelivered
    | u.OfUpstreams
    # An api says it by an event of its own.
    | g.OfGateways
    # The api itself is told as changed; a key that is found by another hash is the same key, and a new one is new.
    | y.LegacyTurned | y.ApiKeyRehashed | y.ApiKeySelfMade
)  # fmt: skip


def _untold(event: Untold) -> None:
    """An event that is neither told above nor named here is an error of types."""


def _entry(kind: str, value: str, lives: bool, now: int, api_id: str | None = None) -> Entry:
    effect, lifetime = (CHANGED, CHANGED_LIFETIME) if lives else (DEAD, DEAD_LIFETIME)
    return Entry(kind, value, effect, now + lifetime, api_id)


def chain(entries: Iterable[Placed], last: Position) -> tuple[list[dict[str, JSON]], Position]:
    """The entries as they are sent, each naming the one before it, the first one `last`; and the new last."""
    members: list[dict[str, JSON]] = []
    for placed in entries:
        before, last = last, Position(last.epoch, placed.seq)
        told = placed.entry
        members.append(
            {
                "pos": str(last), "prev": str(before), "kind": told.kind, "value": told.value,
                "effect": told.effect, "exp": told.expires_at,
            }
        )  # fmt: skip
    return members, last
