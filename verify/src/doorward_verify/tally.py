"""How many credentials were checked, and what came of it: counted so cheaply that it can be done for each."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from doorward_verify.verified import Kind, Verified

KINDS: tuple[Kind, ...] = ("jwt", "opaque", "api_key")


class Tally:
    """Of every thread: `next` of a count is one step, which no other thread can come between."""

    def __init__(self) -> None:
        self._good: dict[str, Iterator[int]] = {kind: itertools.count() for kind in KINDS}
        self._others: dict[tuple[str, str], Iterator[int]] = {}

    def good(self, verified: Verified) -> None:
        if verified.stale:
            self.other(verified.credential, "stale")
        else:
            next(self._good[verified.credential])

    def other(self, kind: str, result: str) -> None:
        """`result` is a reason, or that the credential was accepted as stale."""
        next(self._others.setdefault((kind, result), itertools.count()))

    def counts(self) -> dict[tuple[str, str], int]:
        """By kind of credential and result; what never happened is not there."""
        counted = {(kind, "good"): count for kind, count in self._good.items()} | self._others
        return {name: number for name, count in counted.items() if (number := _value(count))}


def _value(count: Iterator[int]) -> int:
    """Looking does not count: a count shows its number only in its text, `count(7)`."""
    return int(repr(count)[len("count(") : -1])
