"""A leak: a secret of ours that was found where it does not belong, and what ends with it (decision 16a).

What a report says of itself is never believed: a text is classified by its own form and checksum, and is ours when its
digest is. The secret alone ends, not its siblings; of a refresh token the grant, of an access token that token.
Whoever reported it, and where it was found, are words of strangers: kept short, and without what looks like a secret.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from doorward.protocol import admin_key, credential, grant
from doorward.protocol.admin import Asked, Nothing
from doorward.protocol.admin_key import AdminKeyFacts
from doorward.protocol.client import ClientFacts
from doorward.protocol.credential import ApiKeyFacts, Presented, RefreshTokenFacts, TokenFacts
from doorward.protocol.decision import Decision
from doorward.protocol.entities import Leak
from doorward.protocol.events import Event, TokenRevoked, entity_id
from doorward.protocol.leak_events import (
    ApiKeySecretRevoked,
    ClientSecretRevoked,
    LeakReported,
    LeakUpdated,
    SecretRevoked,
    VerifierSecretRevoked,
)
from doorward.protocol.moment import Moment
from doorward.protocol.policy import Policy
from doorward.protocol.refusal import Refusal
from doorward.protocol.secret import Secret
from doorward.protocol.verifier import VerifierFacts
from doorward_verify import api_key as form
from doorward_verify import jwt
from doorward_verify.mask import redact

REVOKED, FLAGGED, IGNORED, DECOY, ENDED = "revoked", "flagged", "ignored", "decoy", "ended"
TEXT_LIMIT = 16 * 1024
LOCATION_LIMIT = 500
LOCATIONS_LIMIT = 20


class TooManyReports(Refusal):
    """RFC 6585 §4: from one address, whatever it reports."""

    status = 429
    error = "slow_down"
    default_reason = "too_many_reports"


About = ApiKeyFacts | AdminKeyFacts | ClientFacts | VerifierFacts | RefreshTokenFacts | TokenFacts


@dataclass(frozen=True, slots=True)
class Report:
    """`revoke`: whoever holds the secret wants it ended, whatever the policy says of its kind; `spare`: it must not
    end by this report.
    """

    about: Presented = field(repr=False)
    origin: str
    location: str = ""
    revoke: bool = False
    spare: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of one reported text, and whether it was reported before."""

    about: About | None = None
    leak: Leak | None = None


@dataclass(frozen=True, slots=True)
class BatchFacts:
    each: tuple[Facts, ...]
    keys: jwt.Keys = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Known:
    """A reported secret that is ours: `ends` are the events that end it, none where it had ended before."""

    kind: str
    id: str
    owner_id: str
    account_id: str | None
    ends: tuple[Event, ...]
    is_decoy: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """`word` is revoked, flagged, ignored, decoy, ended (before), or unknown."""

    word: str
    known: Known | None = None


UNKNOWN = Outcome("unknown")


def classify(text: str, brand: str) -> Presented:
    """What a text is by its own form; what cannot be ours costs the database nothing."""
    text = text.strip()
    if len(text) > TEXT_LIMIT or not text.isascii():
        return Presented("unknown")
    about = credential.presented(text, brand)
    if about.kind != "unknown":
        return about
    try:
        found = form.parse(form.strip_uri_scheme(text), brand)
    except form.MalformedCredential:
        return about
    kind = {"a": "admin_key", "s": "secret"}.get(found.kind, "unknown")
    return Presented(kind, found.id, form.digest(form.strip_uri_scheme(text)))


def location(text: str) -> str:
    """Where a stranger says that he found it."""
    shown = redact(text[: 4 * LOCATION_LIMIT].strip())[:LOCATION_LIMIT]
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in shown)[:LOCATION_LIMIT]


def id_of(credential_id: str) -> str:
    """A secret leaks once, however often it is reported."""
    return f"leak_{credential_id}"


