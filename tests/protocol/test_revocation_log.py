"""The revocation log: which event tells what to whom, and for how long; and the chain that shows a gap."""

from __future__ import annotations

import typing
from dataclasses import replace
from typing import Any

import pytest
from tests.protocol.allowed import a_code, a_refresh_token, a_waiting_request
from tests.protocol.elsewhere import a_sign_in, an_identity
from tests.protocol.given import (
    CLIENT_SECRET,
    KEY,
    NOW,
    POLICY,
    a_client,
    a_grant,
    a_leak,
    a_logout_delivery,
    a_membership,
    a_password,
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
from doorward.protocol.events import Event
from doorward.protocol.moment import Position
from doorward.protocol.people import ResetLink
from doorward.protocol.revocation_log import LEEWAY, Entry, Placed, chain, entry

EVENTS: tuple[type[Any], ...] = typing.get_args(Event)
LINK = SetupLink("a digest", NOW + 60, NOW)
GRANT = a_grant().grant
SECRET = kept(KEY, "key_1")
CUT, ASK = NOW + 3600 + 60, NOW + 900 + 60

# event, what is told: kind, value, effect, until when, and the one api that hears it (or: found by the value)
TOLD: tuple[tuple[Event, Entry], ...] = (
    (e.TokenRevoked("jti_1", NOW + 5, False, "api_1"), Entry("token", "jti_1", "dead", NOW + 65, "api_1")),
    (e.TokenRevoked("opaque_1", NOW + 300, True, "api_2"), Entry("token", "opaque_1", "dead", NOW + 360, "api_2")),
    (e.GrantRevoked(a_grant(revoked_at=NOW).grant), Entry("grant", "grant_api_1", "dead", CUT, "api_1")),
    (v.GrantTokensRevoked(a_user_grant(tokens_revoked_at=NOW)), Entry("grant", "grant_u", "dead", CUT, "api_1")),
    (e.GrantChanged(GRANT), Entry("grant", "grant_api_1", "changed", ASK, "api_1")),
    (e.ClientUpdated(a_client(state="disabled").client), Entry("client", "client_1", "dead", CUT)),
    (e.ClientUpdated(a_client(name="renamed").client), Entry("client", "client_1", "changed", ASK)),
    # What a leaked secret of it gave is dead; what the client gets with another one is younger.
    (
        k.ClientSecretRevoked(a_client().client, kept(CLIENT_SECRET, "client_1")),
        Entry("client", "client_1", "dead", CUT),
    ),
    # A leaked secret of a key is named itself: its sibling in rotation goes on.
    (k.ApiKeySecretRevoked(an_api_key(), SECRET), Entry("secret", SECRET.id, "dead", CUT, "api_1")),
    # An imported text names none: its key is asked about anew.
    (
        k.ApiKeySecretRevoked(an_api_key(), replace(SECRET, legacy="sk_")),
        Entry("api_key", "key_1", "changed", ASK, "api_1"),
    ),
    (e.ClientDeleted(a_client(state="deleted").client), Entry("client", "client_1", "dead", CUT)),
    (e.AccountUpdated(an_account(state="suspended")), Entry("account", "acme", "dead", CUT)),
    (e.AccountUpdated(an_account()), Entry("account", "acme", "changed", ASK)),
    (e.ApiKeyRevoked(an_api_key(state="revoked")), Entry("api_key", "key_1", "dead", CUT, "api_1")),
    (e.ApiKeyExpired(an_api_key(), "unused"), Entry("api_key", "key_1", "dead", CUT, "api_1")),
    (e.ApiKeyUpdated(an_api_key()), Entry("api_key", "key_1", "changed", ASK, "api_1")),
    (e.ApiKeyUpdated(an_api_key(state="inactive")), Entry("api_key", "key_1", "dead", CUT, "api_1")),
    (r.ApiKeyRotated(an_api_key(), SECRET, ()), Entry("api_key", "key_1", "changed", ASK, "api_1")),
    (r.ApiKeyOverlapBegun(an_api_key(), SECRET), Entry("api_key", "key_1", "changed", ASK, "api_1")),
    (r.ApiKeyRotationCancelled(an_api_key(), SECRET, SECRET), Entry("api_key", "key_1", "changed", ASK, "api_1")),
    (e.ApiUpdated(an_api()), Entry("api", "api_1", "changed", ASK, "api_1")),
    (e.EverythingRevoked(), Entry("everything", "", "dead", CUT)),
    (p.UserUpdated(a_user(state="disabled")), Entry("user", "user_1", "dead", CUT)),
    (p.UserUpdated(a_user(name="renamed")), Entry("user", "user_1", "changed", ASK)),
    (p.SessionEnded(a_session(ended_at=NOW)), Entry("session", "session_1", "dead", CUT)),
    (s.SigningKeyRemoved(a_signing_key(), "emergency"), Entry("signing_key", "signing_1", "dead", CUT)),
)
SILENT: tuple[Event, ...] = (
    e.ApiCreated(an_api()),
    e.ApiDeleted(an_api()),
    g.RoutesChanged(an_api()),
    e.AccountCreated(an_account()),
    e.ApiKeyCreated(an_api_key(), kept(KEY, "key_1")),
    x.ApiKeySeen(an_api_key(), "url", NOW),
    e.ClientCreated(a_client().client, kept(CLIENT_SECRET, "client_1"), (GRANT,)),
    e.GrantCreated(GRANT),
    e.VerifierCreated(a_verifier().verifier, a_verifier().secrets[0]),
    e.VerifierRevoked(a_verifier().verifier),
    k.VerifierSecretRevoked(a_verifier().verifier, SECRET),
    e.AdminKeyCreated(an_admin_key().admin_key, an_admin_key().secret),
    e.AdminKeyRevoked(an_admin_key().admin_key),
    s.SigningKeyCreated(a_signing_key()),
    s.SigningKeyActivated(a_signing_key()),
    s.SigningKeyRetired(a_signing_key()),
    s.SigningKeyResealed(a_signing_key()),
    s.SecretsRotated("a fingerprint", "another", 2, 2),
    # Of what the schedule removes nothing lives.
    s.SigningKeyRemoved(a_signing_key(), "schedule"),
    # What is for the issuer itself no verifier knows of.
    v.GrantTokensRevoked(replace(a_user_grant(), api_id=None, tokens_revoked_at=NOW)),
    e.TokenRevoked("jti_1", NOW, False, ""),
    v.AuthorizationRequested(a_waiting_request()),
    v.AuthorizationDenied(a_waiting_request(), "user_1"),
    v.CodeIssued(a_user_grant(), a_code()),
    v.CodeRedeemed(a_code()),
    v.RefreshTokenIssued(a_refresh_token()),
    v.RefreshTokenRotated(a_refresh_token(), a_refresh_token("next")),
    p.UserCreated(a_user()),
    p.PasswordChanged(a_password()),
    p.ResetLinkCreated(ResetLink("a digest", "user_1", NOW + 60, NOW)),
    p.MembershipCreated(a_membership()),
    p.MembershipChanged(a_membership()),
    p.MembershipDeleted(a_membership()),
    p.SessionStarted(a_session()),
    u.UpstreamSignInBegun(a_sign_in()),
    u.UpstreamSignInEnded(a_sign_in()),
    u.IdentityAdded(an_identity()),
    u.IdentityClaimed(an_identity()),
    u.IdentityRemoved(an_identity()),
    p.LogoutTokenDelivered(a_logout_delivery()),
    p.LogoutTokenUndelivered(a_logout_delivery(), "status_500"),
    k.LeakReported(a_leak()),
    k.LeakUpdated(a_leak()),
    k.DecoyTried(an_api_key()),
    y.LegacyTurned("api_1", False),
    y.ApiKeyRehashed(an_api_key(), SECRET),
    y.ApiKeySelfMade(an_api_key(), SECRET),
    r.ClientSecretRotated(a_client().client, SECRET, ()),
    r.VerifierSecretRotated(a_verifier().verifier, SECRET, ()),
    r.ClientOverlapBegun(a_client().client, SECRET),
    r.VerifierOverlapBegun(a_verifier().verifier, SECRET),
    r.ClientRotationCancelled(a_client().client, SECRET, SECRET),
    r.VerifierRotationCancelled(a_verifier().verifier, SECRET, SECRET),
    # Of another epoch everything is asked for anew.
    b.DeploymentRestored(2, Position(1, 7), None),
    b.VerifierResumed(a_verifier().verifier),
    b.AdminKeyResumed(an_admin_key().admin_key),
    e.SetupLinkCreated(LINK),
    e.SetupLinkUsed(LINK),
    e.AccessTokenIssued("jti_1", "client_1", "grant_api_1", NOW),
    e.CredentialRefused("api_key", "key_1", "credential_revoked"),
)


def test_no_event_is_forgotten() -> None:
    assert {type(event) for event, _ in TOLD} | {type(event) for event in SILENT} == set(EVENTS)


@pytest.mark.parametrize(("event", "told"), TOLD, ids=[f"{type(event).__name__}-{told.effect}" for event, told in TOLD])
def test_what_ends_or_changes_something_is_told(event: Event, told: Entry) -> None:
    assert entry(event, NOW) == told


@pytest.mark.parametrize("event", SILENT, ids=lambda event: type(event).__name__)
def test_what_hits_nothing_that_a_verifier_knows_is_not_told(event: Event) -> None:
    assert entry(event, NOW) is None


@pytest.mark.parametrize(("event", "told"), TOLD)
def test_every_entry_comes_from_a_change(event: Event, told: Entry) -> None:
    """Positions are those of changes: what a record said could not be told by one."""
    assert e.is_change(event)


def test_an_entry_lives_as_long_as_the_longest_token_that_it_can_hit() -> None:
    for event, told in TOLD:
        if told.effect == "dead" and told.kind != "token":
            assert told.expires_at - NOW >= POLICY.token_lifetime_limit + LEEWAY, event


ENTRIES = tuple(Entry("token", f"jti_{n}", "dead", NOW + n) for n in range(3))


def test_each_entry_names_the_one_before_it_and_the_first_one_where_the_reader_was() -> None:
    placed = [Placed(seq, told) for seq, told in zip((5, 8, 13), ENTRIES, strict=True)]
    members, last = chain(placed, Position(2, 3))
    assert [(one["prev"], one["pos"]) for one in members] == [("2:3", "2:5"), ("2:5", "2:8"), ("2:8", "2:13")]
    assert last == Position(2, 13)
    assert members[0] == {
        "pos": "2:5", "prev": "2:3", "kind": "token", "value": "jti_0", "effect": "dead", "exp": NOW,
    }  # fmt: skip


def test_a_chain_of_nothing_ends_where_it_began() -> None:
    assert chain([], Position(2, 3)) == ([], Position(2, 3))
