"""One request path in one spelling (RFC 3986 §6.2.2): whatever two readers could read differently is refused by name.

/invoices/caf%C3%A9?page=2      path "/invoices/café", query "page=2"
/static/%2e%2e/admin            refused: dot_segment

A gateway, this server and the backend each read a path for themselves. Where they could disagree, the one would decide
on another request than the other answers.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

LIMIT = 8 * 1024


class Target(NamedTuple):
    """`path` is canonical: decoded once, with nothing in it that could be decoded again. The query is as it came."""

    path: str
    query: str


class AmbiguousPath(ValueError):  # noqa: N818  the request is at fault
    """`flaw` names the rule that the path breaks."""

    def __init__(self, flaw: str) -> None:
        super().__init__(flaw)
        self.flaw = flaw


# In this order, on the bytes as they came: the first that is found gives its name.
RAW = (
    ("not_a_path", re.compile(rb"\A(?!/)")),
    ("fragment", re.compile(rb"#")),
    ("control_character", re.compile(rb"[\x00-\x20\x7f]")),
    ("not_ascii", re.compile(rb"[\x80-\xff]")),
)
FLAWS = (
    ("backslash", re.compile(rb"\\|%5c", re.IGNORECASE)),
    ("encoded_slash", re.compile(rb"%2f", re.IGNORECASE)),
    ("control_character", re.compile(rb"%(?:[01][0-9a-f]|7f)", re.IGNORECASE)),
    ("path_parameter", re.compile(rb";|%3b", re.IGNORECASE)),
    ("encoded_delimiter", re.compile(rb"%(?:23|3f)", re.IGNORECASE)),
    ("double_encoding", re.compile(rb"%25")),
    ("bad_encoding", re.compile(rb"%(?![0-9a-f]{2})", re.IGNORECASE)),
    ("empty_segment", re.compile(rb"//")),
    # A dot may be written as %2e, and some readers take a segment of three or more dots for something else too.
    ("dot_segment", re.compile(rb"/(?:\.|%2e)+(?:/|\Z)|%2e", re.IGNORECASE)),
    ("reserved_character", re.compile(rb"[\"<>^`{|}]")),
)  # fmt: skip
# What nearly all paths are: nothing in them has a second reading.
PLAIN = re.compile(r"(?:/(?!\.+(?:/|\Z))[A-Za-z0-9._~!$&'()*+,=:@-]+)+/?|/")
_STRUCTURE = frozenset("/\\.;?#%")


def read(raw: bytes) -> Target:
    """The target of a request in origin form (RFC 9112 §3.2.1). Raises AmbiguousPath."""
    if len(raw) > LIMIT:
        raise AmbiguousPath("too_long")
    for name, flaw in RAW:
        if flaw.search(raw):
            raise AmbiguousPath(name)
    path, _, query = raw.decode("ascii").partition("?")
    return Target(path if PLAIN.fullmatch(path) else canonical(path), query)


@lru_cache(maxsize=1024)
def canonical(path: str) -> str:
    raw = path.encode("ascii")
    for name, flaw in FLAWS:
        if flaw.search(raw):
            raise AmbiguousPath(name)
    try:
        decoded = unquote_to_bytes(raw).decode("utf-8")
    except UnicodeDecodeError:
        raise AmbiguousPath("not_utf8") from None
    if not decoded.isprintable():
        raise AmbiguousPath("control_character")
    if decoded != unicodedata.normalize("NFC", decoded) or any(map(_stands_for_structure, decoded)):
        raise AmbiguousPath("unicode_lookalike")
    return decoded


def _stands_for_structure(character: str) -> bool:
    """Whether a reader who folds compatible characters would see a delimiter: U+FF0F is a slash to him."""
    return not character.isascii() and not _STRUCTURE.isdisjoint(unicodedata.normalize("NFKC", character))


def written(target: Target) -> str:
    """The text by which an assertion names a target: of whoever reads the path decoded, too."""
    return f"{target.path}?{target.query}" if target.query else target.path
