"""The verifier of a service: one check for API keys, opaque tokens and JWTs.

A JWT is verified here; of a key or opaque token the digest is asked once, its text never leaves. What has ended is
heard from the revocation feed, so that nothing else is asked; without the feed, what was answered is remembered for
less than a second.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import time
import weakref
from collections.abc import Callable, Container, Iterable, Mapping, MutableMapping
from dataclasses import replace
from hashlib import sha256
from typing import Any, Literal

from doorward_verify import (
    access_token,
    api_key,
    assertion,
    challenge,
    configuration,
    credential,
    exposition,
    networks,
    request_id,
)
from doorward_verify.arrival import AS_BEARER, Arrival, exposures, take
from doorward_verify.asking import Asking
from doorward_verify.behind import Behind, target
from doorward_verify.credential import Presented
from doorward_verify.errors import DoorwardError, InvalidRequest, InvalidToken, Misconfigured, Unavailable
from doorward_verify.feed import Line
from doorward_verify.feed_view import FeedState, FeedView
from doorward_verify.memory import Known, Memory
from doorward_verify.proving import Proving
from doorward_verify.reasons import BY_NAME
from doorward_verify.source import Source
from doorward_verify.steady_clock import SteadyClock
from doorward_verify.tally import Tally
from doorward_verify.verdict import OnStale, Policy, Revocation
from doorward_verify.verified import Verified

MEMORY_LIMIT = 40_000  # about 100 MB at the worst
HEARTBEAT = 1.0
CHOICES: Mapping[str, Container[object]] = {
    "revocation": ("feed", "introspect", "off"),
    "on_stale": ("introspect", "refuse", "accept"),
    "on_outage": ("accept", "refuse"),
    "on_limiter_outage": ("refuse", "accept"),
    "environment": ("live", "test"),
    "opaque_tokens": ("doorward", "any"),
    "leeway": range(access_token.LEEWAY_LIMIT + 1),
}

Headers = Iterable[tuple[bytes, bytes]]
Request = MutableMapping[str, Any]

log = logging.getLogger("doorward_verify")


class Verifier:
    """Checks the credentials that are presented to one api. Safe among threads and after a fork.

    While the revocation feed is heard, nothing is asked of what is known. `on_stale` decides when it was not heard for
    `max_staleness` seconds: "introspect" asks the server about each credential once in less than a second, "refuse"
    answers 503, "accept" takes what was good, flagged as `stale`. `on_outage` decides when the server does not answer
    either: "accept" lets JWTs live until they expire and known keys for `outage_grace` seconds, flagged as `stale`;
    keys that have limits, which nobody can count then, are among them with `on_limiter_outage="accept"` alone.
    `revocation="introspect"` wants no feed; "off" accepts JWTs until they expire and asks nobody about them.
    `opaque_tokens="any"` is for an issuer that is no Doorward: its tokens have no form, and their text is asked about.
    `legacy_keys` is for an api that imported keys: a text without our form is asked about, by its digest and, where
    that is not known yet, by itself. The default is what DOORWARD_LEGACY_KEYS says.
    """

    def __init__(
        self,
        issuer: str | None = None,
        *,
        audience: str,
        verifier_id: str | None = None,
        verifier_secret: str | None = None,
        ca_file: str | None = None,
        revocation: Revocation = "feed",
        max_staleness: float = 2.0,
        on_stale: OnStale = "introspect",
        on_outage: Literal["accept", "refuse"] = "accept",
        outage_grace: float = 300,
        on_limiter_outage: Literal["refuse", "accept"] = "refuse",
        environment: Literal["live", "test"] = "live",
        brand: str = "dw",
        opaque_tokens: Literal["doorward", "any"] = "doorward",
        legacy_keys: bool | None = None,
        leeway: int = 10,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        chosen = {
            "revocation": revocation, "on_stale": on_stale, "on_outage": on_outage, "environment": environment,
            "opaque_tokens": opaque_tokens, "leeway": leeway, "on_limiter_outage": on_limiter_outage,
        }  # fmt: skip
        _refuse_unknown(chosen, max_staleness)
        self.issuer = configuration.issuer(issuer)
        self.audience = audience
        self._policy = Policy(
            self.issuer, audience, environment, brand, leeway, revocation, on_stale, on_outage == "accept",
            outage_grace, opaque_tokens == "any", on_limiter_outage == "accept",
            configuration.legacy_keys(legacy_keys),
        )  # fmt: skip
        credentials = configuration.credentials(verifier_id, verifier_secret, needed=revocation != "off")
        self._can_ask = credentials is not None
        self._assemble(credentials, configuration.ca_file(ca_file), max_staleness, clock, monotonic)
        _LIVE.add(self)
        if revocation == "off":
            log.warning("revocation is off: JWTs of %s are accepted until they expire", self.issuer)

    def _assemble(
        self, credentials: tuple[str, str] | None, ca_file: str | None, max_staleness: float,
        clock: Callable[[], float], monotonic: Callable[[], float],
    ) -> None:  # fmt: skip
        policy, follower = self._policy, credentials if self._policy.revocation == "feed" else None
        self._source = Source(self.issuer, ca_file=ca_file, credentials=credentials, monotonic=monotonic)
        self._view = view = FeedView(self._source, self.audience, follower, ca_file, max_staleness, monotonic)
        self._monotonic = monotonic
        self._clock = steady = SteadyClock(clock, monotonic, lambda: view.feed.server_offset)
        self._memory = memory = Memory(MEMORY_LIMIT)
        self._proving = Proving(self._source, memory, policy, view, steady, monotonic)
        self._asking = Asking(
            self._source, memory, policy, view.line, steady, monotonic, lambda: view.feed.usage.is_told
        )
        self._tally = Tally()
        self._ca_file, self._behind = ca_file, list[Behind]()

    def check(
        self, text: str, address: str | None = None, cost: int = 1, user_agent: str | None = None, *,
        arrival: Arrival = AS_BEARER,
    ) -> Verified:  # fmt: skip
        """What is proved by this credential. Raises a DoorwardError. May wait for the server.

        `address` is where the request came from: without it a key that is bound to networks is refused. `cost` is what
        the request takes of a key's limits, `user_agent` what sent it: the server is told what last used a credential.
        `arrival` is how the credential came: its api may not take keys in every way.
        """
        try:
            found = self._at_hand(text, cost)
            if found is None:
                found = self._ask(text, cost)
            return self._admitted(found, address, user_agent, arrival)
        except DoorwardError as refused:
            self._tally.other(self._kind(text), refused.reason)
            raise

    async def acheck(
        self, text: str, address: str | None = None, cost: int = 1, user_agent: str | None = None, *,
        arrival: Arrival = AS_BEARER,
    ) -> Verified:  # fmt: skip
        """The same without blocking the loop: only what must wait goes to a thread."""
        try:
            found = self._at_hand(text, cost)
            if found is None:
                found = await asyncio.to_thread(self._ask, text, cost)
            return self._admitted(found, address, user_agent, arrival)
        except DoorwardError as refused:
            self._tally.other(self._kind(text), refused.reason)
            raise

    def _admitted(
        self, found: Verified, address: str | None, user_agent: str | None, arrival: Arrival
    ) -> Verified:  # fmt: skip
        usage = self._view.feed.usage
        try:
            self._admit(found, address, arrival)
        except (InvalidRequest, InvalidToken) as refused:
            usage.count(found, address, user_agent, refused.reason)
            raise
        self._tally.good(found)
        usage.count(found, address, user_agent)
        return found

    def known(
        self, text: str, address: str | None = None, cost: int = 1, *, arrival: Arrival = AS_BEARER
    ) -> Verified | None:  # fmt: skip
        """The answer, if it can be given without asking anybody; a refusal is raised at once."""
        found = self._at_hand(text, cost)
        if found is not None:
            self._admit(found, address, arrival)
        return found

    def _admit(self, found: Verified, address: str | None, arrival: Arrival) -> None:
        """A good credential may still have come from where, or in a way, that it must not. It is noted first."""
        if found.credential != "api_key" and arrival.transport == "bearer":
            return  # nothing else is asked of a token
        for where in () if arrival is AS_BEARER else exposures(found, arrival):
            self._view.feed.usage.see(found, where)
        networks.admit(found, address)
        take(found, arrival)

    def behind(self, service: str) -> Behind:
        """The part of it that checks what a gateway asserts to this service."""
        source = Source(self.issuer, ca_file=self._ca_file, monotonic=self._monotonic, of_assertions=True)
        made = Behind(service, source, self._policy, self._view, self._clock)
        self._behind.append(made)
        return made

    def check_asserted(self, behind: Behind, headers: Headers, request: Request | None) -> Verified:
        """As `check`, of what a gateway asserts. May wait for the server."""
        try:
            text, asked = assertion.from_headers(headers), target(request)
            found = behind.at_hand(text, asked) or behind.waiting(text, asked)
        except DoorwardError as refused:
            self._tally.other("asserted", refused.reason)
            raise
        return self._counted(found)

    async def acheck_asserted(self, behind: Behind, headers: Headers, request: Request | None) -> Verified:
        """The same without blocking the loop."""
        try:
            text, asked = assertion.from_headers(headers), target(request)
            found = behind.at_hand(text, asked)
            if found is None:
                found = await asyncio.to_thread(behind.waiting, text, asked)
        except DoorwardError as refused:
            self._tally.other("asserted", refused.reason)
            raise
        return self._counted(found)

    def _counted(self, found: Verified) -> Verified:
        self._tally.good(found)
        self._view.feed.usage.count(found)
        return found

    def _at_hand(self, text: str, cost: int) -> Verified | None:
        digest = sha256(text.encode("utf-8", "surrogatepass")).digest()
        known = self._memory.get(digest)
        if known is not None and self._stands(known):
            return known.result() if (lent := known.allowance) is None or lent.gives(cost, self._monotonic()) else None
        if text.startswith("eyJ") and credential.is_jwt(text):  # as nearly every one begins: base64url of `{"`
            return self._known_jwt(text, digest)
        presented = self._recognise(text)
        if presented.text != text:
            return self._at_hand(presented.text, cost)
        if presented.kind == "jwt":
            return self._known_jwt(text, digest)
        self._refuse_known(presented, digest)
        return None

    def answer(self, error: DoorwardError) -> challenge.Answer:
        """How a refusal looks on the wire, under a request id of its own."""
        code = BY_NAME[error.reason].code
        id_ = request_id.make(int(self._clock()), code, 0, os.urandom(8), None)
        return challenge.answer(error, issuer=self.issuer, audience=self.audience, request_id=id_)

    def start(self) -> None:
        """Begins to follow the feed, which the first check would do otherwise. Does not wait."""
        self._view.start()

    @property
    def state(self) -> FeedState:
        """What the feed is like; "none" where there is none."""
        return self._view.state

    @property
    def ready(self) -> bool:
        """For a readiness probe: whether checks are answered as they should be. Starts the feed."""
        self.start()
        state = self.state
        return state in ("synced", "none") or (state == "stale" and self._policy.on_stale != "refuse")

    def metrics(self) -> dict[str, Any]:
        """`verifications_total` counts the checks by kind of credential and result ("good", "stale" or a reason)."""
        return {
            "feed_state": self.state,
            "feed_age_seconds": None if self._view.age == math.inf else self._view.age,
            "entries": len(self._view.line().log),
            "verifications_total": self._tally.counts(),
        }

    def exposition(self) -> str:
        """The same for a scraper, as `exposition.CONTENT_TYPE` says."""
        return exposition.text(self.audience, self.metrics())

    def close(self) -> None:
        """Ends the feed and the idle connections to the server; who checks after that opens one each time."""
        self._view.close()
        self._source.close()
        for behind in self._behind:
            behind.close()

    def _stands(self, known: Known) -> bool:
        """Whether an answer may be given again: not once an entry has hit it, and not beyond its time."""
        line, now = self._view.feed.line, self._monotonic()
        if known.era != line.era:
            return False
        if not line.log.values.isdisjoint(known.ties.values) and known.was_hit(line.log):
            return False
        is_fresh = now - line.vouched_at < self._view.max_staleness
        return now < (known.held_until if is_fresh else known.fresh_until)

    def _known_jwt(self, text: str, digest: bytes) -> Verified | None:
        if not self._view.feed.was_tried and self._view.is_pending:
            return None
        proof = self._proving.at_hand(text, digest)
        return None if proof is None else self._settled(proof)

    def _settled(self, proof: Known) -> Verified | None:
        """What a JWT that was verified here is worth, unless the server has to be asked."""
        line = self._view.feed.line
        if proof.was_hit(line.log):
            raise InvalidToken("the token was revoked", reason="credential_revoked")
        if self._policy.revocation == "off" or self._view.is_fresh(line):
            return proof.verified
        return self._when_stale(proof.verified)

    def _when_stale(self, verified: Verified | None) -> Verified | None:
        """The feed is there, but it is not heard. None: ask."""
        if not self._view.is_followed or self._policy.on_stale == "introspect":
            return None
        if self._policy.on_stale == "refuse":
            raise Unavailable("the revocation feed is not heard")
        return None if verified is None else replace(verified, stale=True)

    def _refuse_known(self, presented: Presented, digest: bytes) -> None:
        """An API key or opaque token that needs no question to be refused."""
        if presented.kind == "api_key" and presented.environment != self._policy.environment:
            raise InvalidToken("the key is of another environment", reason="wrong_environment")
        if not self._can_ask:
            raise Unavailable("this service has no verifier credentials", reason="verifier_unconfigured")
        if self._view.line().log.ends("secret" if presented.kind == "api_key" else "token", presented.id):
            # As the server would say of it, which a thousand leaks at once would otherwise ask a thousand times.
            raise InvalidToken("the credential is unknown or has ended", reason="credential_unknown")
        self._asking.refuse_unknown(digest)

    def _ask(self, text: str, cost: int) -> Verified:
        started = self._monotonic()
        presented = self._recognise(text)
        digest = api_key.digest(presented.text)
        proof = self._proving.by_any_key(presented.text, digest) if presented.kind == "jwt" else None
        self._view.follow()
        found = self._remembered(digest, cost) if proof is None else self._settled(proof)
        return self._asking(presented, digest, proof, started, cost).result() if found is None else found

    def _remembered(self, digest: bytes, cost: int) -> Verified | None:
        """Of a secret, after the feed was waited for."""
        known, line = self._memory.get(digest), self._view.line()
        if known is not None and self._stands(known):
            return known.result() if (lent := known.allowance) is None or lent.gives(cost, self._monotonic()) else None
        if self._view.is_fresh(line):
            return None
        return self._when_stale(known.verified if known is not None and self._is_held(known, line) else None)

    def _is_held(self, known: Known, line: Line) -> bool:
        """Whether it was good when the feed was last heard. Whoever has limits must be counted, and so asked about."""
        is_due = known.allowance is not None or self._monotonic() >= known.held_until
        return not is_due and known.era == line.era and not known.was_hit(line.log)

    def _recognise(self, text: str) -> Presented:
        policy = self._policy
        return credential.recognise(
            api_key.strip_uri_scheme(text), policy.brand, takes_foreign=policy.takes_foreign,
            legacy_environment=policy.environment if policy.takes_legacy else "",
        )  # fmt: skip

    def _kind(self, text: str) -> str:
        try:
            return self._recognise(text).kind
        except DoorwardError:
            return "none"

    def _after_fork(self) -> None:
        self._source.after_fork()
        self._memory.renew_lock()
        self._asking.after_fork()
        self._view.after_fork()
        for behind in self._behind:
            behind.after_fork()


def _refuse_unknown(chosen: Mapping[str, object], max_staleness: float) -> None:
    for name, value in chosen.items():
        if value not in CHOICES[name]:
            raise Misconfigured(f"{name} cannot be {value!r}")
    if max_staleness <= HEARTBEAT:
        raise Misconfigured("max_staleness must be more than a second, which is how often the feed is heard")


_LIVE: weakref.WeakSet[Verifier] = weakref.WeakSet()


def _renew_all() -> None:
    for verifier in list(_LIVE):
        verifier._after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)
