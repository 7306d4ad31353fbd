"""What the verifier learns from the issuer: metadata (RFC 8414), keys (RFC 7517) and introspection (RFC 7662).

GET  /.well-known/oauth-authorization-server
GET  jwks_uri
POST introspection_endpoint      token_sha256=base64url(SHA-256(credential)), or token= for a JWT of this issuer
"""

from __future__ import annotations

import base64
import logging
import math
import re
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_plus, urlencode, urlsplit

from doorward_verify import feed_message, jwt, revocations, strict_json
from doorward_verify.errors import Misconfigured, Unavailable
from doorward_verify.feed_message import FeedEndpoints
from doorward_verify.outbound import TIMEOUT, Outbound, Response, split
from doorward_verify.revocations import Position
from doorward_verify.single_flight import Breaker, Pause, SingleFlight

UNKNOWN_KID_PAUSE = 30.0  # T073
REFRESH_PAUSE = 30.0
FAILURE_PAUSE = 1.0
STALE_LIMIT = 24 * 3600.0  # T074
METADATA_LIFETIME = 3600.0
MAX_AGE = range(60, 3601)
DEFAULT_MAX_AGE = 300

log = logging.getLogger("doorward_verify")


@dataclass(frozen=True, slots=True)
class Endpoints:
    jwks_uri: str
    introspection_endpoint: str | None
    assertions_jwks_uri: str | None
    feed: FeedEndpoints | None
    read_at: float
    plaintext_endpoint: str | None = None


@dataclass(frozen=True, slots=True)
class HeldKeys:
    keys: jwt.Keys
    read_at: float
    max_age: int


@dataclass(frozen=True, slots=True)
class Answer:
    """`claims` is None for an inactive credential; `position` is the journal position the answer was read at."""

    claims: Mapping[str, Any] | None
    position: Position | None


