"""The format of every opaque secret: recognised, checked and digested without asking anybody.

{brand}{kind}_{env}_{id:12}{secret:32}{crc:6}       e.g. dw_live_ + 50 base62 characters
"""

from __future__ import annotations

import hashlib
import re
import zlib
from dataclasses import dataclass

from doorward_verify.errors import InvalidToken

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
KINDS = ("", "a", "s", "r", "o", "g")
CRC_LENGTH = 6
URI_SCHEME = "secret-token:"

_PAIRS = tuple(first + second for first in ALPHABET for second in ALPHABET)
_FORM = re.compile(r"([a-z][a-z0-9]{1,16})_(live|test)_([0-9A-Za-z]{12})[0-9A-Za-z]{32}[0-9A-Za-z]{6}")


class MalformedCredential(InvalidToken):
    """Not a secret of this brand, or one whose checksum is wrong."""

    default_reason = "credential_malformed"


@dataclass(frozen=True, slots=True)
class Parsed:
    """The public part of a secret."""

    brand: str
    kind: str
    environment: str
    id: str


def assemble(brand: str, kind: str, environment: str, id: str, secret: str) -> str:  # noqa: A002
    """The full text, with its checksum. Raises ValueError where the parts do not make a secret."""
    body = f"{brand}{kind}_{environment}_{id}{secret}"
    text = body + _checksum(body)
    if kind not in KINDS or len(id) != 12 or not 2 <= len(brand) <= 16 or not _FORM.fullmatch(text):
        raise ValueError("the parts do not make a secret")
    return text


def parse(text: str, brand: str = "dw") -> Parsed:
    """The public part of a secret of this brand; its form and checksum hold, nothing else is known (T160)."""
    found = _FORM.fullmatch(text)
    if found is None or _checksum(text[:-CRC_LENGTH]) != text[-CRC_LENGTH:]:
        raise MalformedCredential("the credential is malformed")
    head, environment, id_ = found.groups()
    kind = head[len(brand) :]
    if not head.startswith(brand) or kind not in KINDS:
        raise MalformedCredential("the credential is malformed")
    return Parsed(brand, kind, environment, id_)


def digest(text: str) -> bytes:
    """SHA-256 of the full text: what leaves the service in its place."""
    return hashlib.sha256(text.encode()).digest()


def strip_uri_scheme(text: str) -> str:
    """RFC 8959 §2: `secret-token:` marks a secret in files and may stay on it when it is sent."""
    return text[len(URI_SCHEME) :] if text[: len(URI_SCHEME)].lower() == URI_SCHEME else text


def six_digits(number: int) -> str:
    """A number below 62 to the power of 6 in base62, padded on the left."""
    rest, low = divmod(number, 3844)
    high, middle = divmod(rest, 3844)
    return _PAIRS[high] + _PAIRS[middle] + _PAIRS[low]


def _checksum(body: str) -> str:
    return six_digits(zlib.crc32(body.encode()))
