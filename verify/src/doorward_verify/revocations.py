"""The pushed log of revocations as a value: what has ended, and what has to be asked about anew (decisions 3 and 4).

{"pos": "1:1042", "prev": "1:1017", "kind": "grant", "value": "grant_8sK2...", "effect": "dead", "exp": 1795559999}
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from doorward_verify.verified import Verified

Position = tuple[int, int]
ORIGIN: Position = (0, 0)

KINDS = frozenset(
    {"token", "grant", "client", "account", "user", "session", "api_key", "secret", "api", "signing_key", "everything"}
)
# These name something that never comes back; the others end what has a smaller position.
FOR_GOOD = frozenset({"token", "grant", "secret", "signing_key"})
# A verifier has one api, so that these hit all that it knows, whatever their value is.
SWEEPING = frozenset({"api", "everything"})

EFFECTS = {"dead": True, "changed": False}
LIMIT = 100_000
SWEEP = 60

_POSITION = re.compile(r"(0|[1-9][0-9]{0,8}):(0|[1-9][0-9]{0,17})")
# Greater than each `seq` that a position can have.
_NEWER, _FOREVER = 10**18, 10**18 + 1


# The last one is the account of the client itself, where its user acts for another.
TIED = (
    "token", "grant", "client", "account", "signing_key", "api_key", "api", "everything", "user", "session", "account",
    "secret",
)  # fmt: skip


class Ties(NamedTuple):
    """What a credential hangs on, in the order of TIED; and where the token was issued, or the answer given."""

    values: tuple[str | None, ...]
    position: Position


FREE = Ties((), ORIGIN)


@dataclass(frozen=True, slots=True)
class Entry:
    """`previous` is the position of the entry that came before it to the same audience."""

    position: Position
    previous: Position
    kind: str
    value: str
    is_dead: bool
    expires_at: int


def position(text: object) -> Position:
    """Raises ValueError for everything but the text of a position."""
    found = _POSITION.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise ValueError("not a position")
    return int(found[1]), int(found[2])


def entry(members: object) -> Entry:
    """Raises ValueError for what this version does not understand: who passes it over would miss a revocation."""
    if not isinstance(members, dict):
        raise ValueError("an entry is no object")
    kind, value, effect, expires_at = (members.get(name) for name in ("kind", "value", "effect", "exp"))
    if not isinstance(kind, str) or not isinstance(value, str) or type(expires_at) is not int:
        raise ValueError("an entry is malformed")
    if kind not in KINDS or not isinstance(effect, str) or effect not in EFFECTS:
        raise ValueError("an entry is not understood")
    return Entry(position(members.get("pos")), position(members.get("prev")), kind, value, EFFECTS[effect], expires_at)


def ties_of_token(claims: Mapping[str, Any], kid: str) -> Ties:
    """A token without a position is older than everything."""
    get = claims.get
    values = (
        get("jti"), get("grant_id"), get("client_id"), get("account"), kid, None, None, "", get("sub"),
        _text(get("sid")), get("client_account"),
    )  # fmt: skip
    return tuple.__new__(Ties, (values, _issued_at(get("pos"))))  # in half the time, for each token


def ties_of_answer(verified: Verified, secret_id: str, answered_at: Position) -> Ties:
    """Of an API key or opaque token, as introspection described it; `secret_id` stands in its text."""
    claims = verified.claims
    values = (
        _text(claims.get("jti")), verified.grant_id, verified.client_id, verified.account,
        None, verified.key_id, "", "", verified.subject, _text(claims.get("sid")),
        _text(claims.get("client_account")), secret_id if verified.credential == "api_key" else None,
    )  # fmt: skip
    return Ties(values, answered_at)


def ties_of_assertion(claims: Mapping[str, Any], kid: str) -> Ties:
    """Of what a gateway let through: the ids of the credential behind it, and the key that signed the assertion."""
    values = (
        *(_text(claims.get(name)) for name in ("token", "grant_id", "client_id", "account")), kid,
        _text(claims.get("key_id")), None, "",
        *(_text(claims.get(name)) for name in ("sub", "sid", "client_account")),
    )  # fmt: skip
    return Ties(values, _issued_at(claims.get("pos")))


def _text(claim: object) -> str | None:
    return claim if isinstance(claim, str) else None


@lru_cache(maxsize=1024)
def _position_of_token(text: str) -> Position:
    """Tokens that were issued between two changes have one position."""
    try:
        return position(text)
    except ValueError:
        return ORIGIN


def _issued_at(pos: object) -> Position:
    return _position_of_token(pos) if isinstance(pos, str) else ORIGIN


class _Mark(NamedTuple):
    """The `seq` of the last entry about a name, and the one below which its tokens are dead."""

    touched: int
    dead: int
    expires_at: int


_NONE = _Mark(0, 0, 0)


class Log:
    """One writer adds, any number of threads look. All entries are of one epoch; tokens of an older one are dead.

    `values` is there for the quickest of looks: what is tied to none of them was not hit.
    """

    def __init__(self, epoch: int, entries: Iterable[Entry] = (), withdrawn: Iterable[str] = ()) -> None:
        self.epoch = epoch
        self.values: set[str | None] = set()
        # A key set that was read elsewhere may have them for longer than the log has the entry.
        self.withdrawn = set(withdrawn)
        self._marks: dict[tuple[str, str | None], _Mark] = {}
        self._swept_at = 0
        for one in entries:
            self.add(one)

    def __len__(self) -> int:
        return len(self._marks)

    def add(self, entry: Entry) -> None:
        """Raises ValueError when there are too many to remember."""
        if len(self._marks) >= LIMIT:
            raise ValueError("the log is too long")
        value = "" if entry.kind in SWEEPING else entry.value
        seq, mark = entry.position[1], self._marks.get((entry.kind, value), _NONE)
        ends_below = (_FOREVER if entry.kind in FOR_GOOD else seq) if entry.is_dead else 0
        if entry.is_dead and entry.kind == "signing_key":
            self.withdrawn.add(value)
        self._marks[entry.kind, value] = _Mark(
            max(mark.touched, seq), max(mark.dead, ends_below), max(mark.expires_at, entry.expires_at)
        )
        self.values.add(value)

    def keep(self, before: Log) -> None:
        """What was known to be dead stays so: who took a snapshot anew may ask a server that was set back.

        Positions say nothing in another epoch, whose tokens are all newer than this one's.
        """
        for named, mark in before._marks.items():
            if not mark.dead or (before.epoch != self.epoch and named[0] not in FOR_GOOD):
                continue
            if len(self._marks) < LIMIT or named in self._marks:
                told = self._marks.get(named, _NONE)
                self._marks[named] = _Mark(*map(max, told, mark))
                self.values.add(named[1])

    def covers(self, ties: Ties) -> bool:
        """Whether a token with these ties has ended."""
        epoch, seq = ties.position
        if epoch < self.epoch:
            return True
        if self.values.isdisjoint(ties.values):
            return False
        seq = seq if epoch == self.epoch else _NEWER
        return any(mark.dead > seq for mark in self._about(ties))

    def ends(self, kind: str, value: str) -> bool:
        """Whether this was named for good: nobody needs to be asked about it any more."""
        return value in self.values and self._marks.get((kind, value), _NONE).dead == _FOREVER

    def forgets(self, ties: Ties) -> bool:
        """Whether an answer with these ties is older than an entry about one of them."""
        epoch, seq = ties.position
        if epoch < self.epoch:
            return True
        if epoch > self.epoch or self.values.isdisjoint(ties.values):
            return False
        return any(mark.touched > seq for mark in self._about(ties))

    def _about(self, ties: Ties) -> Iterator[_Mark]:
        return (self._marks.get(named, _NONE) for named in zip(TIED, ties.values, strict=False))

    def expire(self, now: int) -> None:
        """Drops what means nothing to anybody any more; `now` is the server's, as the entries' times are."""
        if now < self._swept_at + SWEEP:
            return
        self._swept_at = now
        for named in [named for named, mark in self._marks.items() if mark.expires_at <= now]:
            del self._marks[named]
        # Replaced, not emptied: who looks meanwhile sees all of it.
        self.values = {value for _, value in self._marks}
