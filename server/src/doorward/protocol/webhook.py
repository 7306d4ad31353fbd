"""What a webhook tells of a notice, as Standard Webhooks 1.0 signs it: never a secret.

webhook-id: msg_3f1c...        the same for every try, so that what came twice is known
webhook-timestamp: 1795559999
webhook-signature: v1,base64(HMAC-SHA256(secret, id "." timestamp "." body))      one for each secret, between spaces

{"type": "api_key.leaked", "timestamp": "2026-11-28T20:00:00Z", "data": {"id": "key_...", "outcome": "revoked", ...}}
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass

from doorward.protocol.entities import JSON, ApiKey, Leak

PREFIX = "whsec_"
SECRET_SIZES = range(24, 65)  # bytes, as the specification has it
DECOY_TRIED, EXPIRING = "decoy.tried", "api_key.expiring"
# Of each kind of secret that leaks: the type of its message, and the letter and environment of its text, if it has any.
LEAKED: Mapping[str, tuple[str, str]] = {
    "api_key":         ("api_key.leaked",         "_live_"),
    "test_api_key":    ("api_key.leaked",         "_test_"),
    "client_secret":   ("client_secret.leaked",   "s_live_"),
    "verifier_secret": ("verifier_secret.leaked", "s_live_"),
    "admin_key":       ("admin_key.leaked",       "a_live_"),
    "refresh_token":   ("token.leaked",           "r_live_"),
    "opaque_token":    ("token.leaked",           "o_live_"),
    "jwt":             ("token.leaked",           ""),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Message:
    """`at` is when it came to be told, whenever it is sent."""

    id: str
    type: str
    at: int
    data: Mapping[str, JSON]

    def body(self, stamp: str) -> bytes:
        """`stamp` is `at` as RFC 3339 writes it."""
        return json.dumps({"type": self.type, "timestamp": stamp, "data": self.data}, separators=(",", ":")).encode()


def id_of(about: str, kind: str, at: int) -> str:
    """What is told of again a day later is another message."""
    return "msg_" + hashlib.sha256(f"{kind}.{about}.{at}".encode()).hexdigest()[:32]


def of_leak(id_: str, at: int, leak: Leak, brand: str) -> Message:
    kind, form = LEAKED[leak.credential]
    prefix = f"{brand}{form}{leak.credential_id}" if form else None
    data: dict[str, JSON] = {
        "leak": leak.id, "credential": leak.credential, "id": leak.owner_id, "secret": leak.credential_id,
        "prefix": prefix, "account": leak.account_id, "outcome": leak.outcome, "origin": leak.origin,
        "locations": [*leak.locations],
    }  # fmt: skip
    return Message(id_, kind, at, data)


def of_decoy(id_: str, at: int, key: ApiKey, tried_by: str) -> Message:
    data: dict[str, JSON] = {"id": key.id, "name": key.name, "account": key.account_id, "tried_by": tried_by}
    return Message(id_, DECOY_TRIED, at, data)


def of_expiry(id_: str, at: int, key: ApiKey, days: int, last_used_at: int | None) -> Message:
    data: dict[str, JSON] = {
        "id": key.id, "name": key.name, "account": key.account_id, "expires_at": key.expires_at, "days": days,
        "last_used_at": last_used_at,
    }  # fmt: skip
    return Message(id_, EXPIRING, at, data)


def headers(id_: str, body: bytes, secrets: tuple[bytes, ...], now: int) -> Mapping[str, str]:
    """Of several secrets each signs: while they change, whoever knows one of them is content."""
    signed = b".".join((id_.encode(), str(now).encode(), body))
    marks = [base64.b64encode(hmac.digest(secret, signed, "sha256")).decode() for secret in secrets]
    return {
        "webhook-id": id_,
        "webhook-timestamp": str(now),
        "webhook-signature": " ".join(f"v1,{mark}" for mark in marks),
    }


def secrets(text: str) -> tuple[bytes, ...]:
    """One or more between spaces, as they are written. Raises ValueError."""
    found = tuple(_secret(one) for one in text.split())
    if not found:
        raise ValueError("no secret of a webhook")
    return found


def _secret(text: str) -> bytes:
    try:
        secret = base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except binascii.Error:
        raise ValueError("not the secret of a webhook") from None
    if not text.startswith(PREFIX) or len(secret) not in SECRET_SIZES:
        raise ValueError("not the secret of a webhook")
    return secret
