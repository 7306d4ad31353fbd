"""`check_listen`: gateways of this machine ask over a Unix socket or a loopback port, and nothing else is there."""

from __future__ import annotations

import os
import socket
import stat

import pytest
from tests.deployment import command, free_port, running, served
from tests.spec.gateway_calls import CHECKED, OPEN, bearer, routes
from tests.verify.waiting import until


@pytest.fixture(scope="module", params=["unix", "tcp"])
def gated(request, tmp_path_factory):
    """The real server, with two workers that share the listener."""
    directory = tmp_path_factory.mktemp(request.param)
    where = f"unix:{directory}/check.sock" if request.param == "unix" else f"127.0.0.1:{free_port()}"
    with served(directory, "--workers", 2, variables={"DOORWARD__CHECK_LISTEN": where}) as doorward:
        doorward.where = where
        doorward.api = doorward.an_api(routes=routes("m"))
        doorward.key = doorward.a_key(api=doorward.api["identifier"])
        yield doorward


def dialled(where):
    if where.startswith("unix:"):
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(where.removeprefix("unix:"))
        return sock
    host, _, port = where.rpartition(":")
    return socket.create_connection((host, int(port)))


def spoken(where, *lines):
    """What the listener answers to exactly these lines: its status and the whole of its head."""
    with dialled(where) as sock:
        sock.settimeout(20)
        sock.sendall("\r\n".join([*lines, "connection: close", "", ""]).encode("latin-1"))
        reply = b"".join(iter(lambda: sock.recv(65536), b""))
    head = reply.partition(b"\r\n\r\n")[0].decode()
    return int(head.split()[1]), head.lower()


def of_envoy(gated, target, *more):
    return spoken(gated.where, f"GET /check/envoy{target} HTTP/1.1", "host: api.example.com", *more)


def told(headers):
    return [f"{name}: {value}" for name, value in headers]


def test_a_gateway_asks_there_without_a_secret(gated):
    key = told(bearer(gated.key["key"]))
    url = f"x-original-url: https://api.example.com/m{CHECKED}"
    status, head = spoken(
        gated.where, "GET /check/nginx HTTP/1.1", "host: doorward", url, "x-original-method: GET", *key
    )
    assert status == 200
    assert f"x-auth-key-id: {gated.key['id'].lower()}" in head
    assert "content-length: 0" in head
    status, _ = spoken(gated.where, "GET /check/nginx HTTP/1.1", "host: doorward", url, "x-original-method: GET")
    assert status == 401


def test_forwarding_fields_tell_of_the_request_that_is_asked_about(gated):
    """They are no reason to refuse the question, and neither plain nor encrypted is the question by what they say."""
    fields = ["x-forwarded-method: GET", f"x-forwarded-uri: /m{OPEN}", "x-forwarded-proto: https"]
    fields += ["x-forwarded-host: api.example.com", "x-forwarded-for: 192.0.2.1", "x-real-ip: 192.0.2.1"]
    assert spoken(gated.where, "GET /check/forward HTTP/1.1", "host: doorward", *fields)[0] == 200
    http = [field.replace("proto: https", "proto: http").replace(OPEN, CHECKED) for field in fields]
    status, head = spoken(gated.where, "HEAD /check/forward HTTP/1.1", "host: doorward", *http)
    assert (status, "x-auth-problem: plaintext" in head) == (403, True)
    assert "www-authenticate" not in head


@pytest.mark.parametrize(
    ("target", "status"),
    [
        (f"/m{OPEN}", 200), ("/m/static/../invoices/7", 400), ("/m/static/./x", 400), ("/m//static/x", 400),
        (f"/m{OPEN}#/invoices", 400), (f"/m{OPEN}\\..", 400), ("/m/static/%2e%2e/x", 400), ("", 400),
        ("%2fm/static/x", 400),
        ("/m/static/caf\xe9", 400), (f"/m{OPEN}?a#b", 400), ("/../nginx", 400), ("/nowhere", 403),
    ],
)  # fmt: skip
def test_of_envoy_the_path_is_read_as_it_came_byte_for_byte(gated, target, status):
    found, head = of_envoy(gated, target)
    assert found == status, head
    assert ("x-auth-subject" in head) == (status == 200)


