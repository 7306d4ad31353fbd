"""Reports by platforms that scan what is published: GitHub's partner programme and GitLab's token revocation API.

[{"token": "dw_live_...", "type": "...", "url": "https://github.com/...", "source": "commit"}]
    Github-Public-Key-Identifier, Github-Public-Key-Signature: ECDSA (P-256, SHA-256) over the body's bytes

[{"type": "gitleaks_rule_id_doorward_api_key", "token": "dw_live_...", "location": "https://gitlab.example.com/..."}]
"""

from __future__ import annotations

import binascii
import hashlib
from base64 import b64decode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from doorward.protocol import leak
from doorward.protocol.entities import JSON
from doorward.protocol.leak import Outcome, Report
from doorward.protocol.refusal import InvalidRequest
from doorward_verify import strict_json

TYPE_LIMIT = 200
GITHUB, GITLAB = "github", "gitlab"
# Which member of a report says where the secret was found.
PLACE = {GITHUB: "url", GITLAB: "location"}


@dataclass(frozen=True, slots=True)
class Found:
    """One member of the list; `type` is the platform's word, which is handed back and not believed."""

    text: str = field(repr=False)
    type: str
    place: str


def parse(body: bytes, origin: str) -> tuple[Found, ...]:
    """Raises InvalidRequest for everything but a list of objects with a token."""
    try:
        document = strict_json.parse(b'{"reports":' + body + b"}")
    except ValueError:
        raise InvalidRequest("the body is not a well-formed json array") from None
    reports = document["reports"]
    if document.keys() != {"reports"} or not isinstance(reports, list):
        raise InvalidRequest("the body is not a json array")
    return tuple(_found(one, PLACE[origin]) for one in reports)


def _found(one: object, place: str) -> Found:
    if not isinstance(one, dict) or not isinstance(one.get("token"), str):
        raise InvalidRequest("each report is an object with a token")
    kind, where = one.get("type"), one.get(place)
    return Found(one["token"], str(kind or "")[:TYPE_LIMIT], where if isinstance(where, str) else "")


def reports(found: Iterable[Found], origin: str, brand: str) -> tuple[Report, ...]:
    return tuple(Report(leak.classify(one.text, brand), origin, leak.location(one.place)) for one in found)


def feedback(found: Iterable[Found], outcomes: Iterable[Outcome]) -> list[dict[str, JSON]]:
    """What GitHub learns: by the digest of what it sent, whether that was a secret of ours."""
    return [
        {
            "token_hash": hashlib.sha256(one.text.encode("utf-8", "surrogatepass")).hexdigest(),
            "token_type": one.type,
            "label": "false_positive" if outcome.known is None else "true_positive",
        }
        for one, outcome in zip(found, outcomes, strict=True)
    ]


PublicKeys = Mapping[str, ec.EllipticCurvePublicKey]


def public_keys(document: Any) -> PublicKeys:
    """The published keys by their identifiers; of another curve there is none. Raises ValueError."""
    listed = document.get("public_keys") if isinstance(document, dict) else None
    if not isinstance(listed, list):
        raise ValueError("not a list of public keys")
    return dict(_public_key(one) for one in listed)


def _public_key(one: Any) -> tuple[str, ec.EllipticCurvePublicKey]:
    if not isinstance(one, dict) or not isinstance(one.get("key_identifier"), str):
        raise ValueError("a key has no identifier")
    key = load_pem_public_key(str(one.get("key")).encode())
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ValueError("a key is not of P-256")
    return one["key_identifier"], key


def is_signed(body: bytes, signature: bytes, key: ec.EllipticCurvePublicKey) -> bool:
    """Over the bytes as they came: a parser's idea of the same document is another document."""
    try:
        key.verify(b64decode(signature, validate=True), body, ec.ECDSA(SHA256()))
    except (InvalidSignature, ValueError, binascii.Error):
        return False
    return True
