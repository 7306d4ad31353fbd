"""application/x-www-form-urlencoded, read strictly (RFC 6749 §3.1, §3.2, appendix B).

Threats T008, T009, T184 and T187.

grant_type=client_credentials&scope=invoices%3Aread
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from doorward.protocol.refusal import InvalidRequest

FIELD_LIMIT = 64
VALUE_LIMIT = 8 * 1024
REPEATABLE = frozenset({"resource", "audience"})
_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")


@dataclass(frozen=True, slots=True)
class Form:
    """Parameters by name; an empty value is the same as an absent one (RFC 6749 §3.2)."""

    fields: Mapping[str, tuple[str, ...]]

    def get(self, name: str) -> str | None:
        values = self.fields.get(name)
        return values[0] if values else None

    def all(self, name: str) -> tuple[str, ...]:
        return self.fields.get(name, ())

    def required(self, name: str) -> str:
        value = self.get(name)
        if value is None:
            raise InvalidRequest(f"{name} is missing")
        return value


def parse(body: bytes) -> Form:
    """Raises InvalidRequest for too many or long fields, repeated names, bad escapes, NUL, bad UTF-8."""
    return collect(pairs(body)) if body else Form({})


def pairs(body: bytes) -> list[tuple[str, str]]:
    """The same as it stands there, for whoever must tell a repeated name from a name that may not be told."""
    found = body.split(b"&")
    if len(found) > FIELD_LIMIT:
        raise InvalidRequest("too many parameters")
    return [_pair(pair) for pair in found if pair]


def collect(pairs: Iterable[tuple[str, str]]) -> Form:
    fields: dict[str, tuple[str, ...]] = {}
    for name, value in pairs:
        if name in fields and name not in REPEATABLE:
            raise InvalidRequest("a parameter is repeated")
        if value:
            fields[name] = (*fields.get(name, ()), value)
        else:
            fields.setdefault(name, ())
    return Form(fields)


def _pair(pair: bytes) -> tuple[str, str]:
    name, _, value = pair.partition(b"=")
    if len(value) > VALUE_LIMIT or len(name) > VALUE_LIMIT:
        raise InvalidRequest("a parameter is too long")
    return decode(name), decode(value)


def decode(value: bytes) -> str:
    """One name or value: `+` is a space, `%xx` a byte, the whole UTF-8 without NUL."""
    if b"+" in value:
        value = value.replace(b"+", b" ")
    if b"%" in value:
        if _BAD_ESCAPE.search(value):
            raise InvalidRequest("a parameter has a malformed escape")
        value = unquote_to_bytes(value)
    if b"\x00" in value:
        raise InvalidRequest("a parameter contains NUL")
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise InvalidRequest("a parameter is not UTF-8") from None
