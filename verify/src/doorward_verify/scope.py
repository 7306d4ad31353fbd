"""Scope, RFC 6749 §3.3: a frozenset of names.

scope = scope-token *( SP scope-token )       scope-token = 1*( %x21 / %x23-5B / %x5D-7E )
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

Scope = frozenset[str]

LIMIT = 4096
_FORM = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+(?: [\x21\x23-\x5b\x5d-\x7e]+)*")


class MalformedScope(ValueError):  # noqa: N818
    """The text is not a scope."""


@lru_cache(maxsize=256)
def parse(text: str) -> Scope:
    """Linear in time and refused above 4 KiB (T015)."""
    if len(text) > LIMIT or not _FORM.fullmatch(text):
        raise MalformedScope("scope is malformed")
    return frozenset(text.split(" "))


def text(scope: Iterable[str]) -> str:
    return " ".join(sorted(scope))
