"""Another issuer: the tokens of a real oidc-provider, with the metadata, keys and introspection it has by itself."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote_plus

import httpx2
import pytest
from tests.deployment import free_port, running
from tests.javascript import PROGRAMS
from tests.verify.asking import refused
from tests.verify.waiting import Clock

from doorward_verify import Verifier
from doorward_verify.client import ClientCredentials, TokenRefused

LIFETIME = 60
APIS = {alg: f"https://{alg.lower()}.example.com" for alg in ("ES256", "RS256")}
OPAQUE = "https://opaque.example.com"
ALGORITHMS = pytest.mark.parametrize("alg", APIS)

pytestmark = pytest.mark.slow


@dataclass
class Other:
    """The process can be replaced by another one, which has other keys and forgot everything."""

    node: list[str]
    port: int = field(default_factory=free_port)
    clients: dict[str, str] = field(default_factory=lambda: {"worker": "a secret: +/=%", "gatekeeper": "another"})

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    @contextmanager
    def serving(self) -> Iterator[None]:
        given = json.dumps({"port": self.port, "clients": self.clients})
        with running([*self.node, str(PROGRAMS / "issuer.js"), given], "listens on", cwd=PROGRAMS):
            yield

    def auth(self, resource: str, **options: Any) -> ClientCredentials:
        given = {"client_id": "worker", "client_secret": self.clients["worker"], "scope": "invoices:read", **options}
        return ClientCredentials(resource, resource=resource, issuer=self.url, **given)

    def token(self, resource: str, **options: Any) -> str:
        """As an api would see it."""
        seen: list[str] = []

        def api(request: httpx2.Request) -> httpx2.Response:
            seen.append(request.headers["authorization"].removeprefix("Bearer "))
            return httpx2.Response(200)

        with httpx2.Client(auth=self.auth(resource, **options), transport=httpx2.MockTransport(api)) as client:
            client.get(resource)
        return seen[0]

    def revoke(self, token: str) -> None:
        reply = httpx2.post(f"{self.url}/token/revocation", data={"token": token}, auth=self.basic, trust_env=False)
        assert reply.status_code == 200, reply.text

    @property
    def basic(self) -> tuple[str, str]:
        """RFC 6749 §2.3.1 wants it encoded first."""
        return "worker", quote_plus(self.clients["worker"])


@pytest.fixture(scope="module")
def other(javascript: list[str]) -> Iterator[Other]:
    found = Other(javascript)
    with found.serving():
        yield found


@pytest.fixture
def clock() -> Clock:
    """Ahead of the other issuer's by what a test says."""
    return Clock(time.time())


@pytest.fixture
def verifier_for(other: Other, clock: Clock) -> Iterator[Callable[..., Verifier]]:
    made: list[Verifier] = []

    def make(audience: str, **options: Any) -> Verifier:
        made.append(Verifier(other.url, audience=audience, clock=clock.wall, monotonic=clock.monotonic, **options))
        return made[-1]

    yield make
    for verifier in made:
        verifier.close()


@pytest.fixture
def unasking(verifier_for: Callable[..., Verifier]) -> Callable[..., Verifier]:
    """Without credentials."""
    return lambda audience: verifier_for(audience, revocation="off")


@pytest.fixture
def asking(verifier_for: Callable[..., Verifier], other: Other) -> Callable[..., Verifier]:
    """With those of a client that may introspect."""
    given: dict[str, Any] = {"verifier_id": "gatekeeper", "verifier_secret": other.clients["gatekeeper"]}
    return lambda audience, **options: verifier_for(audience, **{**given, "opaque_tokens": "any", **options})


class TestJwts:
    @ALGORITHMS
    def test_a_good_one_is_verified_here(self, other: Other, unasking: Callable[..., Verifier], alg: str) -> None:
        verifier = unasking(APIS[alg])
        found = verifier.check(other.token(APIS[alg]))
        assert (found.credential, found.client_id, found.scope) == ("jwt", "worker", {"invoices:read"})
        assert (found.stale, verifier.state) == (False, "none")

    @ALGORITHMS
    def test_one_for_another_api_is_refused(self, other: Other, unasking: Callable[..., Verifier], alg: str) -> None:
        elsewhere = next(api for name, api in APIS.items() if name != alg)
        assert refused(lambda: unasking(APIS[alg]).check(other.token(elsewhere))) == "wrong_audience"

    def test_it_ends_when_it_says(self, other: Other, unasking: Callable[..., Verifier], clock: Clock) -> None:
        verifier, token = unasking(APIS["ES256"]), other.token(APIS["ES256"])
        expires_at = verifier.check(token).expires_at
        assert expires_at is not None
        clock.advance(expires_at - clock.wall() + 9)
        assert verifier.check(token)
        clock.advance(2)
        assert refused(lambda: verifier.check(token)) == "credential_expired"

    def test_a_changed_one_is_refused(self, other: Other, unasking: Callable[..., Verifier]) -> None:
        head, claims, _ = other.token(APIS["ES256"]).split(".")
        signature = other.token(APIS["ES256"]).split(".")[2]
        assert refused(lambda: unasking(APIS["ES256"]).check(f"{head}.{claims}.{signature}")) == "signature_invalid"

    @pytest.mark.parametrize(("on_outage", "found"), [("accept", True), ("refuse", "server_unreachable")])
    def test_where_the_issuer_cannot_be_asked_about_one_it_counts_as_an_outage(
        self, other: Other, asking: Callable[..., Verifier], on_outage: str, found: object
    ) -> None:
        """oidc-provider keeps no JWTs and answers 400 to such a question: revocation="off" is the honest word there."""
        verifier = asking(APIS["ES256"], revocation="introspect", on_outage=on_outage)
        token = other.token(APIS["ES256"])
        told = verifier.check(token).stale if on_outage == "accept" else refused(lambda: verifier.check(token))
        assert told == found