def test_what_stands_behind_a_body_is_no_header_field(gated):
    trailers = ["", "1", "x", "0", *told(bearer(gated.key["key"]))]
    with dialled(gated.where) as sock:
        sock.settimeout(20)
        lines = [f"GET /check/envoy/m{CHECKED} HTTP/1.1", "host: api.example.com", "transfer-encoding: chunked"]
        sock.sendall("\r\n".join([*lines, "connection: close", *trailers, "", ""]).encode())
        reply = b"".join(iter(lambda: sock.recv(65536), b""))
    assert reply.startswith(b"HTTP/1.1 401 "), reply


def test_the_path_of_the_question_itself_has_one_spelling(gated):
    for path in (
        "/check/%65nvoy/m/static/x",
        "/%63heck/envoy/m/static/x",
        "/check/./envoy/m/static/x",
        "//check/nginx",
    ):
        status, head = spoken(gated.where, f"GET {path} HTTP/1.1", "host: api.example.com")
        assert status in (400, 404), (path, head)


def test_nothing_else_is_answered_there(gated):
    for path in ("/", "/healthz", "/v1/keys", "/oauth/token", "/login", "/check", "/.well-known/jwks.json", "/metrics"):
        assert spoken(gated.where, f"GET {path} HTTP/1.1", "host: localhost")[0] == 404


def test_without_a_secret_no_check_is_answered_anywhere_else(gated):
    for path in ("/check/nginx", "/check/forward", f"/check/envoy/m{OPEN}"):
        fields = {"x-original-method": "GET", "x-original-url": f"https://api.example.com/m{OPEN}"}
        assert gated.http.get(path, headers=fields).status_code == 404


def test_many_questions_of_one_connection_are_answered_in_their_order(gated):
    ask = "GET /check/envoy/m{} HTTP/1.1\r\nhost: api.example.com\r\n\r\n"
    targets = [OPEN, CHECKED] * 20
    with dialled(gated.where) as sock:
        sock.settimeout(20)
        sock.sendall("".join(ask.format(target) for target in targets).encode())
        reader = sock.makefile("rb")
        for target in targets:
            status = int(reader.readline().split()[1])
            length = 0
            while (line := reader.readline().strip()) != b"":
                name, _, value = line.partition(b": ")
                length = int(value) if name == b"content-length" else length
            reader.read(length)
            assert status == (200 if target == OPEN else 401)


def test_a_revoked_key_is_refused_by_every_worker(gated):
    key = gated.a_key(api=gated.api["identifier"])
    shown = told(bearer(key["key"]))
    assert {of_envoy(gated, f"/m{CHECKED}", *shown)[0] for _ in range(10)} == {200}
    gated.v1("POST", f"/keys/{key['id']}/revoke", {})
    until(lambda: {of_envoy(gated, f"/m{CHECKED}", *shown)[0] for _ in range(10)} == {401})


def test_the_socket_is_for_its_owner_and_his_group(gated):
    if gated.where.startswith("unix:"):
        path = gated.directory.parent / "check.sock"
        assert stat.S_IMODE(path.stat().st_mode) == 0o660


def test_a_socket_that_was_left_behind_is_taken_over_and_one_in_use_is_not(tmp_path):
    path = tmp_path / "check.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    variables = {"DOORWARD__CHECK_LISTEN": f"unix:{path}"}
    with served(tmp_path, variables=variables) as doorward:
        assert spoken(f"unix:{path}", "GET /check/nginx HTTP/1.1", "host: x")[0] == 403
        words = ["--data-dir", tmp_path / "other", "serve", "--port", free_port()]
        with running(command(*words), "somebody listens there already", env=_environment(variables)) as second:
            second.wait_for("Any one of these is a way out")
        assert spoken(f"unix:{path}", "GET /check/nginx HTTP/1.1", "host: x")[0] == 403
        assert doorward.http.get("/healthz").status_code == 200


def _environment(variables):
    return {**{name: value for name, value in os.environ.items() if not name.startswith("DOORWARD")}, **variables}
