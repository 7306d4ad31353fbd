"""A real HTTP(S) server that plays the issuer: it counts, holds back, fails and goes away as the test says."""

from __future__ import annotations

import datetime
import ssl
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from doorward_verify.testing.server import Conversation, LoopbackServer

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


class Issuer(LoopbackServer):
    """`replies` maps paths to what is answered; a value that can be called gets the form.

    `conversations` maps paths, without their query, to what answers by itself.
    """

    def __init__(self, tls: ssl.SSLContext | None = None, path: str = "") -> None:
        self.conversations: dict[str, Callable[[Conversation], None]] = {}
        self.counts: Counter[str] = Counter()
        self.questions: list[Question] = []
        self.authorizations: list[str | None] = []
        self.gate = threading.Event()
        self.gate.set()
        self.drops_connections = False
        self._path = path
        super().__init__(tls)
        self.replies: dict[str, Reply | Callable[[Question], Reply]] = {
            METADATA + path: Reply(self.metadata()),
            JWKS: Reply({"keys": []}),
            INTROSPECTION: inactive,
        }

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

    def converse(self, conversation: Conversation) -> None:
        question = self._question(conversation) if conversation.command == "POST" else {}
        self.counts[conversation.route] += 1
        if self.drops_connections:
            conversation.close_connection = True
            return
        if converse := self.conversations.get(conversation.route):
            converse(conversation)
            return
        self.gate.wait(30)
        reply = self.replies.get(conversation.path, Reply({"error": "not_found"}, 404))
        reply = reply(question) if callable(reply) else reply
        conversation.reply(reply.status, reply.body, reply.headers)

    def _question(self, conversation: Conversation) -> Question:
        is_json = conversation.headers["content-type"] == "application/json"
        question = {"json": conversation.body.decode()} if is_json else conversation.form
        self.questions.append(question)
        self.authorizations.append(conversation.headers["authorization"])
        return question


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
