"""A real HTTP(S) server that plays the issuer: it counts, holds back, fails and goes away as the test says."""

from __future__ import annotations

import datetime
import json
import ssl
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

METADATA = "/.well-known/oauth-authorization-server"
OPENID = "/.well-known/openid-configuration"
JWKS = "/jwks"
INTROSPECTION = "/introspect"

Question = dict[str, str]


@dataclass
class Reply:
    body: Any
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


def inactive(_: Question) -> Reply:
    return Reply({"active": False})


class Issuer:
    """`replies` maps paths to what is answered; a value that can be called gets the form.

    `conversations` maps paths, without their query, to what answers by itself.
    """

    def __init__(self, tls: ssl.SSLContext | None = None, path: str = "") -> None:
        self.conversations: dict[str, Callable[[BaseHTTPRequestHandler], None]] = {}
        self.counts: Counter[str] = Counter()
        self.questions: list[Question] = []
        self.authorizations: list[str | None] = []
        self.connections = 0
        self.gate = threading.Event()
        self.gate.set()
        self.drops_connections = False
        self._tls = tls
        self._path = path
        self._server = self._listen(0)
        self.port = self._server.server_address[1]
        self.replies: dict[str, Reply | Callable[[Question], Reply]] = {
            METADATA + path: Reply(self.metadata()),
            JWKS: Reply({"keys": []}),
            INTROSPECTION: inactive,
        }

    @property
    def origin(self) -> str:
        return f"{'https' if self._tls else 'http'}://localhost:{self.port}"

    @property
    def url(self) -> str:
        return self.origin + self._path

    def metadata(self, **changes: Any) -> dict[str, Any]:
        return {
            "issuer": self.url,
            "jwks_uri": self.origin + JWKS,
            "introspection_endpoint": self.origin + INTROSPECTION,
            **changes,
        }

    def publish(self, document: Any, **headers: str) -> None:
        self.replies[JWKS] = Reply(document, headers={k.replace("_", "-"): v for k, v in headers.items()})

    def _listen(self, port: int) -> _Server:
        server = _Server(("localhost", port), _conversation_of(self))
        if self._tls is not None:
            server.socket = self._tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return server

    def stop(self) -> None:
        """Gone: new connections are refused, old ones closed."""
        self._server.shutdown()
        self._server.server_close()
        self._server.end_connections()

    def start_again(self) -> None:
        self._server = self._listen(self.port)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, *arguments: Any) -> None:
        self._open: set[Any] = set()
        super().__init__(*arguments)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._open.discard(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up, or do not trust us, are part of the tests."""

    def end_connections(self) -> None:
        for request in list(self._open):
            try:
                request.shutdown(2)
            except OSError:
                continue


def _conversation_of(issuer: Issuer) -> type[BaseHTTPRequestHandler]:
    class Conversation(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def setup(self) -> None:
            super().setup()
            issuer.connections += 1

        def log_message(self, *_: Any) -> None:
            pass

        def do_GET(self) -> None:
            self._answer({})

        def do_POST(self) -> None:
            form = self.rfile.read(int(self.headers["content-length"])).decode()
            question = {name: values[0] for name, values in parse_qs(form, strict_parsing=True).items()}
            issuer.questions.append(question)
            issuer.authorizations.append(self.headers["authorization"])
            self._answer(question)

        def _answer(self, question: Question) -> None:
            issuer.counts[self.path.partition("?")[0]] += 1
            if issuer.drops_connections:
                self.close_connection = True
                return
            if converse := issuer.conversations.get(self.path.partition("?")[0]):
                converse(self)
                return
            issuer.gate.wait(30)
            reply = issuer.replies.get(self.path, Reply({"error": "not_found"}, 404))
            reply = reply(question) if callable(reply) else reply
            body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
            self.send_response(reply.status)
            for name, value in {"content-length": str(len(body)), **reply.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

    return Conversation


def certificates(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """A CA file, and the server's side of TLS with a certificate of that CA for localhost."""
    now = datetime.datetime.now(datetime.UTC)
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Test CA")])

    def builder(subject: x509.Name, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(ca_name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(hours=1))
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), False)
        )

    signs = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    ca = builder(ca_name, ca_key.public_key()).add_extension(x509.BasicConstraints(True, 0), True)
    names = x509.SubjectAlternativeName([x509.DNSName("localhost")])
    leaf = builder(x509.Name([]), key.public_key()).add_extension(names, True)
    ca_file, pair = folder / "ca.pem", folder / "server.pem"
    pem = serialization.Encoding.PEM
    ca_file.write_bytes(ca.add_extension(signs, True).sign(ca_key, hashes.SHA256()).public_bytes(pem))
    pair.write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + leaf.sign(ca_key, hashes.SHA256()).public_bytes(pem)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair)
    return ca_file, context
