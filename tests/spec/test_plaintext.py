"""Plaintext burn, decision 16: what arrived in the clear ends, and the answer never tells whether it was good."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from tests.deployment import Doorward, Json, free_port, served

from doorward_verify import api_key as form
from doorward_verify import jwt

DEADLINE = 30.0
LIMIT = 10
FORM, JSON = "application/x-www-form-urlencoded", "application/json"


class Plain(NamedTuple):
    """A deployment, and its plaintext port."""

    doorward: Doorward
    port: int


class Answered(NamedTuple):
    status: int
    headers: dict[str, str]
    body: Json


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plain]:
    port = free_port()
    variables = {"DOORWARD__PLAINTEXT_LISTEN": f"127.0.0.1:{port}"}
    with served(tmp_path_factory.mktemp("plaintext"), variables=variables) as doorward:
        yield Plain(doorward, port)


def say(port: int, raw: bytes, source: str = "127.0.0.1") -> bytes:
    """All that is answered until the connection ends. `source` is the caller: each has a limit of its own."""
    with socket.create_connection(("127.0.0.1", port), DEADLINE, source_address=(source, 0)) as sock:
        sock.sendall(raw)
        answered = bytearray()
        while chunk := sock.recv(65536):
            answered += chunk
    return bytes(answered)


def request(
    plain: Plain, path: str = "/", method: str = "GET", body: bytes = b"", source: str = "127.0.0.1", **headers: str
) -> Answered:  # fmt: skip
    fields = {"host": "auth.example.com", "content-length": str(len(body)), **headers}
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
    raw = say(plain.port, f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body, source)
    head_text, _, content = raw.partition(b"\r\n\r\n")
    first, *lines = head_text.decode().split("\r\n")
    found = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    return Answered(int(first.split()[1]), found, json.loads(content) if content else {})


def refused(answered: Answered) -> bool:
    """The one answer."""
    assert (answered.status, answered.body["reason"]) == (403, "plaintext")
    assert answered.headers["cache-control"] == "no-store"
    assert answered.headers["connection"] == "close"
    assert "strict-transport-security" not in answered.headers
    return True


def is_good(doorward: Doorward, key: Json) -> bool:
    return bool(doorward.v1("POST", "/keys/verify", {"key": key["key"]}).json()["active"])


def leak_of(doorward: Doorward, secret: str) -> Json:
    return dict(doorward.v1("GET", f"/leaks/leak_{form.parse(secret).id}").json())


def made_up() -> str:
    letters = [secrets.choice(form.ALPHABET) for _ in range(44)]
    return form.assemble("dw", "", "live", "".join(letters[:12]), "".join(letters[12:]))


def basic(pair: str) -> str:
    return "Basic " + base64.b64encode(pair.encode()).decode()


SOURCES = iter(f"127.0.{n // 250}.{n % 250 + 1}" for n in range(2, 10_000))


@pytest.fixture
def source() -> str:
    """A caller of one's own."""
    return next(SOURCES)


