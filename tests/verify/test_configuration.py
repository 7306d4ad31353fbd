"""How a verifier is made: its credentials, the way out without them, threads, loops and forks."""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path
from typing import Any

import pytest
from tests.verify.asking import KEY, OPAQUE, OTHER_KEY, TEST_KEY, MakeVerifier, active, refused
from tests.verify.issuer_server import INTROSPECTION, Issuer
from tests.verify.issuing import AUDIENCE, NOW, ec_key, jwks, token
from tests.verify.waiting import Clock

from doorward_verify import InvalidToken, Misconfigured, Unavailable, Verified, Verifier, configuration
from doorward_verify.proving import REVERIFY_AFTER
from doorward_verify.verdict import RECHECK_AFTER


class TestWithoutRevocation:
    @pytest.fixture
    def bare(self, verifier_of: MakeVerifier) -> Verifier:
        return verifier_of(verifier_id=None, verifier_secret=None, revocation="off")

    def test_a_verifier_without_credentials_says_both_ways_out(self, issuer: Issuer) -> None:
        with pytest.raises(Misconfigured, match="DOORWARD_VERIFIER_SECRET") as refused_:
            Verifier(issuer.url, audience=AUDIENCE)
        assert 'revocation="off"' in str(refused_.value)

    def test_it_warns_once(self, issuer: Issuer, caplog: pytest.LogCaptureFixture) -> None:
        verifier = Verifier(issuer.url, audience=AUDIENCE, revocation="off", clock=lambda: NOW)
        for _ in range(3):
            verifier.check(token(iss=issuer.url))
        verifier.close()
        assert [r.levelno for r in caplog.records if r.name == "doorward_verify"] == [logging.WARNING]

    def test_tokens_are_accepted_until_they_expire_and_nobody_is_asked(
        self, bare: Verifier, issuer: Issuer, clock: Clock, good_jwt: str
    ) -> None:
        for _ in range(31):
            assert bare.check(good_jwt) == bare.known(good_jwt)
            clock.advance(9.99)
        assert INTROSPECTION not in issuer.counts
        clock.advance(1)
        assert refused(lambda: bare.check(good_jwt)) == "credential_expired"

    def test_keys_and_opaque_tokens_are_refused_with_a_reason(self, bare: Verifier) -> None:
        for text in (KEY, OPAQUE):
            with pytest.raises(Unavailable) as refused_:
                bare.check(text)
            assert (refused_.value.status, refused_.value.reason) == (503, "verifier_unconfigured")

    def test_with_credentials_keys_are_asked_all_the_same(
        self, verifier_of: MakeVerifier, issuer: Issuer, good_jwt: str
    ) -> None:
        issuer.replies[INTROSPECTION] = active
        verifier = verifier_of(revocation="off")
        assert verifier.check(KEY).credential == "api_key"
        assert verifier.check(good_jwt).credential == "jwt"
        assert issuer.counts[INTROSPECTION] == 1

    def test_a_signing_key_that_was_withdrawn_is_noticed(self, bare: Verifier, issuer: Issuer, clock: Clock) -> None:
        text = token(iss=issuer.url, exp=NOW + 3000)
        bare.check(text)
        clock.advance(REVERIFY_AFTER)
        issuer.publish(jwks(ec_key("new")))
        bare.check(token(ec_key("new"), iss=issuer.url, exp=NOW + 3000))
        assert refused(lambda: bare.check(text)) == "signing_key_unknown"


