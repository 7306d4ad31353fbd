"""The plaintext port of an api: one answer to everything; reports by digest, kept until the server takes them."""

from __future__ import annotations

import asyncio
import hashlib
import json
import socket
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from tests.deployment import Doorward, served
from tests.verify.asgi_calls import call, knock
from tests.verify.asking import KEY, OTHER_KEY, MakeVerifier, made_up
from tests.verify.issuer_server import METADATA, Issuer, Question, Reply
from tests.verify.issuing import token
from tests.verify.waiting import until

from doorward_verify import Misconfigured, Verifier, jwt
from doorward_verify.address_limit import ADDRESSES_LIMIT, WINDOW, AddressLimit
from doorward_verify.plaintext import ADDRESS_LIMIT, Listener, Plaintext

REPORTS = "/plaintext"
JWT = token()


def digest(text: str) -> dict[str, str]:
    return {"token_sha256": jwt.b64url_encode(hashlib.sha256(text.encode()).digest())}


class Server:
    """What was reported to it; `refuses` so many calls first."""

    def __init__(self, issuer: Issuer) -> None:
        self.reports: list[dict[str, str]] = []
        self.refuses = 0
        issuer.replies[METADATA] = Reply(issuer.metadata(plaintext_endpoint=issuer.origin + REPORTS))
        issuer.replies[REPORTS] = self.take

    def take(self, question: Question) -> Reply:
        if self.refuses:
            self.refuses -= 1
            return Reply({}, 503)
        self.reports += json.loads(question["json"])["reports"]
        return Reply({}, 202)


@pytest.fixture
def server(issuer: Issuer) -> Server:
    return Server(issuer)


@pytest.fixture
def plaintext(server: Server, verifier: Verifier) -> Iterator[Plaintext]:
    made = Plaintext(verifier)
    yield made
    made.close()


@pytest.fixture
def listener(plaintext: Plaintext) -> Iterator[Listener]:
    listening = plaintext.listen("127.0.0.1", 0)
    yield listening
    listening.stop()


def say(port: int, raw: bytes) -> tuple[int, dict[str, str], Any]:
    with socket.create_connection(("127.0.0.1", port), 30) as sock:
        sock.sendall(raw)
        answered = bytearray()
        while chunk := sock.recv(65536):
            answered += chunk
    head, _, body = bytes(answered).partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    fields = dict(line.lower().split(": ", 1) for line in lines)
    return int(first.split()[1]), fields, json.loads(body) if body else None


def refused(answered: tuple[int, dict[str, str], Any]) -> bool:
    status, fields, body = answered
    assert (status, body["reason"]) == (403, "plaintext")
    assert (fields["cache-control"], fields["connection"]) == ("no-store", "close")
    assert "www-authenticate" not in fields
    return True


@pytest.mark.parametrize(
    "raw",
    [
        f"GET /invoices HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {KEY}\r\n\r\n",
        f"GET /invoices?api_key={KEY} HTTP/1.0\r\n\r\n",
        f"GET /hooks/{KEY} HTTP/1.1\r\n\r\n",
        f"BREW /invoices HTTP/1.1\r\nx-api-key: {KEY}\r\n\r\n",
        f"POST / HTTP/1.1\r\ncontent-length: {len(KEY) + 8}\r\n\r\napi_key={KEY}",
    ],
    ids=["bearer", "query", "path", "unknown method", "body"],
)
def test_a_key_is_refused_and_reported_by_its_digest(listener: Listener, server: Server, raw: str) -> None:
    assert refused(say(listener.port, raw.encode()))
    until(lambda: server.reports == [digest(KEY)])


