"""JWTs, proved by their signature: once, and again now and then, to notice that a signing key was withdrawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from doorward_verify import access_token, jwt, revocations
from doorward_verify.errors import KeyUnknown
from doorward_verify.feed_view import FeedView
from doorward_verify.memory import Known, Memory
from doorward_verify.revocations import Ties
from doorward_verify.source import Source
from doorward_verify.verdict import Policy, left
from doorward_verify.verified import Verified

REVERIFY_AFTER = 60.0


class Proving:
    def __init__(
        self, source: Source, memory: Memory, policy: Policy, view: FeedView,
        clock: Callable[[], float], monotonic: Callable[[], float],
    ) -> None:  # fmt: skip
        self._source, self._memory, self._policy, self._view = source, memory, policy, view
        self._clock, self._monotonic = clock, monotonic

    def at_hand(self, text: str, digest: bytes) -> Known | None:
        """None when the keys have to be read first. Raises InvalidToken."""
        keys = self._source.keys_at_hand()
        if keys is None:
            return None
        try:
            return self._prove(text, digest, keys)
        except KeyUnknown:
            return None

    def by_any_key(self, text: str, digest: bytes) -> Known:
        """Raises InvalidToken, and Unavailable when the keys cannot be read."""
        keys = self._source.keys_at_hand()
        if keys is None:
            return self._prove(text, digest, self._source.keys())
        try:
            return self._prove(text, digest, keys)
        except KeyUnknown:
            return self._prove(text, digest, self._source.keys_again())

    def _prove(self, text: str, digest: bytes, keys: jwt.Keys) -> Known:
        policy, line, known, at = self._policy, self._view.feed.line, self._memory.get(digest), self._monotonic()
        if known is not None and known.verified is not None and known.era == line.era and at < known.held_until:
            return known._replace(verified=replace(known.verified, stale=False)) if known.verified.stale else known
        if line.log.withdrawn:
            keys = {kid: key for kid, key in keys.items() if kid not in line.log.withdrawn}
        now = self._clock()
        claims, kid = access_token.authenticated(text, keys)
        proved = access_token.believed(claims, policy.issuer, policy.audience, now, policy.leeway)
        proof = self._proof(proved, revocations.ties_of_token(claims, kid), at, line.era, left(proved, now))
        if known is not None and known.verified is not None:
            proof = _with_answer(proof, known)
        # A no of the server outlives a proof, but not a feed that knows better.
        if known is None or known.verified is not None or self._view.is_fresh(line):
            self._memory.put(digest, proof, at)
        return proof

    def _proof(self, proved: Verified, ties: Ties, at: float, era: int, seconds_left: float) -> Known:
        held_until = at + min(REVERIFY_AFTER, seconds_left)
        fresh_until = held_until if self._policy.revocation == "off" else -1.0
        useful_until = at + seconds_left + self._policy.leeway
        # In their order: by their names it takes three times as long, and it is done for each token.
        fields = (proved, "", fresh_until, held_until, useful_until, 0.0, None, None, ties, era, None)
        return tuple.__new__(Known, fields)


def _with_answer(proof: Known, known: Known) -> Known:
    """What the server said of it, and when, goes on to count."""
    return proof._replace(
        fresh_until=max(proof.fresh_until, known.fresh_until),
        asked_at=known.asked_at,
        confirmed_at=known.confirmed_at,
        position=known.position,
    )
