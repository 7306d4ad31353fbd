"""The door of a service behind a gateway: it takes the gateway's assertion, and nothing else that a request says.

Authorization and the plain X-Auth-* fields are ignored: whoever reaches the service past the gateway can set them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, MutableMapping
from dataclasses import replace
from typing import Any

from doorward_verify import assertion, jwt
from doorward_verify.assertion import Asserted, Target
from doorward_verify.errors import InvalidToken, KeyUnknown, Misconfigured, Unavailable
from doorward_verify.feed_view import FeedView
from doorward_verify.source import Source
from doorward_verify.verdict import Policy
from doorward_verify.verified import Verified

USED_LIMIT = 100_000
# Under this name a request keeps the assertion that was taken from it.
TAKEN = "doorward.asserted"


class Behind:
    """`service` is whom the route's assertions are for. Safe among threads and after a fork."""

    def __init__(
        self, service: str, source: Source, policy: Policy, view: FeedView, clock: Callable[[], float]
    ) -> None:
        self._service, self._source, self._policy, self._view, self._clock = service, source, policy, view, clock
        self._used = Used()

    def at_hand(self, text: str, target: Target) -> Verified | None:
        """None when something has to be waited for: the keys, or the feed's first word."""
        keys = None if self._view.is_pending else self._source.keys_at_hand()
        if keys is None:
            return None
        try:
            return self._settled(self._read(text, target, keys), text, target)
        except KeyUnknown:
            return None

    def waiting(self, text: str, target: Target) -> Verified:
        """Raises InvalidToken, and Unavailable when nobody can say."""
        self._view.follow()
        keys = self._source.keys_at_hand() or self._source.keys()
        try:
            asserted = self._read(text, target, keys)
        except KeyUnknown:
            asserted = self._read(text, target, self._source.keys_again())
        return self._settled(asserted, text, target)

    def _read(self, text: str, target: Target, keys: jwt.Keys) -> Asserted:
        policy, withdrawn = self._policy, self._view.line().log.withdrawn
        if withdrawn:
            keys = {kid: key for kid, key in keys.items() if kid not in withdrawn}
        return assertion.verify(
            text, keys, issuer=policy.issuer, service=self._service, audience=policy.audience, target=target,
            now=self._clock(), leeway=policy.leeway,
        )  # fmt: skip

    def _settled(self, asserted: Asserted, text: str, target: Target) -> Verified:
        """Whether what is behind the assertion has ended since it was made, and whether it was shown before."""
        line, policy, verified = self._view.line(), self._policy, asserted.verified
        if line.log.covers(asserted.ties):
            raise InvalidToken("the credential was revoked", reason="credential_revoked")
        if verified.credential == "api_key" and verified.environment != policy.environment:
            raise InvalidToken("the key is of another environment", reason="wrong_environment")
        is_stale = policy.revocation == "feed" and not self._view.is_fresh(line)
        if is_stale and policy.on_stale == "refuse":
            raise Unavailable("the revocation feed is not heard")
        if asserted.jti is not None and target.shared.get(TAKEN) != text:
            self._used.once(asserted.jti, asserted.expires_at, self._clock())
            target.shared[TAKEN] = text
        return replace(verified, stale=True) if is_stale else verified

    def after_fork(self) -> None:
        self._source.after_fork()
        self._used.renew_lock()

    def close(self) -> None:
        self._source.close()


class Used:
    """The assertions that were taken and are not yet too old to be taken: bounded, and closed when it is full."""

    def __init__(self, limit: int = USED_LIMIT) -> None:
        self._limit = limit
        self._until: dict[str, int] = {}
        self.renew_lock()

    def renew_lock(self) -> None:
        """After a fork, whoever held the lock is gone."""
        self._lock = threading.Lock()

    def once(self, jti: str, expires_at: int, now: float) -> None:
        """Raises InvalidToken the second time, and Unavailable when there is no room to remember the first."""
        with self._lock:
            if jti in self._until:
                raise InvalidToken("the assertion was used before", reason="assertion_replayed")
            # They came nearly in the order in which they expire.
            while self._until and self._until[oldest := next(iter(self._until))] <= now:
                del self._until[oldest]
            if len(self._until) >= self._limit:
                raise Unavailable("too many assertions came at once")
            self._until[jti] = expires_at


def target(request: MutableMapping[str, Any] | None) -> Target:
    """Raises Misconfigured where a shell does not say which request it is."""
    if request is None:
        raise Misconfigured("this guard cannot stand behind a gateway: it does not see the request")
    return assertion.target(request)