class Source:
    """One issuer. `credentials` are the verifier's id and secret, for introspection only.

    The keys are those that sign tokens, or what gateways assert.
    """

    def __init__(
        self,
        issuer: str,
        *,
        ca_file: str | None = None,
        credentials: tuple[str, str] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        of_assertions: bool = False,
    ) -> None:
        self.issuer = _checked(issuer)
        self._of_assertions = of_assertions
        self._authorization = basic(*credentials) if credentials else ""
        self._monotonic = monotonic
        self._outbound = Outbound(ca_file)
        self._endpoints: Endpoints | None = None
        self._held: HeldKeys | None = None
        self._keys_failed = False
        self._start()

    def _start(self) -> None:
        self._reading: SingleFlight[jwt.Keys] = SingleFlight()
        self._discovering: SingleFlight[Endpoints] = SingleFlight()
        self._unknown_kid = Pause(UNKNOWN_KID_PAUSE, self._monotonic)
        self._refresh = Pause(REFRESH_PAUSE, self._monotonic)
        self._keys_breaker = Breaker(f"keys of {self.issuer}", FAILURE_PAUSE, self._monotonic)
        self._asking_breaker = Breaker(f"introspection at {self.issuer}", FAILURE_PAUSE, self._monotonic)

    def after_fork(self) -> None:
        """Keys are kept; locks and connections are the parent's."""
        self._outbound.after_fork()
        self._start()

    def close(self) -> None:
        self._outbound.close()

    def keys_at_hand(self) -> jwt.Keys | None:
        """The keys, without waiting for anybody; None when there are none or they are too old to trust (T074)."""
        held = self._held
        if held is None or (age := self._monotonic() - held.read_at) >= STALE_LIMIT:
            return None
        if age >= held.max_age and self._refresh.passes():
            self._read_in_background()
        return held.keys

    def keys(self) -> jwt.Keys:
        """The keys. Raises Unavailable when they cannot be read and no recent ones are held."""
        keys = self.keys_at_hand()
        return self._reading("keys", self._read_keys) if keys is None else keys

    def keys_again(self) -> jwt.Keys:
        """For a `kid` that is not among the keys at hand: at most one reading every 30 seconds (T073)."""
        return self._reading("keys", self._read_keys_again)

    def _read_keys_again(self) -> jwt.Keys:
        if self._unknown_kid.passes():
            return self._read_keys()
        if self._held is None or self._keys_failed:
            raise Unavailable("the signing keys cannot be read now")
        return self._held.keys

    def _read_in_background(self) -> None:
        """Whatever happens, the old keys are kept; the breaker logs it."""

        def read() -> None:
            with suppress(Unavailable):
                self._reading("keys", self._read_keys)

        with suppress(RuntimeError):  # no thread can be started: it will be tried again
            threading.Thread(target=read, name="doorward-keys", daemon=True).start()

    def _read_keys(self) -> jwt.Keys:
        self._keys_failed = True
        held = self._held = self._keys_breaker(self._fetch_keys)
        self._keys_failed = False
        return held.keys

    def _fetch_keys(self) -> HeldKeys:
        read_at = self._monotonic()
        response = self._outbound.get(self._jwks_uri())
        document = _object(response)
        if not isinstance(document.get("keys"), list):
            raise Unavailable("the key set is malformed")
        return HeldKeys(jwt.keys_from_jwks(document), read_at, _max_age(response.headers))

    def _jwks_uri(self) -> str:
        endpoints = self._discovered()
        found = endpoints.assertions_jwks_uri if self._of_assertions else endpoints.jwks_uri
        if found is None:
            raise Unavailable("the authorization server signs nothing for gateways")
        return found

    def _discovered(self) -> Endpoints:
        """Addresses seldom change: old metadata is better than none."""
        known = self._endpoints
        if known is not None and self._monotonic() - known.read_at < METADATA_LIFETIME:
            return known
        try:
            return self._discovering("metadata", self._read_metadata)
        except Unavailable:
            if known is None:
                raise
            return known

    def _read_metadata(self) -> Endpoints:
        read_at = self._monotonic()
        oauth, openid = well_known(self.issuer)
        response = self._outbound.get(oauth)
        if response.status in (401, 403, 404):
            response = self._outbound.get(openid)
        document = _object(response)
        if document.get("issuer") != self.issuer:
            raise Unavailable("the metadata names another issuer")
        jwks_uri, introspection = document.get("jwks_uri"), document.get("introspection_endpoint")
        assertions = document.get("assertions_jwks_uri")
        if not isinstance(jwks_uri, str) or not all(isinstance(one, str | None) for one in (introspection, assertions)):
            raise Unavailable("the metadata is malformed")
        plaintext = document.get("plaintext_endpoint")
        self._endpoints = Endpoints(
            jwks_uri, introspection, assertions, feed_message.endpoints(document), read_at,
            plaintext if isinstance(plaintext, str) else None,
        )  # fmt: skip
        return self._endpoints

    def feed(self) -> FeedEndpoints | None:
        """None when the issuer has no feed; raises Unavailable when nobody can say."""
        known = self._endpoints
        if known is None or self._monotonic() - known.read_at >= METADATA_LIFETIME:
            known = self._asking_breaker(self._discovered)
        return known.feed

    def report(self, body: bytes) -> None:
        """What arrived in the clear. Raises Unavailable when it is worth another try."""
        endpoint = self._discovered().plaintext_endpoint
        if endpoint is None:
            log.warning("the authorization server takes no reports of what arrived in the clear")
            return
        status = self._outbound.post(endpoint, body, self._authorization, content_type="application/json").status
        if status in (400, 413, 415, 422):
            log.warning("what arrived in the clear: the authorization server answered %d, and it is dropped", status)
        elif not 200 <= status < 300:
            raise Unavailable(f"the authorization server answered {status}")

    def introspect(self, question: Mapping[str, str], heard_at: float = -math.inf, timeout: float = TIMEOUT) -> Answer:
        """Raises Unavailable, with the reason verifier_refused when it is our own credentials that are refused.

        `heard_at` is when the server was last heard by another way.
        """
        return self._asking_breaker(lambda: self._introspect(question, timeout), heard_at)

    def introspect_slowly(self, question: Mapping[str, str], timeout: float = TIMEOUT) -> Answer:
        """The same of a text that the server may have to compare with slow hashes. Whoever makes such texts up keeps
        the server busy with them alone: that it does not answer here says nothing of other questions.
        """
        return self._introspect(question, timeout)

    def _introspect(self, question: Mapping[str, str], timeout: float) -> Answer:
        endpoint = self._discovered().introspection_endpoint
        if endpoint is None:
            raise Unavailable("the authorization server offers no introspection", reason="verifier_unconfigured")
        response = self._outbound.post(endpoint, urlencode(question).encode(), self._authorization, timeout)
        if response.status in (401, 403):
            raise Unavailable("the verifier's own credentials are refused", reason="verifier_refused")
        claims = _object(response)
        active = claims.pop("active", None)
        if not isinstance(active, bool):
            raise Unavailable("the answer to introspection is malformed")
        return Answer(claims if active else None, _position(response.headers))


def _checked(issuer: str) -> str:
    try:
        split(issuer)
        if urlsplit(issuer).query:
            raise ValueError("an issuer with a query")
    except ValueError as problem:
        raise Misconfigured(f"the issuer {issuer!r} is not an https URL: {problem}") from problem
    return issuer


def well_known(issuer: str) -> tuple[str, str]:
    """Where the metadata lies by RFC 8414 §3 (before the issuer's path) and by OpenID Connect Discovery (after it)."""
    parts = urlsplit(issuer)
    path = parts.path.rstrip("/")
    origin = f"{parts.scheme}://{parts.netloc}"
    return (
        f"{origin}/.well-known/oauth-authorization-server{path}",
        f"{origin}{path}/.well-known/openid-configuration",
    )


def basic(name: str, secret: str) -> str:
    """RFC 6749 §2.3.1: form-encoded first, then as RFC 7617 has it."""
    return "Basic " + base64.b64encode(f"{quote_plus(name)}:{quote_plus(secret)}".encode()).decode()


def _object(response: Response) -> dict[str, Any]:
    if response.status != 200:
        raise Unavailable(f"the authorization server answered {response.status}")
    try:
        return strict_json.parse(response.body)
    except ValueError as problem:
        raise Unavailable("the authorization server's answer is malformed") from problem


def _max_age(headers: Mapping[str, str]) -> int:
    found = re.search(r"\bmax-age=(\d{1,9})\b", headers.get("cache-control", ""))
    seconds = int(found[1]) if found else DEFAULT_MAX_AGE
    return min(max(seconds, MAX_AGE.start), MAX_AGE.stop - 1)


def _position(headers: Mapping[str, str]) -> Position | None:
    try:
        return revocations.position(headers.get("doorward-position"))
    except ValueError:
        return None
