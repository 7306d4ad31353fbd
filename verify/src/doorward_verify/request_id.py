"""Request ids that explain themselves: the reason of a refusal stands in its id, and a MAC says who wrote it.

req_ time(6) reason(2) node(2) random(6) mac(6)    base62; node 0: a verifier; reason 0: not refused
"""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass

from doorward_verify.api_key import ALPHABET, six_digits

PREFIX = "req_"
_FORM = re.compile(r"req_([0-9A-Za-z]{6})([0-9A-Za-z]{2})([0-9A-Za-z]{2})([0-9A-Za-z]{6})([0-9A-Za-z]{6})")
_PAIRS = tuple(first + second for first in ALPHABET for second in ALPHABET)
_PAIR = 62**2
_SIX = 62**6
# Without a key of the deployment the MAC is a checksum: it tells a typing error, not a forgery.
_PUBLIC_KEY = b"doorward request id"


@dataclass(frozen=True, slots=True)
class RequestId:
    at: int
    reason_code: int
    node: int
    random: str
    mac: str


def make(now: int, reason_code: int, node: int, random: bytes, key: bytes | None) -> str:
    """`random` should have 5 bytes or more. Raises ValueError where a number does not fit."""
    if not (0 <= reason_code < _PAIR and 0 <= node < _PAIR and 0 <= now < _SIX):
        raise ValueError("a number does not fit into a request id")
    chance = six_digits(int.from_bytes(random[:8], "big") % _SIX)
    body = f"{PREFIX}{six_digits(now)}{_PAIRS[reason_code]}{_PAIRS[node]}{chance}"
    return body + _mac(body, key)


def read(text: str) -> RequestId:
    """Raises ValueError when the text is no request id. The MAC is not looked at: see `is_authentic`."""
    found = _FORM.fullmatch(text)
    if found is None:
        raise ValueError("not a request id")
    at, reason_code, node, random, mac = found.groups()
    return RequestId(_number(at), _number(reason_code), _number(node), random, mac)


def is_authentic(text: str, key: bytes | None) -> bool:
    """Whether the id was made with this key; with None, whether it was copied without an error."""
    return _FORM.fullmatch(text) is not None and hmac.compare_digest(_mac(text[:-6], key), text[-6:])


def _mac(body: str, key: bytes | None) -> str:
    mac = hmac.digest(_PUBLIC_KEY if key is None else key, body.encode(), "sha256")
    return six_digits(int.from_bytes(mac[:8], "big") % _SIX)


def _number(digits: str) -> int:
    number = 0
    for digit in digits:
        number = number * 62 + ALPHABET.index(digit)
    return number
