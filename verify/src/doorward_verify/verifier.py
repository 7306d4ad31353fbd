"""The verifier of a service: one check for API keys, opaque tokens and JWTs.

A JWT is verified here and then asked after; of a key or opaque token the digest is asked, its text never leaves. What
was answered is remembered for less than a second, so that a revocation is felt within one.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
import weakref
from collections.abc import Callable, Container
from dataclasses import replace
from hashlib import sha256
from typing import Literal

from doorward_verify import access_token, api_key, challenge, configuration, credential, jwt, request_id, verdict
from doorward_verify.credential import Presented
from doorward_verify.errors import DoorwardError, InvalidToken, KeyUnknown, Misconfigured, Unavailable
from doorward_verify.memory import Known, Memory
from doorward_verify.reasons import BY_NAME
from doorward_verify.single_flight import SingleFlight
from doorward_verify.source import Source
from doorward_verify.verdict import RECHECK_AFTER, Inquiry, Policy, left
from doorward_verify.verified import Verified

# Where nobody is asked, a known JWT is verified anew this often, to notice that its signing key was withdrawn.
REVERIFY_AFTER = 60.0
MEMORY_LIMIT = 40_000  # about 100 MB at the worst
UNKNOWN_LIMIT = 10_000

log = logging.getLogger("doorward_verify")


class Verifier:
    """Checks the credentials that are presented to one api. Safe among threads and after a fork.

    `revocation="off"` accepts JWTs until they expire and asks nobody about them. `on_outage="accept"` lets JWTs live
    until they expire and known keys for `outage_grace` seconds while the server cannot be reached, flagged as `stale`.
    """

    def __init__(
        self,
        issuer: str | None = None,
        *,
        audience: str,
        verifier_id: str | None = None,
        verifier_secret: str | None = None,
        ca_file: str | None = None,
        revocation: Literal["introspect", "off"] = "introspect",
        on_outage: Literal["accept", "refuse"] = "accept",
        outage_grace: float = 300,
        environment: Literal["live", "test"] = "live",
        brand: str = "dw",
        leeway: int = 10,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        _one_of("revocation", revocation, ("introspect", "off"))
        _one_of("on_outage", on_outage, ("accept", "refuse"))
        _one_of("environment", environment, ("live", "test"))
        _one_of("leeway", leeway, range(access_token.LEEWAY_LIMIT + 1))
        self.issuer = configuration.issuer(issuer)
        self.audience = audience
        asks = revocation == "introspect"
        self._policy = Policy(
            self.issuer, audience, environment, brand, leeway, asks, on_outage == "accept", outage_grace
        )
        credentials = configuration.credentials(verifier_id, verifier_secret, needed=asks)
        self._can_ask = credentials is not None
        self._clock = clock
        self._monotonic = monotonic
        self._source = Source(
            self.issuer, ca_file=configuration.ca_file(ca_file), credentials=credentials, monotonic=monotonic
        )
        self._memory = Memory(MEMORY_LIMIT)
        self._unknown = Memory(UNKNOWN_LIMIT)
        self._flights: SingleFlight[Known] = SingleFlight()
        _LIVE.add(self)
        if not asks:
            log.warning("revocation is off: JWTs of %s are accepted until they expire", self.issuer)

    def check(self, text: str) -> Verified:
        """What is proved by this credential. Raises a DoorwardError. May wait for the server."""
        found = self.known(text)
        return self._ask(text) if found is None else found

    async def acheck(self, text: str) -> Verified:
        """The same without blocking the loop: only what must wait goes to a thread."""
        found = self.known(text)
        return await asyncio.to_thread(self._ask, text) if found is None else found

    def known(self, text: str) -> Verified | None:
        """The answer, if it can be given without asking anybody; a refusal is raised at once."""
        digest = sha256(text.encode("utf-8", "surrogatepass")).digest()
        known = self._memory.get(digest)
        if known is not None and self._monotonic() < known.fresh_until:
            return known.result()
        presented = credential.recognise(api_key.strip_uri_scheme(text), self._policy.brand)
        if presented.text != text:
            return self.known(presented.text)
        if presented.kind == "jwt":
            return self._known_jwt(presented, digest)
        self._refuse_known(presented, digest)
        return None

    def answer(self, error: DoorwardError) -> challenge.Answer:
        """How a refusal looks on the wire, under a request id of its own."""
        code = BY_NAME[error.reason].code
        id_ = request_id.make(int(self._clock()), code, 0, os.urandom(8), None)
        return challenge.answer(error, issuer=self.issuer, audience=self.audience, request_id=id_)

    def close(self) -> None:
        """Ends the idle connections to the server; who checks after that opens one each time."""
        self._source.close()

    def _known_jwt(self, presented: Presented, digest: bytes) -> Verified | None:
        keys = self._source.keys_at_hand()
        if keys is None:
            return None
        try:
            proved = self._prove(presented, digest, keys)
        except KeyUnknown:
            return None
        return None if self._policy.asks_about_jwts else proved

    def _refuse_known(self, presented: Presented, digest: bytes) -> None:
        """An API key or opaque token that needs no question to be refused."""
        if presented.kind == "api_key" and presented.environment != self._policy.environment:
            raise InvalidToken("the key is of another environment", reason="wrong_environment")
        if not self._can_ask:
            raise Unavailable("this service has no verifier credentials", reason="verifier_unconfigured")
        unknown = self._unknown.get(digest)
        if unknown is not None and self._monotonic() < unknown.fresh_until:
            unknown.result()

    def _prove(self, presented: Presented, digest: bytes, keys: jwt.Keys) -> Verified:
        """Verifies a JWT by itself. While the server is asked about it anyway, once is enough."""
        policy, known, now = self._policy, self._memory.get(digest), self._clock()
        if known is not None and known.verified is not None and policy.asks_about_jwts:
            if left(known.verified, now) + policy.leeway <= 0:
                raise InvalidToken("the token has expired", reason="credential_expired")
            return replace(known.verified, stale=False)
        proved = access_token.verify(
            presented.text, keys, issuer=policy.issuer, audience=policy.audience, now=now, leeway=policy.leeway
        )
        if known is None or not policy.asks_about_jwts:
            at, seconds_left = self._monotonic(), left(proved, now)
            fresh_for = -1.0 if policy.asks_about_jwts else min(REVERIFY_AFTER, seconds_left)
            self._memory.put(digest, Known(proved, "", at + fresh_for, at + seconds_left + policy.leeway), at)
        return proved

    def _ask(self, text: str) -> Verified:
        started = self._monotonic()
        presented = credential.recognise(api_key.strip_uri_scheme(text), self._policy.brand)
        digest = api_key.digest(presented.text)
        proved = self._prove_by_any_key(presented, digest) if presented.kind == "jwt" else None
        if proved is not None and not self._policy.asks_about_jwts:
            return proved
        while True:
            answer = self._flights(digest, lambda: self._inquire(presented, digest, proved))
            # A flight that was under way may have asked before a revocation that its latecomers must not miss.
            if answer.asked_at >= started or self._monotonic() < answer.asked_at + RECHECK_AFTER:
                return answer.result()

    def _prove_by_any_key(self, presented: Presented, digest: bytes) -> Verified:
        keys = self._source.keys_at_hand()
        if keys is None:
            return self._prove(presented, digest, self._source.keys())
        try:
            return self._prove(presented, digest, keys)
        except KeyUnknown:
            return self._prove(presented, digest, self._source.keys_again())

    def _inquire(self, presented: Presented, digest: bytes, proved: Verified | None) -> Known:
        known = self._memory.get(digest)
        inquiry = Inquiry(presented, proved, known, self._monotonic(), self._clock())
        if known is not None and inquiry.asked_at < known.fresh_until:
            return known
        question = {"token_sha256": jwt.b64url_encode(digest)} if proved is None else {"token": presented.text}
        try:
            answer = self._source.introspect(question)
        except Unavailable as problem:
            return self._remember(digest, verdict.unanswered(problem, inquiry, self._policy), inquiry)
        if known is not None and known.position and answer.position and answer.position < known.position:
            # A worker that lags behind: what we know is newer than its answer.
            return replace(known, asked_at=inquiry.asked_at)
        learned = verdict.answered(answer.claims, inquiry, self._policy)
        return self._remember(digest, replace(learned, position=answer.position), inquiry)

    def _remember(self, digest: bytes, learned: Known, inquiry: Inquiry) -> Known:
        """Unknown secrets can be made up at will, so they have a memory of their own and push out nothing good."""
        is_made_up = learned.verified is None and inquiry.proved is None and inquiry.known is None
        (self._unknown if is_made_up else self._memory).put(digest, learned, inquiry.asked_at)
        return learned

    def _after_fork(self) -> None:
        self._source.after_fork()
        self._memory.renew_lock()
        self._unknown.renew_lock()
        self._flights = SingleFlight()


def _one_of(name: str, value: object, allowed: Container[object]) -> None:
    if value not in allowed:
        raise Misconfigured(f"{name} cannot be {value!r}")


_LIVE: weakref.WeakSet[Verifier] = weakref.WeakSet()


def _renew_all() -> None:
    for verifier in list(_LIVE):
        verifier._after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)