@pytest.mark.parametrize("raw", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\r\n\r\n", b"GET / HTTP/7.0\r\n\r\n"])
def test_without_a_credential_the_answer_is_the_same_and_nobody_is_told(
    listener: Listener, issuer: Issuer, raw: bytes
) -> None:
    assert refused(say(listener.port, raw))
    assert issuer.counts[REPORTS] == 0


def test_the_text_of_a_key_never_leaves_and_a_jwt_is_told_by_its_text(
    plaintext: Plaintext, server: Server, issuer: Issuer
) -> None:
    headers = [(b"authorization", f"Bearer {JWT}".encode()), (b"x-api-key", KEY.encode())]
    plaintext.refuse(headers, b"", b"", "192.0.2.7")
    until(lambda: server.reports == [{"token": JWT}, digest(KEY)])
    assert KEY not in str(issuer.questions)
    assert (issuer.authorizations[-1] or "").startswith("Basic ")


def test_what_the_server_does_not_take_is_told_again(plaintext: Plaintext, server: Server) -> None:
    server.refuses = 1
    plaintext.refuse([(b"x-api-key", KEY.encode())], b"", b"", "192.0.2.7")
    until(lambda: server.reports == [digest(KEY)])


def test_whoever_guesses_is_heeded_a_few_times_and_answered_as_ever(plaintext: Plaintext, server: Server) -> None:
    for number in range(ADDRESS_LIMIT):
        plaintext.refuse([(b"x-api-key", made_up(number).encode())], b"", b"", "192.0.2.7")
    assert plaintext.refuse([(b"x-api-key", KEY.encode())], b"", b"", "192.0.2.7").status == 403
    plaintext.refuse([(b"x-api-key", OTHER_KEY.encode())], b"", b"", "192.0.2.8")
    until(lambda: len(server.reports) == ADDRESS_LIMIT + 1)
    assert digest(OTHER_KEY) in server.reports
    assert digest(KEY) not in server.reports


def test_behind_an_asgi_server(plaintext: Plaintext, server: Server) -> None:
    answered = call(plaintext.asgi, [(b"x-api-key", KEY.encode())])
    assert (answered.status, answered.body["reason"]) == (403, "plaintext")
    assert knock(plaintext.asgi, [(b"x-api-key", OTHER_KEY.encode())]) == [{"type": "websocket.close", "code": 1008}]
    until(lambda: server.reports == [digest(KEY), digest(OTHER_KEY)])
    asyncio.run(plaintext.asgi({"type": "lifespan"}, None, None))  # type: ignore[arg-type]


def test_behind_a_wsgi_server(plaintext: Plaintext, server: Server) -> None:
    started: list[Any] = []
    body = json.dumps({"api_key": KEY}).encode()
    environ = {
        "REQUEST_METHOD": "POST", "QUERY_STRING": f"api_key={OTHER_KEY}", "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": BytesIO(body), "REMOTE_ADDR": "192.0.2.7", "HTTP_X_API_KEY": JWT,
    }  # fmt: skip
    (content,) = plaintext.wsgi(environ, lambda status, fields: started.append((status, dict(fields))))
    ((status, fields),) = started
    assert status == "403 Forbidden"
    assert (json.loads(content)["reason"], fields["content-length"]) == ("plaintext", str(len(content)))
    until(lambda: server.reports == [{"token": JWT}, digest(OTHER_KEY), digest(KEY)])


def test_long_tokens_beside_a_key_keep_nobody_from_hearing_of_it(plaintext: Plaintext, issuer: Issuer) -> None:
    sizes: list[int] = []
    reports: list[dict[str, str]] = []

    def take(question: Question) -> Reply:
        sizes.append(len(question["json"]))
        reports.extend(json.loads(question["json"])["reports"])
        return Reply({}, 202)

    issuer.replies[REPORTS] = take
    long = [f"eyJ{n}.{'a' * 16_000}.b" for n in range(5)]
    headers = [*((b"x-forwarded-token", one.encode()) for one in long), (b"x-api-key", KEY.encode())]
    plaintext.refuse(headers, b"", b"", "192.0.2.7")
    until(lambda: reports == [*({"token": one} for one in long), digest(KEY)])
    assert max(sizes) < 64 * 1024


def test_an_issuer_that_takes_no_reports_is_asked_for_nothing(verifier: Verifier, issuer: Issuer) -> None:
    plaintext = Plaintext(verifier)
    plaintext.refuse([(b"x-api-key", KEY.encode())], b"", b"", "192.0.2.7")
    until(lambda: plaintext._reports._thread is None)
    plaintext.close()
    assert issuer.counts[REPORTS] == 0


def test_a_verifier_without_credentials_can_report_nothing(verifier_of: MakeVerifier) -> None:
    verifier = verifier_of(verifier_id=None, verifier_secret=None, revocation="off")
    with pytest.raises(Misconfigured):
        Plaintext(verifier)


class TestAddressLimit:
    def test_each_address_has_its_own_and_each_minute_begins_anew(self) -> None:
        limit = AddressLimit(2)
        assert [limit.allows("192.0.2.1", 100.0) for _ in range(3)] == [True, True, False]
        assert limit.allows("192.0.2.2", 100.0)
        assert not limit.allows("192.0.2.1", 99.0 + WINDOW)
        assert limit.allows("192.0.2.1", 100.0 + WINDOW)

    def test_a_network_of_ipv6_is_one_address(self) -> None:
        limit = AddressLimit(1)
        assert limit.allows("2001:db8::1", 100.0)
        assert not limit.allows("2001:db8::ffff:1", 100.0)
        assert limit.allows("2001:db8:0:1::1", 100.0)

    def test_it_does_not_grow_without_end(self) -> None:
        limit = AddressLimit(1)
        for number in range(ADDRESSES_LIMIT + 5):
            limit.allows(f"socket {number}", 100.0)
        assert len(limit._counted) <= ADDRESSES_LIMIT


class TestWithDoorward:
    """The whole way: a key that somebody sent to the plaintext port of an api is dead everywhere."""

    @pytest.fixture
    def doorward(self, tmp_path: Path) -> Iterator[Doorward]:
        with served(tmp_path) as running:
            yield running

    def test_a_key_of_the_api_ends_and_another_apis_does_not(self, doorward: Doorward) -> None:
        key, foreign = doorward.a_key(), doorward.a_key()
        given = doorward.a_verifier(api=key["api"])
        verifier = Verifier(
            doorward.issuer, audience=key["api"], verifier_id=given["client_id"],
            verifier_secret=given["client_secret"], ca_file=str(doorward.directory / "ca.pem"),
        )  # fmt: skip
        plaintext = Plaintext(verifier)
        listener = plaintext.listen("127.0.0.1", 0)
        try:
            for one in (foreign, key):
                assert refused(say(listener.port, f"GET / HTTP/1.1\r\nx-api-key: {one['key']}\r\n\r\n".encode()))
            check = "/keys/verify"
            until(lambda: not doorward.v1("POST", check, {"key": key["key"]}).json()["active"])
            assert doorward.v1("POST", check, {"key": foreign["key"]}).json()["active"]
        finally:
            listener.stop()
            plaintext.close()
            verifier.close()