def decide(
    reports: tuple[Report, ...], facts: BatchFacts, policy: Policy, moment: Moment
) -> Decision[tuple[Outcome, ...]]:
    """Several reports at once; what two of them would end is ended once, and what ends comes first."""
    batch = _Batch({}, {}, {})
    outcomes = tuple(
        _decided(report, each, facts.keys, batch, policy, moment)
        for report, each in zip(reports, facts.each, strict=True)
    )
    return Decision(outcomes, (*batch.ended.values(), *batch.told()))


@dataclass(frozen=True, slots=True)
class _Batch:
    """What the reports so far have ended, and the leaks as they were and are now."""

    ended: dict[object, Event]
    before: dict[str, Leak | None]
    now: dict[str, Leak]

    def end(self, events: tuple[Event, ...]) -> None:
        for event in events:
            secret_id = event.secret.id if isinstance(event, SecretRevoked) else ""
            self.ended.setdefault((type(event), entity_id(event), secret_id), event)

    def told(self) -> tuple[Event, ...]:
        changed = ((self.before[id_], leak) for id_, leak in self.now.items() if leak != self.before[id_])
        return tuple(
            LeakReported(leak) if known is None else LeakUpdated(replace(leak, version=known.version + 1))
            for known, leak in changed
        )


def _decided(report: Report, facts: Facts, keys: jwt.Keys, batch: _Batch, policy: Policy, moment: Moment) -> Outcome:
    known = _known(report.about, facts.about, keys, policy, moment)
    if known is None:
        return UNKNOWN
    id_, word = id_of(known.id), _word(report, known, policy)
    before = batch.now.get(id_, facts.leak)
    if before is None and word in (IGNORED, ENDED):
        return Outcome(word, known)
    batch.before.setdefault(id_, facts.leak)
    batch.now[id_] = _first(known, word, report, moment) if before is None else _again(before, word, report, moment)
    if word == REVOKED:
        batch.end(known.ends)
    return Outcome(word, known)


def _word(report: Report, known: Known, policy: Policy) -> str:
    if known.is_decoy:
        return DECOY
    if not known.ends:
        return ENDED
    if report.revoke:
        return REVOKED
    if known.kind in policy.leaks_ignored:
        return IGNORED
    return FLAGGED if report.spare or known.kind in policy.leaks_flagged else REVOKED


def _first(known: Known, word: str, report: Report, moment: Moment) -> Leak:
    places = (report.location,) if report.location else ()
    return Leak(
        id_of(known.id), known.kind, known.id, known.owner_id, known.account_id, word, report.origin, places,
        moment.now, moment.now,
    )  # fmt: skip


def _again(before: Leak, word: str, report: Report, moment: Moment) -> Leak:
    """Forks report one secret a hundred times: only what is new of it is kept, and not without end."""
    places, place = before.locations, report.location
    if place and place not in places and len(places) < LOCATIONS_LIMIT:
        places = (*places, place)
    outcome = REVOKED if word == REVOKED else before.outcome
    if (places, outcome) == (before.locations, before.outcome):
        return before
    return replace(before, outcome=outcome, locations=places, updated_at=moment.now)


def _known(
    about: Presented, facts: About | None, keys: jwt.Keys, policy: Policy, moment: Moment
) -> Known | None:  # fmt: skip
    """Whose it is, if its digest or signature says so; else the same work is done in vain (T164)."""
    if facts is None:
        policy.pepper.matches(about.digest, None)
        return None
    return _KNOWN[type(facts)](about, facts, keys, policy, moment)


def _api_key(about: Presented, facts: ApiKeyFacts, keys: jwt.Keys, policy: Policy, moment: Moment) -> Known | None:
    verdict = credential.check_api_key(about.digest, facts, policy, moment)
    if not verdict.exists:
        return None
    key, secret = facts.api_key, facts.secret
    kind = "api_key" if key.environment == "live" else "test_api_key"
    is_dead = verdict.reason in ("credential_revoked", "credential_expired")
    ends = () if is_dead else (ApiKeySecretRevoked(key, secret.ended(moment.now)),)
    return Known(kind, secret.id, key.id, key.account_id, ends, is_decoy=key.state == "decoy")


