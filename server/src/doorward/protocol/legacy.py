"""Keys that were made elsewhere: how strong a text must be, and which hashes of one are taken (decision 26).

Of a text we see how many there may be like it; of a hash nothing, so that whoever imports it has to say.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from itertools import pairwise
from math import log2

from doorward.protocol.admin import invalid
from doorward.protocol.key_events import ANY, LegacyTurned
from doorward_verify import api_key

# Bits: a random key of 24 hexadecimal digits has as many.
LEAST = 96
# bcrypt reads no more bytes, so that of a longer text others would match too.
BCRYPT_READS = 72
PREFIX_LENGTHS = range(4, 33)
_SEPARATORS = str.maketrans("", "", "-_.:~")
_BCRYPT = re.compile(r"\$2[aby]\$(0[4-9]|1[0-4])\$[./0-9A-Za-z]{53}")
_PREFIX = re.compile(rf"[!-~]{{{PREFIX_LENGTHS[0]},{PREFIX_LENGTHS[-1]}}}")
_POOLS = ((r"[0-9]", 10), (r"[a-f]", 6), (r"[g-z]", 20), (r"[A-F]", 6), (r"[G-Z]", 20), (r"[^0-9A-Za-z]", 2))


@dataclass(frozen=True, slots=True)
class Known:
    """Whether there are imported keys, or may be soon; whoever remembers it hears when that changes."""

    are_there: bool

    @property
    def refs(self) -> tuple[str, ...]:
        return (f"{LegacyTurned.entity}/{ANY}",)


def strength(text: str) -> int:
    """At most so many bits; what is repeated, or runs on like an alphabet, adds none."""
    plain = text.translate(_SEPARATORS)
    fresh = min(len(plain), len({plain[i : i + 3] for i in range(len(plain))}))
    pool = sum(size for pattern, size in _POOLS if re.search(pattern, plain))
    steps = {after - before for before, after in pairwise(plain.encode())}
    return int(fresh * log2(pool)) if pool and len(steps) > 5 else 0


def digest_of_text(text: str, prefix: str, brand: str) -> bytes:
    """Raises Unprocessable for what could be guessed, or taken for something else."""
    plain = api_key.strip_uri_scheme(text)
    if not api_key.may_be_legacy(plain, brand):
        raise invalid("key", "must be 16 to 512 printable ASCII characters, and look like no key of ours and no JWT")
    if not plain.startswith(prefix):
        raise invalid("prefix", "must be the beginning of the key")
    if strength(plain[len(prefix) :]) < LEAST:
        raise invalid("key", f"must be of {LEAST} bits at least, and not be easy to guess")
    return api_key.digest(plain)


def digest_of_hash(text: str) -> bytes:
    """SHA-256 as hexadecimal digits or base64 of either alphabet."""
    if re.fullmatch(r"[0-9a-fA-F]{64}", text):
        return bytes.fromhex(text)
    try:
        found = base64.b64decode(text.replace("-", "+").replace("_", "/").rstrip("=") + "=", validate=True)
    except (binascii.Error, ValueError):
        found = b""
    if len(found) != 32:
        raise invalid("sha256", "must be a SHA-256 as 64 hexadecimal digits or as base64")
    return found


def bcrypt(text: str) -> str:
    if not _BCRYPT.fullmatch(text):
        raise invalid("bcrypt", "must be a bcrypt hash ($2a$, $2b$ or $2y$) of a cost of 4 to 14")
    return text


def id_of_bcrypt(text: str) -> str:
    """The public id of the secret that such a hash is of: always the same, so that it is imported once."""
    number = int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:9], "big")
    first, second = divmod(number % 62**12, 62**6)
    return api_key.six_digits(first) + api_key.six_digits(second)


def stated(entropy: int | None) -> None:
    """Raises Unprocessable unless who imports hashes said that the keys behind them are strong enough."""
    if entropy is None or entropy < LEAST:
        raise invalid("entropy", f"must say that the keys behind the hashes are of {LEAST} bits at least")


def prefix(text: str, *, needed: bool) -> str:
    """The public beginning: shown to people, and by which a slow hash is found."""
    if (needed or text) and not _PREFIX.fullmatch(text):
        must = f"must be the first {PREFIX_LENGTHS[0]} to {PREFIX_LENGTHS[-1]} characters of the key"
        raise invalid("prefix", must)
    return text


def prefixes(text: str) -> list[str]:
    """All that the public beginning of this text may be."""
    return [text[:length] for length in PREFIX_LENGTHS if length <= len(text)]
