"""`check_tls_listen`: gateways elsewhere ask over TLS with a client certificate; nobody else passes the handshake."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
from datetime import timedelta

import pytest
from tests.client_certificates import SERVER, Authority
from tests.deployment import command, free_port, running, served
from tests.spec.gateway_calls import CHECKED, OPEN, bearer, routes
from tests.spec.test_check_listener import _environment
from tests.verify.waiting import until


@pytest.fixture(scope="module")
def gated(tmp_path_factory):
    """The real server, with two workers that share the listener."""
    directory, port, authority = tmp_path_factory.mktemp("tls"), free_port(), Authority()
    file = directory / "gateways.pem"
    file.write_bytes(authority.pem())
    variables = {"DOORWARD__CHECK_TLS_LISTEN": f"127.0.0.1:{port}", "DOORWARD__CHECK_CLIENT_CA_FILE": str(file)}
    with served(directory, "--workers", 2, variables=variables) as doorward:
        doorward.check_port, doorward.authority, doorward.authority_file = port, authority, file
        doorward.certificate = authority.certified(directory / "good")
        doorward.api = doorward.an_api(routes=routes("c"))
        doorward.key = doorward.a_key(api=doorward.api["identifier"])["key"]
        yield doorward


def trusting(gated, certificate=None):
    context = ssl.create_default_context(cafile=gated.directory / "ca.pem")
    if certificate is not None:
        context.load_cert_chain(*certificate)
    return context


def asked(gated, certificate, path, *headers, context=None):
    """The status and the header fields. Raises OSError where TLS ends it, which in TLS 1.3 is told after the fact."""
    context = context or trusting(gated, certificate)
    connection = http.client.HTTPSConnection("localhost", gated.check_port, timeout=20, context=context)
    try:
        connection.request("GET", path, headers=dict([("host", "api.example.com"), *headers]))
        reply = connection.getresponse()
        return reply.status, dict(reply.getheaders()), reply.read()
    finally:
        connection.close()


def is_refused(gated, certificate, context=None):
    try:
        asked(gated, certificate, f"/check/envoy/c{OPEN}", context=context)
    except (ssl.SSLError, ConnectionResetError, BrokenPipeError):
        return True
    return False


def test_a_gateway_with_a_certificate_asks_without_a_secret(gated):
    status, headers, body = asked(gated, gated.certificate, f"/check/envoy/c{CHECKED}", *bearer(gated.key))
    assert (status, body, headers["x-auth-credential"]) == (200, b"", "api_key")
    assert asked(gated, gated.certificate, f"/check/envoy/c{CHECKED}")[0] == 401
    fields = [("x-forwarded-for", "192.0.2.1"), ("x-forwarded-proto", "http")]
    status, headers, _ = asked(gated, gated.certificate, f"/check/envoy/c{CHECKED}", *fields, *bearer(gated.key))
    assert (status, headers["x-auth-problem"]) == (403, "plaintext"), (
        "what is told of the request is not of the question"
    )


def test_without_one_or_with_somebody_elses_nobody_gets_past_the_handshake(gated, tmp_path):
    stranger = Authority()
    refused = {
        "none": None,
        "of an authority of the same name": stranger.certified(tmp_path / "same"),
        "of another one": Authority("others").certified(tmp_path / "others"),
        "ended": gated.authority.certified(tmp_path / "ended", ends_in=-timedelta(minutes=1)),
        "of a server": gated.authority.certified(tmp_path / "server", purpose=SERVER),
    }
    assert [name for name, certificate in refused.items() if not is_refused(gated, certificate)] == []
    assert not is_refused(gated, gated.certificate)


@pytest.mark.parametrize(
    ("highest", "works"),
    [(ssl.TLSVersion.TLSv1_1, False), (ssl.TLSVersion.TLSv1_2, True), (ssl.TLSVersion.TLSv1_3, True)],
)
@pytest.mark.filterwarnings("ignore:.*TLSv1_1:DeprecationWarning")
def test_it_is_tls_1_2_at_least(gated, highest, works):
    context = trusting(gated, gated.certificate)
    context.minimum_version = min(context.minimum_version, highest)
    context.maximum_version = highest
    assert is_refused(gated, None, context) is not works


def test_nothing_in_the_clear_and_nothing_else_is_answered_there(gated):
    for path in ("/", "/healthz", "/v1/keys", "/login", "/check", "/.well-known/jwks.json", "/metrics"):
        assert asked(gated, gated.certificate, path)[0] == 404
    with socket.create_connection(("127.0.0.1", gated.check_port), timeout=20) as sock:
        sock.sendall(f"GET /check/envoy/c{OPEN} HTTP/1.1\r\nhost: api.example.com\r\n\r\n".encode())
        assert b"HTTP" not in sock.recv(1000)
    assert gated.http.get("/check/nginx").status_code == 404, "and no check elsewhere"


def test_who_is_connected_is_let_go_when_his_certificate_ends(gated, tmp_path):
    short = gated.authority.certified(tmp_path / "short", ends_in=timedelta(seconds=5))
    connected = http.client.HTTPSConnection("localhost", gated.check_port, timeout=20, context=trusting(gated, short))

    def is_let_go():
        try:
            connected.request("GET", f"/check/envoy/c{OPEN}", headers={"host": "api.example.com"})
            assert connected.getresponse().read() == b""
        except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
            return True
        return False

    assert not is_let_go()
    connected.auto_open = False
    until(is_let_go)
    connected.close()


def test_another_authority_takes_over_without_a_restart_and_ends_what_is_connected(gated, tmp_path):
    """Of both workers; a file that is none changes nothing."""
    other = Authority("others")
    theirs = other.certified(tmp_path / "theirs")
    connected = http.client.HTTPSConnection(
        "localhost", gated.check_port, timeout=20, context=trusting(gated, gated.certificate)
    )
    connected.request("GET", f"/check/envoy/c{OPEN}", headers={"host": "api.example.com"})
    assert connected.getresponse().read() == b""
    gated.authority_file.write_bytes(b"no certificate")
    gated.program.wait_for("new certificates of gateways are not usable")
    assert not is_refused(gated, gated.certificate)
    gated.authority_file.write_bytes(other.pem())
    until(lambda: all(is_refused(gated, gated.certificate) for _ in range(10)))
    until(lambda: not any(is_refused(gated, theirs) for _ in range(10)))
    connected.sock.settimeout(20)
    assert connected.sock.recv(1) == b"", "who was let in by the old one is sent away"
    connected.close()
    gated.authority_file.write_bytes(gated.authority.pem() + other.pem())
    until(lambda: not any(is_refused(gated, one) for one in (gated.certificate, theirs) for _ in range(10)))


def test_a_handshake_that_began_under_the_old_authority_lets_nobody_in_under_the_new_one(gated, tmp_path):
    before, other = gated.authority_file.read_bytes(), Authority("others")
    theirs = other.certified(tmp_path / "theirs")
    received, sent = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = trusting(gated, gated.certificate).wrap_bio(received, sent, server_hostname="localhost")
    with socket.create_connection(("127.0.0.1", gated.check_port), timeout=20) as sock:
        while not _shakes_hands(tls):
            sock.sendall(sent.read())
            received.write(sock.recv(65536))
        gated.authority_file.write_bytes(other.pem())
        until(lambda: not any(is_refused(gated, theirs) for _ in range(10)))
        tls.write(f"GET /check/envoy/c{OPEN} HTTP/1.1\r\nhost: api.example.com\r\n\r\n".encode())
        sock.sendall(sent.read())
        assert _left(sock, tls, received) == b""
    gated.authority_file.write_bytes(before)
    until(lambda: not any(is_refused(gated, gated.certificate) for _ in range(10)))


def _shakes_hands(tls):
    """Whether all is done on this side; the last of it is not sent yet."""
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True


def _left(sock, tls, received):
    """What is answered before the connection ends."""
    with contextlib.suppress(ConnectionResetError):
        while data := sock.recv(65536):
            received.write(data)
    with contextlib.suppress(ssl.SSLError):
        return tls.read()
    return b""


@pytest.mark.parametrize("text", [None, "", "no certificate"])
def test_without_an_authority_that_can_be_read_it_does_not_start(tmp_path, text):
    file = tmp_path / "gateways.pem"
    if text is not None:
        file.write_text(text)
    variables = {
        "DOORWARD__CHECK_TLS_LISTEN": f"127.0.0.1:{free_port()}", "DOORWARD__CHECK_CLIENT_CA_FILE": str(file)
    }  # fmt: skip
    words = ["--data-dir", tmp_path / "data", "serve", "--port", free_port()]
    with running(command(*words), "Any one of these is a way out", env=_environment(variables)) as program:
        program.wait_for(f"check_client_ca_file {file} cannot be used")
