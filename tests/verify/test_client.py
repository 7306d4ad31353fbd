"""A client's tokens on the wire: fetched once, renewed ahead of time, tried again once, and sent nowhere else."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import threading
from base64 import b64decode
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import requests
from tests.verify.api_server import Api, refusal
from tests.verify.issuer_server import METADATA, OPENID, Issuer, Question, Reply, certificates
from tests.verify.waiting import DEADLINE, Clock, at_once, until, waiters

from doorward_verify.client import ClientCredentials, Misconfigured, TokenRefused, Unavailable
from doorward_verify.testing.server import Conversation

README = Path(__file__).resolve().parents[2] / "verify" / "README.md"
TOKEN = "/token"
SECRET = "dws_live_s3cret"
LIFETIME = 300
MANY = 50

Make = Callable[..., ClientCredentials]
Send = Callable[..., int]


def offers_tokens(issuer: Issuer, **changes: Any) -> None:
    """`token-1`, `token-2` and so on."""

    def grant(_: Question) -> Reply:
        text = f"token-{issuer.counts[TOKEN]}"
        return Reply({"access_token": text, "token_type": "Bearer", "expires_in": LIFETIME, **changes})

    issuer.replies[METADATA] = Reply(issuer.metadata(token_endpoint=issuer.origin + TOKEN))
    issuer.replies[TOKEN] = grant


def is_back(issuer: Issuer, away: Reply) -> None:
    """It answers that once, and then as ever."""
    grant = issuer.replies[TOKEN]

    def answer(_: Question) -> Reply:
        issuer.replies[TOKEN] = grant
        return away

    issuer.replies[TOKEN] = answer


def refuses(issuer: Issuer, error: str, **members: Any) -> None:
    status = 401 if error == "invalid_client" else 400
    issuer.replies[TOKEN] = Reply({"error": error, **members}, status)


@pytest.fixture(autouse=True)
def _no_client_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ID", "SECRET", "SECRET_FILE"):
        monkeypatch.delenv(f"DOORWARD_CLIENT_{name}", raising=False)


@pytest.fixture
def issuer(issuer: Issuer) -> Issuer:
    offers_tokens(issuer)
    return issuer


@pytest.fixture
def api() -> Iterator[Api]:
    running = Api()
    yield running
    running.stop()


@pytest.fixture
def make(issuer: Issuer, api: Api, clock: Clock) -> Make:
    def credentials(url: str = api.origin, **options: Any) -> ClientCredentials:
        given = {"issuer": issuer.url, "client_id": "client_1", "client_secret": SECRET, **options}
        return ClientCredentials(url, monotonic=clock.monotonic, **given)

    return credentials


@pytest.fixture
def auth(make: Make) -> ClientCredentials:
    return make()


def by_httpx2(auth: ClientCredentials, url: str, method: str = "GET", body: Any = None, **options: Any) -> int:
    with httpx2.Client(auth=auth, trust_env=False, **options) as client:
        return client.request(method, url, content=body).status_code


async def asynchronously(auth: ClientCredentials, url: str, method: str, body: Any, **options: Any) -> int:
    async def pieces(whole: Iterator[bytes]) -> AsyncIterator[bytes]:
        for piece in whole:
            yield piece

    content = body if body is None or isinstance(body, bytes) else pieces(body)
    async with httpx2.AsyncClient(auth=auth, trust_env=False, **options) as client:
        return (await client.request(method, url, content=content)).status_code


def by_async_httpx2(auth: ClientCredentials, url: str, method: str = "GET", body: Any = None, **options: Any) -> int:
    return asyncio.run(asynchronously(auth, url, method, body, **options))


def by_requests(
    auth: ClientCredentials, url: str, method: str = "GET", body: Any = None, follow_redirects: bool = False
) -> int:
    with requests.Session() as session:
        session.trust_env, session.auth = False, auth
        return session.request(method, url, data=body, allow_redirects=follow_redirects).status_code


@pytest.fixture(params=[by_httpx2, by_async_httpx2, by_requests])
def send(request: pytest.FixtureRequest) -> Send:
    sender: Send = request.param
    return sender


class TestFetching:
    def test_the_first_request_fetches_a_token_and_the_next_ones_have_it(
        self, send: Send, auth: ClientCredentials, issuer: Issuer, api: Api
    ) -> None:
        assert [send(auth, api.url) for _ in range(3)] == [200] * 3
        assert api.tokens == ["token-1"] * 3
        assert (issuer.counts[METADATA], issuer.counts[TOKEN]) == (1, 1)
        assert issuer.questions == [{"grant_type": "client_credentials"}]

    def test_the_client_authenticates_by_basic(self, auth: ClientCredentials, issuer: Issuer, api: Api) -> None:
        by_httpx2(auth, api.url)
        scheme, encoded = (issuer.authorizations[0] or "").split(" ")
        assert (scheme, b64decode(encoded)) == ("Basic", f"client_1:{SECRET}".encode())

    def test_scope_and_resource_are_asked_for(self, make: Make, issuer: Issuer, api: Api) -> None:
        by_httpx2(make(scope="invoices:write invoices:read", resource="https://api.example.com"), api.url)
        assert issuer.questions == [
            {
                "grant_type": "client_credentials",
                "scope": "invoices:read invoices:write",
                "resource": "https://api.example.com",
            }
        ]

    def test_many_threads_fetch_one_token(self, auth: ClientCredentials, issuer: Issuer, api: Api) -> None:
        issuer.gate.clear()
        with httpx2.Client(auth=auth, trust_env=False, timeout=DEADLINE) as client:
            racers = at_once(*[lambda: client.get(api.url).status_code] * MANY)
            until(lambda: waiters(auth._tokens._flights) == MANY - 1)
            issuer.gate.set()
            assert [racer.result(DEADLINE) for racer in racers] == [200] * MANY
        assert (issuer.counts[TOKEN], api.tokens) == (1, ["token-1"] * MANY)

    def test_many_tasks_fetch_one_token_and_take_one_thread(
        self, auth: ClientCredentials, issuer: Issuer, api: Api
    ) -> None:
        async def race() -> list[int]:
            issuer.gate.clear()
            before = set(threading.enumerate())  # other tests of this process may have left some
            async with httpx2.AsyncClient(auth=auth, trust_env=False, timeout=DEADLINE) as client:
                racers = [asyncio.create_task(client.get(api.url)) for _ in range(MANY)]
                while issuer.counts[METADATA] == 0:
                    await asyncio.sleep(0.005)
                names = [thread.name for thread in set(threading.enumerate()) - before]
                assert sum(name.startswith(("doorward", "asyncio")) for name in names) == 1
                issuer.gate.set()
                return [reply.status_code for reply in await asyncio.gather(*racers)]

        assert asyncio.run(race()) == [200] * MANY
        assert (issuer.counts[TOKEN], api.tokens) == (1, ["token-1"] * MANY)

    def test_a_task_that_is_cancelled_takes_the_token_from_nobody(
        self, auth: ClientCredentials, issuer: Issuer, api: Api
    ) -> None:
        async def race() -> int:
            issuer.gate.clear()
            first, second = (asyncio.create_task(asynchronously(auth, api.url, "GET", None)) for _ in range(2))
            while issuer.counts[METADATA] == 0:
                await asyncio.sleep(0.005)
            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first
            issuer.gate.set()
            return await second

        assert asyncio.run(race()) == 200
        assert issuer.counts[TOKEN] == 1

    def test_metadata_may_lie_where_openid_connect_has_it(
        self, auth: ClientCredentials, issuer: Issuer, api: Api
    ) -> None:
        issuer.replies[OPENID] = issuer.replies.pop(METADATA)
        assert by_httpx2(auth, api.url) == 200

    def test_an_endpoint_that_moved_is_found_again(
        self, auth: ClientCredentials, issuer: Issuer, api: Api, clock: Clock
    ) -> None:
        by_httpx2(auth, api.url)
        issuer.replies["/moved"] = issuer.replies.pop(TOKEN)
        issuer.replies[METADATA] = Reply(issuer.metadata(token_endpoint=issuer.origin + "/moved"))
        clock.advance(LIFETIME)
        with pytest.raises(Unavailable, match="404"):
            by_httpx2(auth, api.url)
        clock.advance(1)
        assert by_httpx2(auth, api.url) == 200


class TestRenewing:
    def test_a_token_is_renewed_ahead_of_its_end(
        self, send: Send, auth: ClientCredentials, api: Api, clock: Clock
    ) -> None:
        for seconds in (0, LIFETIME * 0.79, LIFETIME * 0.01, LIFETIME * 0.79):
            clock.advance(seconds)
            assert send(auth, api.url) == 200
        assert api.tokens == ["token-1", "token-1", "token-2", "token-2"]

    def test_one_request_goes_for_the_next_token_while_the_others_use_what_works(
        self, send: Send, auth: ClientCredentials, issuer: Issuer, api: Api, clock: Clock
    ) -> None:
        send(auth, api.url)
        clock.advance(LIFETIME * 0.8)
        issuer.gate.clear()
        (slow,) = at_once(lambda: send(auth, api.url))
        until(lambda: issuer.counts[TOKEN] == 2)
        assert [send(auth, api.url) for _ in range(3)] == [200] * 3
        issuer.gate.set()
        assert slow.result(DEADLINE) == 200
        send(auth, api.url)
        assert api.tokens == ["token-1"] * 4 + ["token-2"] * 2

    def test_a_token_that_has_ended_is_never_sent(
        self, send: Send, auth: ClientCredentials, api: Api, clock: Clock
    ) -> None:
        send(auth, api.url)
        clock.advance(LIFETIME)
        send(auth, api.url)
        assert api.tokens == ["token-1", "token-2"]

    def test_many_threads_replace_an_ended_token_once(
        self, auth: ClientCredentials, issuer: Issuer, api: Api, clock: Clock
    ) -> None:
        by_httpx2(auth, api.url)
        clock.advance(LIFETIME)
        issuer.gate.clear()
        with httpx2.Client(auth=auth, trust_env=False, timeout=DEADLINE) as client:
            racers = at_once(*[lambda: client.get(api.url).status_code] * MANY)
            until(lambda: waiters(auth._tokens._flights) == MANY - 1)
            issuer.gate.set()
            assert [racer.result(DEADLINE) for racer in racers] == [200] * MANY
        assert issuer.counts[TOKEN] == 2

    def test_who_was_overtaken_takes_the_token_that_was_just_fetched(
        self, auth: ClientCredentials, issuer: Issuer, api: Api
    ) -> None:
        """Between finding none and going for one lies a moment in which somebody else may have been quicker."""
        tokens = auth._tokens
        assert tokens.known() is None
        by_httpx2(auth, api.url)
        assert tokens._replace(None, None) is tokens.known()
        assert issuer.counts[TOKEN] == 1

    def test_a_server_that_is_away_for_a_while_goes_unnoticed(
        self, send: Send, auth: ClientCredentials, issuer: Issuer, api: Api, clock: Clock,
        caplog: pytest.LogCaptureFixture,
    ) -> None:  # fmt: skip
        send(auth, api.url)
        issuer.stop()
        clock.advance(LIFETIME * 0.8)
        assert [send(auth, api.url) for _ in range(3)] == [200] * 3
        assert sum("still works" in record.getMessage() for record in caplog.records) == 1
        issuer.start_again()
        clock.advance(10)
        assert send(auth, api.url) == 200
        assert api.tokens == ["token-1"] * 4 + ["token-2"]

    def test_a_client_that_was_disabled_lives_until_its_token_ends(
        self, auth: ClientCredentials, issuer: Issuer, api: Api, clock: Clock
    ) -> None:
        by_httpx2(auth, api.url)
        refuses(issuer, "invalid_client")
        clock.advance(LIFETIME * 0.8)
        assert by_httpx2(auth, api.url) == 200
        clock.advance(LIFETIME * 0.2)
        with pytest.raises(TokenRefused):
            by_httpx2(auth, api.url)


class TestTryingAgain:
    def test_a_refused_request_is_sent_once_more_with_another_token(
        self, send: Send, auth: ClientCredentials, issuer: Issuer, api: Api
    ) -> None:
        send(auth, api.url)
        api.refused.add("token-1")
        assert send(auth, api.url + "?page=2", "POST", b"an invoice") == 200
        refused, repeated = api.received[1:]
        assert (refused.authorization, repeated.authorization) == ("Bearer token-1", "Bearer token-2")
        for request in (refused, repeated):
            assert (request.method, request.path, request.body) == ("POST", "/invoices?page=2", b"an invoice")
        assert issuer.counts[TOKEN] == 2

    def test_a_second_refusal_is_the_callers(
        self, send: Send, auth: ClientCredentials, issuer: Issuer, api: Api
    ) -> None:
        api.refuses_all = True
        assert send(auth, api.url) == 401
        assert api.tokens == ["token-1", "token-2"]
        assert issuer.counts[TOKEN] == 2

    def test_an_api_that_refuses_every_token_costs_one_a_second(
        self, send: Send, auth: ClientCredentials, issuer: Issuer, api: Api, clock: Clock
    ) -> None:
        api.refuses_all = True
        assert [send(auth, api.url) for _ in range(4)] == [401] * 4
        assert (issuer.counts[TOKEN], len(api.received)) == (2, 5)
        clock.advance(1)
        assert [send(auth, api.url) for _ in range(4)] == [401] * 4
        assert (issuer.counts[TOKEN], len(api.received)) == (3, 10)

    def test_many_refused_requests_share_one_new_token(self, auth: ClientCredentials, issuer: Issuer, api: Api) -> None:
        by_httpx2(auth, api.url)
        api.refused.add("token-1")
        together = threading.Barrier(MANY)
        # All are refused before the first one asks for another token, and none is held up after that.
        api.gate = lambda: api.tokens[-1] and len(api.received) <= MANY + 1 and together.wait(DEADLINE)
        with httpx2.Client(auth=auth, trust_env=False, timeout=DEADLINE) as client:
            racers = at_once(*[lambda: client.get(api.url).status_code] * MANY)
            assert [racer.result(DEADLINE) for racer in racers] == [200] * MANY
        assert (issuer.counts[TOKEN], len(api.received)) == (2, 1 + 2 * MANY)

    @pytest.mark.parametrize(
        ("status", "challenge"),
        [(401, 'Bearer realm="a"'), (401, 'Bearer error="insufficient_user_authentication"'),
         (403, 'Bearer error="insufficient_scope"'), (403, 'Bearer error="invalid_token"')],
    )  # fmt: skip
    def test_no_other_answer_is_tried_again(
        self, send: Send, auth: ClientCredentials, api: Api, status: int, challenge: str
    ) -> None:
        api.answers["/invoices"] = (status, (("www-authenticate", challenge),))
        assert send(auth, api.url) == status
        assert len(api.received) == 1

    def test_a_stream_is_not_sent_twice(self, send: Send, auth: ClientCredentials, issuer: Issuer, api: Api) -> None:
        send(auth, api.url)
        api.refused.add("token-1")
        assert send(auth, api.url, "POST", iter([b"an ", b"invoice"])) == 401
        assert [request.body for request in api.received] == [b"", b"an invoice"]
        assert issuer.counts[TOKEN] == 1

    def test_a_client_that_may_have_no_other_token_is_told_why(
        self, send: Send, auth: ClientCredentials, issuer: Issuer, api: Api
    ) -> None:
        send(auth, api.url)
        api.refused.add("token-1")
        refuses(issuer, "invalid_client", error_description="client authentication failed", request_id="req_1")
        with pytest.raises(TokenRefused, match="req_1"):
            send(auth, api.url)

    def test_what_was_refused_stands_in_the_history(self, auth: ClientCredentials, api: Api) -> None:
        api.refused.add("token-1")
        with httpx2.Client(auth=auth, trust_env=False) as client:
            answered = client.get(api.url)
        assert [(reply.status_code, reply.text) for reply in answered.history] == [(401, "an answer")]
        api.refused.add("token-2")
        auth._tokens._peace = auth._tokens._ahead
        with requests.Session() as session:
            session.trust_env, session.auth = False, auth
            replies = session.get(api.url).history
        assert [(reply.status_code, reply.text) for reply in replies] == [(401, "an answer")]

    def test_a_redirect_after_it_carries_the_new_token(self, send: Send, auth: ClientCredentials, api: Api) -> None:
        api.refused.add("token-1")
        api.answers["/invoices"] = (307, (("location", "/elsewhere"),))
        assert send(auth, api.url, follow_redirects=True) == 200
        assert [(request.path, token) for request, token in zip(api.received, api.tokens, strict=True)] == [
            ("/invoices", "token-1"), ("/invoices", "token-2"), ("/elsewhere", "token-2"),
        ]  # fmt: skip


class TestWhereSecretsGo:
    @pytest.fixture
    def stranger(self) -> Iterator[Api]:
        running = Api()
        yield running
        running.stop()

    def test_a_request_to_another_origin_is_not_sent(
        self, send: Send, auth: ClientCredentials, api: Api, stranger: Api, issuer: Issuer
    ) -> None:
        send(auth, api.url)
        for url in (stranger.url, stranger.url.replace("//", f"//{api.origin.removeprefix('http://')}@")):
            with pytest.raises(Misconfigured, match=re.escape(api.origin)):
                send(auth, url)
        assert stranger.received == []

    @pytest.mark.parametrize("url", ["https://localhost:1/", "http://127.0.0.1:1/", "http://localhost:1/@localhost"])
    def test_scheme_host_and_port_are_the_origin(self, auth: ClientCredentials, url: str) -> None:
        with pytest.raises(Misconfigured, match="alone"):
            by_httpx2(auth, url)

    def test_the_default_port_may_be_named(self, make: Make, no_connections: list[Any]) -> None:
        auth = make("https://localhost:443/v1")
        auth._tokens.known = lambda: None  # type: ignore[method-assign]
        with pytest.raises(Unavailable):
            by_httpx2(auth, "https://LOCALHOST/invoices")

    def test_a_redirect_to_another_origin_takes_no_token_with_it(
        self, send: Send, auth: ClientCredentials, api: Api, stranger: Api, issuer: Issuer
    ) -> None:
        api.answers["/invoices"] = (307, (("location", stranger.url),))
        stranger.answers["/invoices"] = refusal()
        assert send(auth, api.url, follow_redirects=True) == 401
        assert [request.authorization for request in stranger.received] == [None]
        assert (len(api.received), issuer.counts[TOKEN]) == (1, 1)

    def test_the_token_endpoint_cannot_send_the_secret_elsewhere(
        self, auth: ClientCredentials, issuer: Issuer, api: Api, stranger: Api
    ) -> None:
        issuer.replies[TOKEN] = Reply({}, 307, {"location": stranger.url})
        with pytest.raises(Unavailable, match="307"):
            by_httpx2(auth, api.url)
        assert stranger.received == []
        assert api.received == []

    def test_the_metadata_of_another_issuer_is_not_believed(
        self, auth: ClientCredentials, issuer: Issuer, api: Api
    ) -> None:
        issuer.replies[METADATA] = Reply(issuer.metadata(issuer="https://a.example", token_endpoint=issuer.url + TOKEN))
        with pytest.raises(Unavailable, match="another issuer"):
            by_httpx2(auth, api.url)
        assert issuer.authorizations == []

    def test_an_issuer_with_tls_is_trusted_by_its_ca(
        self, make: Make, api: Api, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        ca_file, context = certificates(tmp_path)
        issuer = Issuer(context)
        offers_tokens(issuer)
        try:
            assert by_httpx2(make(issuer=issuer.url, ca_file=str(ca_file)), api.url) == 200
            with pytest.raises(Unavailable):
                by_httpx2(make(issuer=issuer.url), api.url)
            plain = f"http://localhost:{issuer.port}{TOKEN}"
            issuer.replies[METADATA] = Reply(issuer.metadata(token_endpoint=plain))
            with pytest.raises(Unavailable, match="without TLS"):
                by_httpx2(make(issuer=issuer.url, ca_file=str(ca_file)), api.url)
        finally:
            issuer.stop()
        assert issuer.counts[TOKEN] == 1

    @pytest.mark.parametrize(("name", "word"), [("url", "api"), ("issuer", "issuer")])
    @pytest.mark.parametrize("url", ["http://api.example.com", "https://a:b@api.example.com", "api.example.com", ""])
    def test_what_could_be_overheard_is_refused_at_once(self, make: Make, name: str, word: str, url: str) -> None:
        with pytest.raises(Misconfigured, match=f"no issuer|the {word} '{url}' is not an https URL"):
            make(**{name: url})

    def test_no_secret_is_in_a_repr_an_error_or_a_log(
        self, send: Send, auth: ClientCredentials, issuer: Issuer, api: Api, clock: Clock,
        caplog: pytest.LogCaptureFixture,
    ) -> None:  # fmt: skip
        caplog.set_level(logging.DEBUG)
        told = [repr(auth), str(auth), repr(vars(auth))]
        send(auth, api.url)
        told += [repr(auth._tokens.known()), repr(auth), repr(vars(auth))]
        api.refused.add("token-1")
        send(auth, api.url)
        refuses(issuer, "invalid_client", error_description="no")
        for seconds in (LIFETIME * 0.8, LIFETIME):
            clock.advance(seconds)
            try:
                send(auth, api.url)
            except TokenRefused as problem:
                told += [str(problem), repr(problem)]
        issuer.stop()
        clock.advance(LIFETIME)
        with pytest.raises(Unavailable) as unavailable:
            send(auth, api.url)
        told += [str(unavailable.value), repr(unavailable.value), repr(unavailable.value.__cause__), caplog.text]
        assert "invalid_client" in "".join(told)
        for secret in (SECRET, "token-1", "token-2", "Y2xpZW50XzE6"):
            assert secret not in "".join(told)


class TestErrors:
    @pytest.mark.parametrize(
        ("error", "fix"),
        [
            ("invalid_client", "DOORWARD_CLIENT_SECRET"),
            ("invalid_scope", "doorward clients show"),
            ("invalid_target", "resource="),
            ("unauthorized_client", "--grant-type client_credentials"),
        ],
    )
    def test_a_refusal_says_why_and_what_to_do(
        self, send: Send, auth: ClientCredentials, issuer: Issuer, api: Api, error: str, fix: str
    ) -> None:
        refuses(issuer, error, error_description="so it is", reason="a_reason", request_id="req_1")
        with pytest.raises(TokenRefused) as refused:
            send(auth, api.url)
        for part in (error, "so it is", "a_reason", "doorward explain req_1", fix):
            assert part in str(refused.value)
        assert (refused.value.error, refused.value.reason, refused.value.request_id) == (error, "a_reason", "req_1")
        assert api.received == []

    def test_a_refused_client_asks_once_a_second(
        self, send: Send, auth: ClientCredentials, issuer: Issuer, api: Api, clock: Clock
    ) -> None:
        refuses(issuer, "invalid_scope", request_id="req_1")
        for _ in range(3):
            with pytest.raises(TokenRefused, match="req_1"):
                send(auth, api.url)
        assert issuer.counts[TOKEN] == 1
        offers_tokens(issuer)
        clock.advance(1)
        assert [send(auth, api.url) for _ in range(2)] == [200] * 2
        assert issuer.counts[TOKEN] == 2
        api.refuses_all = True
        assert send(auth, api.url) == 401

    def test_a_server_that_is_away_is_asked_once_a_second(
        self, send: Send, make: Make, issuer: Issuer, api: Api, clock: Clock
    ) -> None:
        auth = make(patience=0)
        issuer.replies[TOKEN] = Reply({"error": "temporarily_unavailable"}, 503)
        for _ in range(3):
            with pytest.raises(Unavailable, match="503"):
                send(auth, api.url)
        assert issuer.counts[TOKEN] == 1
        offers_tokens(issuer)
        clock.advance(1)
        assert send(auth, api.url) == 200

    @pytest.mark.parametrize("status", [502, 503, 504])
    def test_a_server_that_is_away_for_a_moment_goes_unnoticed(
        self, send: Send, auth: ClientCredentials, issuer: Issuer, api: Api, status: int
    ) -> None:
        is_back(issuer, Reply({"error": "temporarily_unavailable"}, status, {"retry-after": "0"}))
        assert send(auth, api.url) == 200
        assert issuer.counts[TOKEN] == 2

    def test_an_answer_that_was_cut_off_is_asked_for_again(
        self, auth: ClientCredentials, issuer: Issuer, api: Api
    ) -> None:
        def cut(conversation: Conversation) -> None:
            del issuer.conversations[TOKEN]
            conversation.close_connection = True

        issuer.conversations[TOKEN] = cut
        assert by_httpx2(auth, api.url) == 200
        assert issuer.counts[TOKEN] == 2

    def test_who_is_told_to_wait_longer_than_his_patience_does_not_wait(
        self, make: Make, issuer: Issuer, api: Api
    ) -> None:
        issuer.replies[TOKEN] = Reply({"error": "temporarily_unavailable"}, 503, {"retry-after": "120"})
        with pytest.raises(Unavailable, match="503") as away:
            by_httpx2(make(patience=60), api.url)
        assert (away.value.retry_after, issuer.counts[TOKEN]) == (120, 1)

    def test_patience_ends(self, make: Make, issuer: Issuer, api: Api) -> None:
        issuer.replies[TOKEN] = Reply({}, 502)
        with pytest.raises(Unavailable, match="502"):
            by_httpx2(make(patience=1), api.url)
        assert issuer.counts[TOKEN] == 3

    def test_patience_ends_with_a_server_that_takes_its_time_to_say_no(
        self, make: Make, issuer: Issuer, api: Api, clock: Clock
    ) -> None:
        def say_no(_: Question) -> Reply:
            clock.advance(4)
            return Reply({}, 503)

        issuer.replies[TOKEN] = say_no
        with pytest.raises(Unavailable, match="503"):
            by_httpx2(make(patience=6), api.url)
        assert issuer.counts[TOKEN] == 2

    def test_a_token_that_still_works_is_not_waited_for(
        self, auth: ClientCredentials, issuer: Issuer, api: Api, clock: Clock
    ) -> None:
        by_httpx2(auth, api.url)
        clock.advance(LIFETIME * 0.8)
        issuer.replies[TOKEN] = Reply({}, 503, {"retry-after": "1"})
        assert by_httpx2(auth, api.url) == 200
        assert issuer.counts[TOKEN] == 2


class TestConfiguration:
    def test_everything_is_found_in_the_environment(
        self, issuer: Issuer, api: Api, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        (tmp_path / "secret").write_text(f"{SECRET}\n")
        monkeypatch.setenv("DOORWARD_ISSUER", issuer.url)
        monkeypatch.setenv("DOORWARD_CLIENT_ID", "client_1")
        monkeypatch.setenv("DOORWARD_CLIENT_SECRET_FILE", str(tmp_path / "secret"))
        by_httpx2(ClientCredentials(api.url), api.url)
        monkeypatch.setenv("DOORWARD_CLIENT_SECRET", "other")
        by_httpx2(ClientCredentials(api.url), api.url)
        presented = [b64decode((header or "").removeprefix("Basic ")).decode() for header in issuer.authorizations]
        assert presented == [f"client_1:{SECRET}", "client_1:other"]

    @pytest.mark.parametrize("half", [{"client_id": None}, {"client_secret": None}], ids=str)
    def test_without_credentials_it_says_where_they_come_from(self, make: Make, half: dict[str, None]) -> None:
        with pytest.raises(Misconfigured, match="doorward clients create"):
            make(**half)

    def test_a_file_that_cannot_be_read_is_named(
        self, make: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("DOORWARD_CLIENT_SECRET_FILE", str(tmp_path / "missing"))
        with pytest.raises(Misconfigured, match="DOORWARD_CLIENT_SECRET_FILE cannot be read"):
            make(client_secret=None)
        with pytest.raises(Misconfigured, match="CA file"):
            make(ca_file=str(tmp_path / "missing"))

    def test_a_malformed_scope_is_refused(self, make: Make) -> None:
        with pytest.raises(ValueError, match="scope is malformed"):
            make(scope='invoices:"read"')

    def test_the_python_of_the_readme_runs(
        self, make: Make, issuer: Issuer, api: Api, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name, value in {"ISSUER": issuer.url, "CLIENT_ID": "client_1", "CLIENT_SECRET": SECRET}.items():
            monkeypatch.setenv(f"DOORWARD_{name}", value)
        (block,) = re.findall(r"```python\n([^`]*ClientCredentials.*?)```", README.read_text("utf-8"), re.DOTALL)
        exec(compile(block.replace("https://api.example.com", api.origin), "README", "exec"), {})
        assert api.tokens == ["token-1"] * 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_after_a_fork_the_child_fetches_for_itself(
    auth: ClientCredentials, issuer: Issuer, api: Api, clock: Clock
) -> None:
    by_async_httpx2(auth, api.url)
    clock.advance(LIFETIME)
    tokens = auth._tokens
    locks = (tokens._flights._lock, tokens._ahead._lock, tokens._peace._lock, tokens._outbound._lock)
    for lock in locks:
        lock.acquire()
    child = os.fork()
    if child == 0:  # pragma: no cover
        status = 1
        try:
            status = 0 if by_httpx2(auth, api.url) == by_async_httpx2(auth, api.url) == 200 else 2
        finally:
            os._exit(status)
    for lock in locks:
        lock.release()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    by_httpx2(auth, api.url)
    assert api.tokens == ["token-1", "token-2", "token-2", "token-3"]