@pytest.mark.parametrize("revocation", ["introspect", "feed"])
class TestOpaqueTokens:
    def test_a_good_one_is_asked_about_by_its_text(
        self, other: Other, asking: Callable[..., Verifier], revocation: str
    ) -> None:
        verifier = asking(OPAQUE, revocation=revocation)
        found = verifier.check(other.token(OPAQUE))
        assert (found.credential, found.client_id, found.scope) == ("opaque", "worker", {"invoices:read"})
        assert (found.stale, verifier.state) == (False, "none")

    def test_a_revoked_one_is_refused_within_a_second(
        self, other: Other, asking: Callable[..., Verifier], clock: Clock, revocation: str
    ) -> None:
        verifier, token = asking(OPAQUE, revocation=revocation), other.token(OPAQUE)
        assert verifier.check(token)
        other.revoke(token)
        clock.advance(1)
        assert refused(lambda: verifier.check(token)) == "credential_unknown"

    def test_an_unknown_one_is_refused(self, asking: Callable[..., Verifier], revocation: str) -> None:
        assert (
            refused(lambda: asking(OPAQUE, revocation=revocation).check("nobody-issued-this")) == "credential_unknown"
        )

    def test_one_for_another_api_is_refused(
        self, other: Other, asking: Callable[..., Verifier], revocation: str
    ) -> None:
        verifier = asking("https://opaque.example.org", revocation=revocation)
        assert refused(lambda: verifier.check(other.token(OPAQUE))) == "wrong_audience"

    def test_it_ends_when_it_says(
        self, other: Other, asking: Callable[..., Verifier], clock: Clock, revocation: str
    ) -> None:
        verifier, token = asking(OPAQUE, revocation=revocation), other.token(OPAQUE)
        assert verifier.check(token)
        clock.advance(LIFETIME + 1)
        assert refused(lambda: verifier.check(token)) == "credential_expired"

    def test_without_being_told_so_a_service_takes_none(
        self, other: Other, asking: Callable[..., Verifier], revocation: str
    ) -> None:
        verifier = asking(OPAQUE, revocation=revocation, opaque_tokens="doorward")
        assert refused(lambda: verifier.check(other.token(OPAQUE))) == "credential_malformed"

    def test_who_may_not_introspect_can_decide_nothing(
        self, other: Other, asking: Callable[..., Verifier], revocation: str
    ) -> None:
        verifier = asking(OPAQUE, revocation=revocation, verifier_secret="guessed")
        assert refused(lambda: verifier.check(other.token(OPAQUE))) == "verifier_refused"


class TestKeys:
    def test_after_a_change_of_keys_the_new_one_is_found_and_the_old_one_is_forgotten(
        self, javascript: list[str], clock: Clock
    ) -> None:
        other = Other(javascript)
        verifier = Verifier(
            other.url, audience=APIS["ES256"], revocation="off", clock=clock.wall, monotonic=clock.monotonic
        )
        with other.serving():
            before = other.token(APIS["ES256"])
            assert verifier.check(before)
        with other.serving():
            after = other.token(APIS["ES256"])
            assert verifier.check(after)
            clock.advance(61)  # every so often a known token is proved anew
            assert refused(lambda: verifier.check(before)) == "signing_key_unknown"
            assert refused(lambda: verifier.check(other.token(APIS["RS256"]))) == "wrong_audience"
        verifier.close()


class TestTheClient:
    def test_a_refusal_says_what_the_issuer_said(self, other: Other) -> None:
        with pytest.raises(TokenRefused) as refusal:
            other.token(APIS["ES256"], client_secret="guessed")
        assert refusal.value.error == "invalid_client"

    def test_an_unknown_api_is_a_wrong_target(self, other: Other) -> None:
        with pytest.raises(TokenRefused) as refusal:
            other.token("https://unknown.example.com")
        assert refusal.value.error == "invalid_target"