class TestTheOneAnswer:
    @pytest.mark.parametrize(
        ("method", "path"),
        [("POST", "/oauth/token"), ("GET", "/v1/apis"), ("GET", "/healthz"), ("GET", "/nowhere"), ("POST", "/login"),
         ("OPTIONS", "/"), ("GET", "/login?next=/account&x=1#"), ("GET", "/.well-known/openid-configuration")],
    )  # fmt: skip
    def test_nothing_is_served(self, plain: Plain, method: str, path: str) -> None:
        answered = request(plain, path, method)
        if path.startswith("/login?"):
            assert answered.status == 308
        else:
            assert refused(answered)

    @pytest.mark.parametrize("path", ["/", "/login", "/account", "/setup", "/console", "/device"])
    def test_people_are_sent_to_https(self, plain: Plain, path: str) -> None:
        answered = request(plain, f"{path}?from=elsewhere", host="evil.example")
        assert answered.status == 308
        assert answered.headers["location"] == plain.doorward.issuer + path

    def test_a_page_with_a_credential_is_refused_like_anything_else(self, plain: Plain, source: str) -> None:
        for url in (f"/login?api_key={made_up()}", f"/login?api_key={plain.doorward.a_key()['key']}"):
            assert refused(request(plain, url, source=source))

    @pytest.mark.parametrize("raw", [b"\x16\x03\x01\x02\x00\x01\x00", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"])
    def test_what_is_no_request_is_refused_too(self, plain: Plain, raw: bytes) -> None:
        assert say(plain.port, raw).startswith(b"HTTP/1.1 403 ")

    def test_no_forwarding_header_changes_it(self, plain: Plain) -> None:
        assert refused(request(plain, "/v1/apis", x_forwarded_proto="https", x_forwarded_for="192.0.2.1"))

    def test_good_ended_and_made_up_keys_get_the_same_answer(self, plain: Plain) -> None:
        doorward = plain.doorward
        ended = doorward.a_key()
        doorward.v1("POST", f"/keys/{ended['id']}/revoke")
        answers = []
        for key in (doorward.a_key()["key"], ended["key"], made_up()):
            answered = request(plain, "/v1/apis", source=next(SOURCES), x_api_key=key)
            assert refused(answered)
            answers.append(
                (answered.headers.keys(), {**answered.body, "request_id": ""}, len(answered.body["request_id"]))
            )
        assert answers[0] == answers[1] == answers[2]


class TestWhatArrivedThereEnds:
    @pytest.mark.parametrize(
        "way", ["bearer", "header", "basic", "query", "path", "form", "json", "anywhere", "uri scheme", "chunked"]
    )
    def test_an_api_key_however_it_was_sent(self, plain: Plain, source: str, way: str) -> None:
        doorward = plain.doorward
        key, other = doorward.a_key(), doorward.a_key()
        text = key["key"]
        sent: dict[str, dict[str, Any]] = {
            "bearer": {"authorization": f"Bearer {text}"},
            "header": {"x_api_key": text},
            "basic": {"authorization": basic(f"{text}:")},
            "query": {"path": f"/invoices?api_key={text}&a=1"},
            "path": {"path": f"/hooks/{text}/a"},
            "form": {"method": "POST", "body": f"api_key={text}&amount=7".encode(), "content_type": FORM},
            "json": {"method": "POST", "body": json.dumps({"api_key": text}).encode(), "content_type": JSON},
            "anywhere": {"x_my_own": f'"{text}"', "cookie": "a=b"},
            "uri scheme": {"authorization": f"Bearer secret-token:{text}"},
            "chunked": {},
        }
        if way == "chunked":
            head = f"POST / HTTP/1.1\r\nhost: a\r\nx-api-key: {text}\r\ntransfer-encoding: chunked\r\n\r\n"
            assert say(plain.port, head.encode() + b"2\r\nab\r\n0\r\n\r\n", source).startswith(b"HTTP/1.1 403 ")
        else:
            assert refused(request(plain, source=source, **sent[way]))
        assert not is_good(doorward, key)
        assert is_good(doorward, other)
        leak = leak_of(doorward, text)
        assert (leak["origin"], leak["outcome"], leak["locations"]) == (
            "plaintext",
            "revoked",
            [f"plain http from {source}"],
        )

    def test_a_client_secret_in_basic_or_in_the_form(self, plain: Plain, source: str) -> None:
        doorward = plain.doorward
        for in_form in (False, True):
            client = doorward.a_client()
            pair = f"{client['client_id']}:{client['client_secret']}"
            body = f"grant_type=client_credentials&client_secret={client['client_secret'] if in_form else ''}".encode()
            headers = {} if in_form else {"authorization": basic(pair)}
            assert refused(request(plain, "/oauth/token", "POST", body, source, content_type=FORM, **headers))
            assert doorward.post("token", client, grant_type="client_credentials").status_code == 401

    def test_an_opaque_token_and_a_jwt_end_alone(self, plain: Plain, source: str) -> None:
        doorward = plain.doorward
        for token_format in ("opaque", "jwt"):
            api = doorward.an_api(token_format=token_format)["identifier"]
            client, verifier = doorward.a_client(api=api), doorward.a_verifier(api=api)
            shown, kept = doorward.token(client), doorward.token(client)
            assert refused(request(plain, "/invoices", source=source, authorization=f"Bearer {shown}"))
            assert doorward.introspect(verifier, shown)["active"] is False
            assert doorward.introspect(verifier, kept)["active"] is True

    def test_the_public_id_alone_ends_nothing(self, plain: Plain, source: str) -> None:
        key = plain.doorward.a_key()
        forged = form.assemble("dw", "", "live", form.parse(key["key"]).id, "0" * 32)
        assert refused(request(plain, source=source, x_api_key=forged))
        assert is_good(plain.doorward, key)

    def test_an_admin_key_ends_but_never_the_last_one_that_may_do_everything(self, plain: Plain, source: str) -> None:
        doorward = plain.doorward
        other = doorward.an_admin_key("apis:read")
        for key in (other, doorward.admin_key):
            assert refused(request(plain, "/v1/apis", source=source, authorization=f"Bearer {key}"))
        assert doorward.v1("GET", "/apis", key=other).status_code == 401
        assert doorward.v1("GET", "/apis").status_code == 200
        assert leak_of(doorward, doorward.admin_key)["outcome"] == "flagged"

    def test_whoever_guesses_gets_the_same_answer_and_no_more_than_a_few_guesses(
        self, plain: Plain, source: str
    ) -> None:
        key = plain.doorward.a_key()
        for _ in range(LIMIT):
            assert refused(request(plain, source=source, x_api_key=made_up()))
        assert refused(request(plain, source=source, x_api_key=key["key"]))
        assert is_good(plain.doorward, key)
        assert refused(request(plain, source=next(SOURCES), x_api_key=key["key"]))
        assert not is_good(plain.doorward, key)

    def test_of_a_request_full_of_guesses_a_few_are_looked_at(self, plain: Plain, source: str) -> None:
        key = plain.doorward.a_key()
        body = " ".join([*(made_up() for _ in range(20)), key["key"]]).encode()
        assert refused(request(plain, method="POST", body=body, source=source))
        assert is_good(plain.doorward, key)

    def test_what_is_sent_slowly_or_cut_off_still_loses_what_its_headers_hold(self, plain: Plain, source: str) -> None:
        key = plain.doorward.a_key()
        with socket.create_connection(("127.0.0.1", plain.port), DEADLINE, source_address=(source, 0)) as sock:
            sock.sendall(
                f"POST / HTTP/1.1\r\nhost: a\r\nx-api-key: {key['key']}\r\ncontent-length: 9\r\n\r\nab".encode()
            )
        until(lambda: not is_good(plain.doorward, key))

    def test_it_is_counted(self, plain: Plain, source: str) -> None:
        request(plain, source=source, x_api_key=plain.doorward.a_key()["key"])
        until(lambda: 'doorward_plaintext_requests_total{outcome="revoked"}' in metrics(plain.doorward))


def metrics(doorward: Doorward) -> str:
    return doorward.http.get("/metrics", headers={"authorization": f"Bearer {doorward.admin_key}"}).text


def until(condition: Any) -> None:
    deadline, pause = time.monotonic() + DEADLINE, threading.Event()
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        pause.wait(0.02)


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doorward]:
    issuer = {"DOORWARD__ISSUER": "https://auth.example.com", "DOORWARD__HOST_NAMES": "localhost"}
    flags = ("--behind-proxy", "127.0.0.1/32", "--behind-proxy", "::1/128")
    with served(tmp_path_factory.mktemp("behind"), *flags, variables=issuer) as doorward:
        yield doorward


class TestWhatAProxySays:
    def test_it_is_refused_and_flagged_and_never_revoked(self, behind: Doorward) -> None:
        key = behind.a_key()
        reply = behind.http.get("/healthz", headers={"x-api-key": key["key"], "x-forwarded-proto": "http"})
        assert (reply.status_code, reply.json()["reason"]) == (403, "plaintext")
        assert is_good(behind, key)
        leak = leak_of(behind, key["key"])
        assert (leak["origin"], leak["outcome"]) == ("proxy", "flagged")
        assert behind.http.get("/healthz", headers={"x-forwarded-proto": "https"}).status_code == 200
        assert behind.http.get("/healthz").status_code == 200

    def test_nobody_who_is_not_believed_flags_anything(self, plain: Plain) -> None:
        key = plain.doorward.a_key()
        plain.doorward.http.get("/healthz", headers={"x-api-key": key["key"], "x-forwarded-proto": "http"})
        assert plain.doorward.v1("GET", f"/leaks/leak_{form.parse(key['key']).id}").status_code == 404


def digest(text: str) -> Json:
    return {"token_sha256": jwt.b64url_encode(hashlib.sha256(text.encode()).digest())}


def report(doorward: Doorward, verifier: Json, *reports: Any, **options: Any) -> Any:
    auth = (verifier["client_id"], verifier["client_secret"])
    given = {"json": {"reports": list(reports)}, "auth": auth, **options}
    return doorward.http.post("/leaks/plaintext", **given)


class TestVerifiersReport:
    def test_a_key_of_its_api_ends_by_its_digest(self, doorward: Doorward) -> None:
        key = doorward.a_key()
        verifier = doorward.a_verifier(api=key["api"])
        for _ in range(2):
            reply = report(doorward, verifier, digest(key["key"]), digest(made_up()))
            assert (reply.status_code, reply.json()) == (202, {})
        assert not is_good(doorward, key)
        leak = leak_of(doorward, key["key"])
        assert (leak["origin"], leak["locations"]) == ("plaintext", [f"plain http at {verifier['client_id']}"])

    def test_tokens_of_its_api_end_too(self, doorward: Doorward) -> None:
        for token_format in ("opaque", "jwt"):
            api = doorward.an_api(token_format=token_format)["identifier"]
            token, verifier = doorward.token(doorward.a_client(api=api)), doorward.a_verifier(api=api)
            about = digest(token) if token_format == "opaque" else {"token": token}
            assert report(doorward, verifier, about).status_code == 202
            assert doorward.introspect(verifier, token)["active"] is False

    def test_nothing_of_others_does(self, doorward: Doorward) -> None:
        key, opaque = doorward.a_key(), doorward.an_api(token_format="opaque")["identifier"]
        client, foreign = doorward.a_client(api=opaque), doorward.a_verifier(api=opaque)
        token = doorward.token(doorward.a_client(api=key["api"]))
        verifier = doorward.a_verifier()
        about = (digest(key["key"]), digest(doorward.admin_key), digest(client["client_secret"]),
                 digest(verifier["client_secret"]), digest(doorward.token(client)), {"token": token})  # fmt: skip
        assert report(doorward, verifier, *about).status_code == 202
        assert is_good(doorward, key)
        assert doorward.v1("GET", "/apis").status_code == 200
        assert doorward.post("token", client, grant_type="client_credentials").status_code == 200
        assert doorward.introspect(doorward.a_verifier(api=key["api"]), token)["active"] is True
        assert report(doorward, verifier).status_code == 400  # it is still one
        # Not even what would be its own, but is no credential of an api.
        assert report(doorward, foreign, digest(client["client_secret"])).status_code == 202
        assert doorward.post("token", client, grant_type="client_credentials").status_code == 200

    def test_a_text_ends_nothing_but_a_jwt(self, doorward: Doorward) -> None:
        key = doorward.a_key()
        assert report(doorward, doorward.a_verifier(api=key["api"]), {"token": key["key"]}).status_code == 202
        assert is_good(doorward, key)

    @pytest.mark.parametrize(
        "bad",
        [{}, {"token_sha256": 7}, {"token_sha256": "x"}, {"token": None}, {"token": "a", "token_sha256": "b"}, "x",
         {**digest("x"), "revoke": True}],
    )  # fmt: skip
    def test_what_is_malformed_ends_nothing(self, doorward: Doorward, bad: Any) -> None:
        key = doorward.a_key()
        reply = report(doorward, doorward.a_verifier(api=key["api"]), digest(key["key"]), bad)
        assert reply.status_code in (400, 422)
        assert is_good(doorward, key)

    def test_nobody_else_may_report(self, doorward: Doorward) -> None:
        key = doorward.a_key()
        verifier, client = doorward.a_verifier(api=key["api"]), doorward.a_client(api=key["api"])
        wrong = [(verifier["client_id"], "x"), (client["client_id"], client["client_secret"]), ("nobody", "x")]
        for auth in wrong:
            assert report(doorward, verifier, digest(key["key"]), auth=auth).status_code == 401
        assert report(doorward, verifier, digest(key["key"]), auth=None).status_code == 401
        doorward.v1("POST", f"/verifiers/{verifier['client_id']}/revoke")
        assert report(doorward, verifier, digest(key["key"])).status_code == 401
        assert is_good(doorward, key)
