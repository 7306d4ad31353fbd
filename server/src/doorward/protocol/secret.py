"""Opaque secrets: minted, shown once, kept as HMAC-SHA256(pepper, SHA-256(text)) with the pepper's version.

{brand}{kind}_{env}_{id:12}{secret:32}{crc:6}
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from doorward.protocol.moment import Moment
from doorward_verify import api_key

ID_LENGTH = 12
SECRET_LENGTH = 32


@dataclass(frozen=True, slots=True)
class Pepper:
    """The deployment's peppers by version, kept outside the database; `current` makes new MACs."""

    versions: Mapping[int, bytes] = field(repr=False)
    current: int

    def mac(self, digest: bytes) -> bytes:
        return hmac.digest(self.versions[self.current], digest, "sha256")

    def macs(self, digest: bytes) -> list[bytes]:
        """The MACs under every pepper, the current one first: to find a secret by its digest alone."""
        versions = sorted(self.versions, key=lambda version: version != self.current)
        return [hmac.digest(self.versions[version], digest, "sha256") for version in versions]

    def matches(self, digest: bytes, secret: Secret | None) -> bool:
        """Whether `digest` is the secret's; an absent secret costs the same work and never matches (T045)."""
        version = self.current if secret is None else secret.pepper_version
        pepper = self.versions.get(version)
        if pepper is None:
            return False
        expected = _NOBODY if secret is None else secret.mac
        return hmac.compare_digest(hmac.digest(pepper, digest, "sha256"), expected) and secret is not None


_NOBODY = bytes(32)


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret of an api key, client, verifier or admin key; `id` is public and stands in the text."""

    id: str
    kind: str
    environment: str
    owner_id: str
    mac: bytes = field(repr=False)
    pepper_version: int
    created_at: int
    expires_at: int | None = None
    revoked_at: int | None = None
    superseded_at: int | None = None
    overlap: int | None = None  # how long it outlives the first use of its successor, while it waits for that
    legacy: str | None = None  # of an imported one: the public beginning of its text, empty where it has none
    bcrypt: str | None = field(default=None, repr=False)  # of an imported one until its first use: all that is known

    def is_live(self, now: int) -> bool:
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)

    def ended(self, now: int) -> Secret:
        """It waits for no successor any more."""
        return replace(self, revoked_at=now, overlap=None)


def mint(
    kind: str, environment: str, owner_id: str, *, brand: str, pepper: Pepper, moment: Moment
) -> tuple[str, Secret]:
    """A fresh secret: its text, to be shown once, and what is kept of it."""
    text = api_key.assemble(brand, kind, environment, moment.base62(ID_LENGTH), moment.base62(SECRET_LENGTH))
    found = api_key.parse(text, brand)
    mac = pepper.mac(api_key.digest(text))
    return text, Secret(found.id, kind, environment, owner_id, mac, pepper.current, moment.now)


def prefix(secret: Secret, brand: str) -> str:
    """The public beginning of the text: brand, kind, environment and id; of an imported one what it was said to be."""
    return secret.legacy if secret.legacy is not None else f"{brand}{secret.kind}_{secret.environment}_{secret.id}"
