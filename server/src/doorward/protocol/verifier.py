"""A verifier: a service that checks credentials of one api, with credentials of its own (decision 13)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from doorward.protocol import rotation
from doorward.protocol import secret as secrets
from doorward.protocol.admin import Asked, Nothing, Strict, current, found, named
from doorward.protocol.decision import Decision
from doorward.protocol.entities import UNUSED, Api, Usage, Verifier
from doorward.protocol.events import VerifierCreated, VerifierRevoked
from doorward.protocol.moment import Moment
from doorward.protocol.policy import Policy
from doorward.protocol.refusal import Conflict
from doorward.protocol.rotation import RotateSecret, SecretObject
from doorward.protocol.rotation_events import VerifierRotationCancelled, VerifierSecretRotated
from doorward.protocol.secret import Secret


@dataclass(frozen=True, slots=True)
class CreateVerifier(Strict):
    api: str
    name: str | None = None


@dataclass(frozen=True, slots=True)
class VerifierObject:
    client_id: str
    api: str
    name: str
    issuer: str
    state: str
    created_at: int
    revoked_at: int | None
    version: int
    legacy_keys: bool
    secrets: list[SecretObject]


@dataclass(frozen=True, slots=True)
class NewVerifierObject(VerifierObject):
    """The only answer that carries the secret."""

    client_secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class VerifierFacts:
    verifier: Verifier
    api: Api
    secrets: tuple[Secret, ...]
    by_secret: Mapping[str, Usage] = field(default_factory=dict)

    @property
    def refs(self) -> tuple[str, ...]:
        return (f"verifier/{self.verifier.id}", f"api/{self.api.id}")


@dataclass(frozen=True, slots=True)
class CreateFacts:
    api: Api | None


@dataclass(frozen=True, slots=True)
class Facts:
    verifier: VerifierFacts | None


def create(
    asked: Asked[CreateVerifier], facts: CreateFacts, policy: Policy, moment: Moment
) -> Decision[NewVerifierObject]:
    api = found(facts.api, "api")
    verifier = Verifier(moment.id("verifier"), api.id, named(asked.body.name or api.name), "active", moment.now)
    text, secret = secrets.mint("s", "live", verifier.id, brand=policy.brand, pepper=policy.pepper, moment=moment)
    shown = NewVerifierObject(**_fields(VerifierFacts(verifier, api, (secret,)), policy), client_secret=text)
    return Decision(shown, (VerifierCreated(verifier, secret),))


def rotate(asked: Asked[RotateSecret], facts: Facts, policy: Policy, moment: Moment) -> Decision[NewVerifierObject]:
    """A second secret beside the first one, which ends when the overlap is over."""
    verifier = current(facts.verifier.verifier if facts.verifier else None, asked, "verifier")
    assert facts.verifier is not None
    if verifier.state == "revoked":
        raise Conflict("the verifier was revoked")
    rotated = rotation.rotate(facts.verifier.secrets[-1], facts.verifier.secrets, asked.body, None, policy, moment)
    changed = replace(verifier, version=verifier.version + 1)
    kept = (*rotation.replaced(facts.verifier.secrets, *rotated.retired), rotated.secret)
    fields = _fields(replace(facts.verifier, verifier=changed, secrets=kept), policy)
    shown = NewVerifierObject(**fields, client_secret=rotated.text)
    return Decision(shown, (VerifierSecretRotated(changed, rotated.secret, rotated.retired),))


def cancel_rotation(
    asked: Asked[Nothing], facts: Facts, policy: Policy, moment: Moment
) -> Decision[VerifierObject]:  # fmt: skip
    """The new secret ends at once, and the old one goes on as before."""
    verifier = current(facts.verifier.verifier if facts.verifier else None, asked, "verifier")
    assert facts.verifier is not None
    cancelled = rotation.cancel(facts.verifier.secrets, moment)
    changed = replace(verifier, version=verifier.version + 1)
    kept = rotation.replaced(facts.verifier.secrets, cancelled.withdrawn, cancelled.restored)
    shown = show(replace(facts.verifier, verifier=changed, secrets=kept), policy)
    return Decision(shown, (VerifierRotationCancelled(changed, cancelled.withdrawn, cancelled.restored),))


def revoke(asked: Asked[Nothing], facts: Facts, policy: Policy, moment: Moment) -> Decision[VerifierObject]:
    verifier = current(facts.verifier.verifier if facts.verifier else None, asked, "verifier")
    assert facts.verifier is not None
    if verifier.state == "revoked":
        return Decision(show(facts.verifier, policy))
    revoked = replace(verifier, state="revoked", revoked_at=moment.now, version=verifier.version + 1)
    return Decision(show(replace(facts.verifier, verifier=revoked), policy), (VerifierRevoked(revoked),))


def show(facts: VerifierFacts, policy: Policy) -> VerifierObject:
    return VerifierObject(**_fields(facts, policy))


def _fields(facts: VerifierFacts, policy: Policy) -> dict[str, Any]:
    verifier = facts.verifier
    return {
        "client_id": verifier.id,
        "api": facts.api.identifier,
        "name": verifier.name,
        "issuer": policy.issuer,
        "state": verifier.state,
        "created_at": verifier.created_at,
        "revoked_at": verifier.revoked_at,
        "version": verifier.version,
        "legacy_keys": facts.api.legacy,
        "secrets": [rotation.show(one, facts.by_secret.get(one.id, UNUSED)) for one in facts.secrets],
    }