class TestConfiguration:
    def test_everything_is_found_in_the_environment(
        self, issuer: Issuer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        issuer.replies[INTROSPECTION] = active(exp=...)
        monkeypatch.setenv("DOORWARD_ISSUER", issuer.url)
        monkeypatch.setenv("DOORWARD_VERIFIER_ID", "verifier_1")
        monkeypatch.setenv("DOORWARD_VERIFIER_SECRET", "s3cret")
        verifier = Verifier(audience=AUDIENCE)
        assert verifier.check(KEY)
        verifier.close()
        assert issuer.authorizations == ["Basic dmVyaWZpZXJfMTpzM2NyZXQ="]

    def test_a_secret_may_lie_in_a_file(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("DOORWARD_VERIFIER_ID", "verifier_1")
        monkeypatch.setenv("DOORWARD_VERIFIER_SECRET_FILE", str(tmp_path / "secret"))
        with pytest.raises(Misconfigured, match="cannot be read"):
            configuration.credentials(None, None, needed=True)
        (tmp_path / "secret").write_text("s3cret\n")
        assert configuration.credentials(None, None, needed=True) == ("verifier_1", "s3cret")

    def test_what_is_passed_wins(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("ISSUER", "VERIFIER_ID", "VERIFIER_SECRET", "CA_FILE"):
            monkeypatch.setenv(f"DOORWARD_{name}", "environment")
        assert configuration.issuer("passed") == "passed"
        assert configuration.credentials("id", "secret", needed=True) == ("id", "secret")
        assert configuration.ca_file("passed") == "passed"
        assert configuration.ca_file(None) == "environment"

    def test_without_an_issuer_nothing_can_be_verified(self) -> None:
        with pytest.raises(Misconfigured, match="DOORWARD_ISSUER"):
            Verifier(audience=AUDIENCE, revocation="off")

    @pytest.mark.parametrize("half", [("verifier_1", None), (None, "s3cret")])
    def test_half_of_the_credentials_is_a_mistake_even_when_none_are_needed(
        self, half: tuple[str | None, str | None]
    ) -> None:
        with pytest.raises(Misconfigured, match="both"):
            Verifier(
                "https://a.example", audience=AUDIENCE, verifier_id=half[0], verifier_secret=half[1], revocation="off"
            )

    @pytest.mark.parametrize(
        "options",
        [
            {"revocation": "maybe"},
            {"on_stale": "ignore"},
            {"max_staleness": 1},
            {"on_outage": "ignore"},
            {"environment": "prod"},
            {"leeway": 11},
            {"leeway": -1},
        ],
        ids=str,
    )
    def test_an_unknown_choice_is_refused(self, options: dict[str, Any]) -> None:
        with pytest.raises(Misconfigured):
            Verifier("https://a.example", audience=AUDIENCE, verifier_id="a", verifier_secret="b", **options)

    def test_an_http_issuer_beyond_loopback_is_refused(self) -> None:
        with pytest.raises(Misconfigured, match="https"):
            Verifier("http://auth.example.com", audience=AUDIENCE, verifier_id="a", verifier_secret="b")


class TestAsynchronously:
    def test_the_answer_is_the_same(self, verifier: Verifier, good_jwt: str) -> None:
        async def checks() -> list[Verified]:
            return [await verifier.acheck(text) for text in (KEY, good_jwt, KEY)]

        key, jwt_, again = asyncio.run(checks())
        assert (key, jwt_) == (verifier.check(KEY), verifier.check(good_jwt))
        assert again is key

    def test_what_is_known_and_what_is_bad_needs_no_thread(
        self, verifier: Verifier, good_jwt: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for text in (KEY, good_jwt):
            verifier.check(text)

        async def none(*_: object) -> None:
            raise AssertionError("a thread")

        async def checks() -> list[Verified]:
            for bad in (KEY[:-1], TEST_KEY, "a.b.c", token(ec_key("thief"), {"kid": "ec-1"})):
                with pytest.raises(InvalidToken):
                    await verifier.acheck(bad)
            return [await verifier.acheck(text) for text in (KEY, good_jwt)]

        monkeypatch.setattr(asyncio, "to_thread", none)
        assert len(asyncio.run(checks())) == 2

    def test_a_slow_server_does_not_block_the_loop(self, verifier: Verifier, issuer: Issuer) -> None:
        async def checks() -> str:
            verifier._source.keys()
            issuer.gate.clear()
            slow = asyncio.create_task(verifier.acheck(KEY))
            while not issuer.counts[INTROSPECTION]:
                await asyncio.sleep(0.005)
            issuer.gate.set()
            return (await slow).credential

        assert asyncio.run(checks()) == "api_key"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_after_a_fork_the_child_asks_over_connections_of_its_own(
    verifier: Verifier, issuer: Issuer, clock: Clock
) -> None:
    verifier.check(KEY)
    clock.advance(RECHECK_AFTER)
    locks = (verifier._memory._lock, verifier._asking._flights._lock, verifier._source._asking_breaker._pause._lock)
    for lock in locks:
        lock.acquire()
    child = os.fork()
    if child == 0:  # pragma: no cover
        status = 1
        try:
            status = 0 if verifier.check(KEY).subject == "acme" and verifier.check(OTHER_KEY) else 2
        finally:
            os._exit(status)
    for lock in locks:
        lock.release()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    verifier.check(KEY)
    assert issuer.connections == 2
