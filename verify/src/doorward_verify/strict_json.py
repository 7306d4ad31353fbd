"""One JSON object, RFC 8259, that no two parsers read differently: no duplicates, NaN or huge numbers."""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

DEPTH = 16
LARGEST_INTEGER = 2**53

_WHITESPACE = " \t\n\r"
_STRUCTURE = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[\]{}]', re.DOTALL)
_OPENING = frozenset("[{")
_CLOSING = frozenset("]}")


def parse(raw: bytes) -> dict[str, Any]:
    """Raises ValueError for everything that two parsers could read differently."""
    text = raw.decode("utf-8").strip(_WHITESPACE)
    is_flat = text.find("{", 1) < 0 and "[" not in text
    if not is_flat and _depth(text) > DEPTH:
        raise ValueError("nested too deeply")
    try:
        value, end = _SCAN(text, 0)
    except StopIteration:
        raise ValueError("no value") from None
    if end != len(text) or not isinstance(value, dict):
        raise ValueError("not one object")
    if "\\" in text:
        # Only an escape can smuggle half a surrogate pair past the UTF-8 decoder.
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    return value


def _depth(text: str) -> int:
    deepest = depth = 0
    for token in _STRUCTURE.finditer(text):
        if token[0] in _OPENING:
            depth += 1
            deepest = max(deepest, depth)
        elif token[0] in _CLOSING:
            depth -= 1
    return deepest


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member is repeated")
    return members


def _integer(text: str) -> int:
    if len(text) > 15 and (len(text) > 17 or abs(int(text)) > LARGEST_INTEGER):
        raise ValueError("an integer is too large")
    return int(text)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("a number is too large")
    return value


def _refuse(_: str) -> NoReturn:
    raise ValueError("not a number")


_SCAN = json.JSONDecoder(
    object_pairs_hook=_members, parse_int=_integer, parse_float=_finite, parse_constant=_refuse
).scan_once  # type: ignore[attr-defined]  # as raw_decode calls it
