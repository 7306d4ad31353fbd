"""The master keys and peppers that a node holds, by version; which of them are current, the database says.

A database is made with some of them, and knows their fingerprint. Whoever holds more, such as the next ones, can still
tell which they were: so new secrets are handed out first, and become current everywhere in one commit (decision 22).
"""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from secrets import token_bytes
from typing import NamedTuple

from doorward.settings import decode_secret, pepper_texts

SIZE = 32
Versions = Mapping[int, bytes]


class Current(NamedTuple):
    """The version that new boxes are sealed under, and the range of peppers that MACs may be of, its end the newest."""

    master_key: int
    oldest_pepper: int
    pepper: int


@dataclass(frozen=True, slots=True)
class HeldSecrets:
    master_keys: Versions = field(repr=False)
    peppers: Versions = field(repr=False)

    @property
    def newest(self) -> Current:
        return Current(max(self.master_keys), min(self.peppers), max(self.peppers))

    def fingerprint(self, current: Current) -> str:
        """Tells whether a database belongs to these secrets, and nothing about them."""
        chosen = (self.peppers[v] for v in sorted(self.peppers) if current.oldest_pepper <= v <= current.pepper)
        master_key = self.master_keys[current.master_key]
        return hmac.new(master_key, b"doorward fingerprint" + b"".join(chosen), hashlib.sha256).hexdigest()

    def fingerprints(self) -> dict[str, Current]:
        """Those of every database that could belong to them."""
        peppers = sorted(self.peppers)
        found = (
            Current(master_key, oldest, newest)
            for master_key in self.master_keys for oldest in peppers for newest in peppers if oldest <= newest
        )  # fmt: skip
        return {self.fingerprint(current): current for current in found}

    def with_next(self, current: Current) -> HeldSecrets:
        """With a spare of each, where there is none yet."""
        return HeldSecrets(_with_next(self.master_keys, current.master_key), _with_next(self.peppers, current.pepper))

    def without(self, master_keys: Iterable[int], peppers: Iterable[int]) -> HeldSecrets:
        return HeldSecrets(_without(self.master_keys, master_keys), _without(self.peppers, peppers))


def _with_next(versions: Versions, current: int) -> Versions:
    newest = max(versions)
    return versions if newest > current else {**versions, newest + 1: token_bytes(SIZE)}


def _without(versions: Versions, these: Iterable[int]) -> Versions:
    gone = set(these)
    return {version: value for version, value in versions.items() if version not in gone}


def read(text: str) -> Versions | None:
    """None unless all versions of it are usable; a bare value is version 1."""
    found = pepper_texts(text.strip())
    values = {int(v): decode_secret(value or "") for v, value in found.items() if v.isascii() and v.isdigit()}
    good = {version: value for version, value in values.items() if value is not None and len(value) == SIZE}
    return good if good and len(good) == len(found) else None


def text(versions: Versions) -> str:
    return json.dumps({str(version): encode(versions[version]) for version in sorted(versions)}) + "\n"


def encode(value: bytes) -> str:
    return urlsafe_b64encode(value).decode().rstrip("=")