def _admin_key(about: Presented, facts: AdminKeyFacts, keys: jwt.Keys, policy: Policy, moment: Moment) -> Known | None:
    if not policy.pepper.matches(about.digest, facts.secret):
        return None
    key = facts.admin_key
    is_dead = key.expires_at is not None and moment.now >= key.expires_at
    ended = admin_key.revoke(_NOBODY_ASKED, admin_key.Facts(facts), policy, moment).events
    return Known("admin_key", facts.secret.id, key.id, None, () if is_dead else ended)


def _client(about: Presented, facts: ClientFacts, keys: jwt.Keys, policy: Policy, moment: Moment) -> Known | None:
    secret = _matching(about, facts.secrets, policy)
    if secret is None:
        return None
    client = facts.client
    ends = (ClientSecretRevoked(client, secret.ended(moment.now)),) if secret.is_live(moment.now) else ()
    return Known("client_secret", secret.id, client.id, client.account_id, ends)


def _verifier(about: Presented, facts: VerifierFacts, keys: jwt.Keys, policy: Policy, moment: Moment) -> Known | None:
    secret = _matching(about, facts.secrets, policy)
    if secret is None:
        return None
    verifier = facts.verifier
    lives = verifier.state == "active" and secret.is_live(moment.now)
    ends = (VerifierSecretRevoked(verifier, secret.ended(moment.now)),) if lives else ()
    return Known("verifier_secret", secret.id, verifier.id, None, ends)


def _matching(about: Presented, kept: tuple[Secret, ...], policy: Policy) -> Secret | None:
    return next((secret for secret in kept if policy.pepper.matches(about.digest, secret)), None)


def _refresh_token(
    about: Presented, facts: RefreshTokenFacts, keys: jwt.Keys, policy: Policy, moment: Moment
) -> Known | None:
    """The grant ends (decision 9), also with a token that was rotated: who has that one may have the next."""
    verdict = credential.check_refresh_token(about.digest, facts, policy, moment)
    granted = facts.granted.grant
    if not verdict.exists:
        return None
    return Known("refresh_token", verdict.id, granted.id, granted.account_id, grant.end(granted, moment))


def _token(about: Presented, facts: TokenFacts, keys: jwt.Keys, policy: Policy, moment: Moment) -> Known | None:
    """That token alone, by its `jti`: it lives for minutes, and what it came from did not leak."""
    if about.kind == "jwt":
        verdict = credential.check_jwt(about.jwt, facts, keys, policy, moment)
    else:
        verdict = credential.check_opaque(about.digest, facts, policy, moment)
    if not verdict.exists:
        return None
    kind = "jwt" if facts.opaque is None else "opaque_token"
    account = facts.acts_for if facts.user else facts.account
    ends: tuple[Event, ...] = ()
    if verdict.active and verdict.claims is not None:
        expires_at = int(verdict.claims["exp"])  # type: ignore[arg-type]
        ends = (TokenRevoked(verdict.id, expires_at, facts.opaque is not None, facts.api.id if facts.api else ""),)
    return Known(kind, verdict.id, facts.grant.id, account.id if account else None, ends)


_NOBODY_ASKED: Asked[Nothing] = Asked(Nothing())
_KNOWN: Mapping[type[Any], Callable[..., Known | None]] = {
    ApiKeyFacts: _api_key, AdminKeyFacts: _admin_key, ClientFacts: _client, VerifierFacts: _verifier,
    RefreshTokenFacts: _refresh_token, TokenFacts: _token,
}  # fmt: skip
KINDS = (
    "api_key", "test_api_key", "client_secret", "verifier_secret", "admin_key", "refresh_token", "opaque_token", "jwt",
)  # fmt: skip
