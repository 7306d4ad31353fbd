"""What a scanner looks for in bytes: prefix, form and checksum, so that what it finds is a secret and nothing else.

An expression that begins with one byte finds what every secret has after its brand: the engine leaps from one such byte
to the next. Only around a hit is anything else looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from doorward_verify.api_key import KINDS, MalformedCredential, parse

BEFORE, AFTER = 18, 50  # of a brand with its kind and `_`, and behind the word
LONGEST = BEFORE + len(b"live_") + AFTER
CHUNK = 1 << 18
_BODY = re.compile(rb"_(?:live|test)_[0-9A-Za-z]{50}(?![0-9A-Za-z_])")
_HEAD = re.compile(rb"[a-z][a-z0-9]{1,16}_\Z")
NAMES = {
    "": "api_key", "a": "admin_key", "s": "client_secret", "r": "refresh_token", "o": "opaque_token",
    "g": "registration_token",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Hit:
    """`offset` is where the secret begins; `line` counts from 1, and is 0 where lines were not counted."""

    secret: str = field(repr=False)
    kind: str
    id: str
    environment: str
    offset: int
    line: int = 0


def search(data: bytes, brand: str | None = None) -> Iterator[tuple[int, str]]:
    """Offset and text of every secret, in their order."""
    for body in _BODY.finditer(data):
        found = _around(data, body.start() + 1, body.end(), brand)
        if found is not None:
            yield found


def _around(data: bytes, at: int, end: int, brand: str | None) -> tuple[int, str] | None:
    head = _HEAD.search(data[max(at - BEFORE, 0) : at])
    if head is None:
        return None
    # Letters may stand right before the brand: of all that could be one, the checksum knows which it is.
    name = head[0][:-1].decode("ascii")
    tail = data[at - 1 : end].decode("ascii")
    for skipped in range(len(name) - 1):
        text = name[skipped:] + tail
        if brand is not None and not text.startswith(brand):
            continue
        if _is_secret(text, brand):
            return at - 1 - len(name) + skipped, text
    return None


def _is_secret(text: str, brand: str | None) -> bool:
    head = re.split("_(?:live|test)_", text)[0]
    brands = [brand] if brand is not None else [head, head[:-1]]
    return any(_parses(text, one) for one in brands if len(one) >= 2)


def _parses(text: str, brand: str) -> bool:
    try:
        parse(text, brand)
    except MalformedCredential:
        return False
    return True


def kind_of(text: str, brand: str | None) -> tuple[str, str, str]:
    """Kind, id and environment. Without a brand the last letter of the prefix may be of either."""
    head, environment, rest = re.split("_(live|test)_", text)
    kind = head[len(brand) :] if brand is not None else head[-1] if len(head) > 2 and head[-1] in KINDS else ""
    return NAMES[kind], rest[:12], environment


def scan(chunks: Iterable[bytes], brand: str | None = None, count_lines: bool = True) -> Iterator[Hit]:
    """Every secret of a stream, also across the borders of its chunks; memory is bounded by the chunks.

    Whoever can read a stream again counts its lines faster than this does: only where there is a hit.
    """
    window = _Window(brand, count_lines)
    for chunk in chunks:
        yield from window.slide(chunk)
    yield from window.slide(b"", at_the_end=True)


@dataclass(slots=True)
class _Window:
    """The bytes that a secret may still go on in, what lies before them, and how far was told."""

    brand: str | None
    count_lines: bool
    tail: bytes = b""
    passed: int = 0
    lines: int = 0
    told_to: int = 0

    def slide(self, chunk: bytes, at_the_end: bool = False) -> Iterator[Hit]:
        data = self.tail + chunk
        for offset, text in search(data, self.brand):
            # What ends with the data may go on behind it, and be none.
            if self.passed + offset >= self.told_to and (at_the_end or offset + len(text) < len(data)):
                kind, id_, environment = kind_of(text, self.brand)
                line = self.lines + data.count(b"\n", 0, offset) + 1 if self.count_lines else 0
                yield Hit(text, kind, id_, environment, self.passed + offset, line)
                self.told_to = self.passed + offset + len(text)
        self.tail = data[-LONGEST:]
        gone = len(data) - len(self.tail)
        if self.count_lines:
            self.lines += data.count(b"\n", 0, gone)
        self.passed += gone
