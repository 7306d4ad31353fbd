"""The time, the chance and the position of a decision: what a pure core may not fetch itself."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from doorward_verify import api_key

# Later than every end: the second at which something ends that does not.
FOREVER = 2**62
# Neither number is longer than its column holds.
_TEXT = re.compile(r"(0|[1-9][0-9]{0,8}):(0|[1-9][0-9]{0,17})")


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in the journal: the epoch and the `seq` of the last change that the facts may contain."""

    epoch: int
    seq: int

    def __str__(self) -> str:
        return f"{self.epoch}:{self.seq}"

    @classmethod
    def parse(cls, text: str) -> Position:
        """Raises ValueError for everything but the text of a position."""
        found = _TEXT.fullmatch(text)
        if found is None:
            raise ValueError("not a position")
        return cls(int(found[1]), int(found[2]))


@dataclass(frozen=True, slots=True)
class Moment:
    """`now` in seconds since 1970, `random(n)` gives n unpredictable bytes."""

    now: int
    random: Callable[[int], bytes]
    position: Position = Position(1, 0)

    def base62(self, length: int) -> str:
        """`length` base62 characters without modulo bias: bytes above the largest multiple of 62 are thrown away."""
        text = b""
        while len(text) < length:
            wanted = length - len(text)
            text += self.random(wanted + wanted // 16 + 2).translate(_DIGITS, _UNFAIR)
        return text[:length].decode("ascii")

    def id(self, noun: str) -> str:
        """A public identifier such as `grant_8sK2...`: 95 bits, never reused."""
        return f"{noun}_{self.base62(16)}"


_FAIR = 256 - 256 % len(api_key.ALPHABET)
_DIGITS = "".join(api_key.ALPHABET[byte % len(api_key.ALPHABET)] for byte in range(256)).encode()
_UNFAIR = bytes(range(_FAIR, 256))
