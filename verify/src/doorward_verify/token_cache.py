"""A client's own access token, RFC 6749 §4.4: what the server answered, for how long it serves, when to get another.

200 {"access_token": "...", "token_type": "Bearer", "expires_in": 300}
400 {"error": "invalid_scope", "error_description": "...", "reason": "scope_invalid", "request_id": "req_..."}

401  WWW-Authenticate: Bearer realm="...", error="invalid_token"       another token may be tried, RFC 6750 §3.1
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from doorward_verify import strict_json
from doorward_verify.errors import Unavailable

# A token is replaced while it still works, so that a server that is away for a moment goes unnoticed.
AHEAD = 0.8
# RFC 6749 §5.1 only recommends expires_in.
DEFAULT_LIFETIME = 300

FIXES = {
    "invalid_client": "Check DOORWARD_CLIENT_ID and DOORWARD_CLIENT_SECRET, and that client and account are active.",
    "invalid_scope": "Ask for scopes that `doorward clients show CLIENT_ID` lists for the api.",
    "invalid_target": "Pass resource=, the identifier of an api that `doorward clients show CLIENT_ID` lists.",
    "unauthorized_client": "Create the client with `--grant-type client_credentials`.",
}

_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # RFC 6750 §2.1; anything else could end the header
_UNSAFE = re.compile(r"[^\x20-\x7e]")
# A parameter of a challenge, RFC 9110 §11.2. A quoted string is taken whole, so that nothing within it counts.
_PARAMETER = re.compile(r'(?<![\w-])([\w-]+)\s*=\s*("(?:[^"\\]|\\.)*+"|[^\s,"]+)', re.ASCII)

Standing = Literal["good", "due", "ended"]


@dataclass(frozen=True, slots=True)
class Token:
    """Its times are monotonic; its life is counted from before it was asked for."""

    text: str = field(repr=False)
    asked_at: float
    lifetime: float

    @property
    def authorization(self) -> str:
        return f"Bearer {self.text}"

    def standing(self, now: float) -> Standing:
        age = now - self.asked_at
        if age >= self.lifetime:
            return "ended"
        return "due" if age >= self.lifetime * AHEAD else "good"

    def is_refused(self, authorization: str | bytes, status: int, challenges: str) -> bool:
        """Whether a request that carried this token may succeed with another one.

        `challenges` is every WWW-Authenticate field of the answer, joined by commas.
        """
        if status != 401 or authorization != self.authorization:
            return False
        parameters = ((name.lower(), value.strip('"')) for name, value in _PARAMETER.findall(challenges))
        return ("error", "invalid_token") in parameters


class TokenRefused(Exception):  # noqa: N818  as the other refusals
    """The server gives this client no token, and said why: `error` is RFC 6749 §5.2's code.

    `reason` and `request_id` are Doorward's own; other issuers leave them empty.
    """

    def __init__(self, error: str, description: str = "", reason: str = "", request_id: str = "") -> None:
        super().__init__(error, description, reason, request_id)
        self.error = error
        self.description = description
        self.reason = reason
        self.request_id = request_id

    def __str__(self) -> str:
        known = {"reason": self.reason, "request_id": self.request_id}
        told = ", ".join(f"{name} {value}" for name, value in known.items() if value)
        said = f"{self.error}: {self.description}" if self.description else self.error
        more = f"`doorward explain {self.request_id}` tells more." if self.request_id else ""
        return " ".join(filter(None, (f"{said} ({told})." if told else f"{said}.", FIXES.get(self.error), more)))


def read(status: int, body: bytes, asked_at: float) -> Token | TokenRefused:
    """What the token endpoint answered. Raises Unavailable when that is neither a token nor a refusal."""
    if status not in (200, 400, 401, 403):
        raise Unavailable(f"the authorization server answered {status}")
    answer = _object(body)
    return _token(answer, asked_at) if status == 200 else _refused(answer, status)


def token_endpoint(status: int, body: bytes, issuer: str) -> str:
    """From the metadata, RFC 8414 §2 and §3.3."""
    if status != 200:
        raise Unavailable(f"the authorization server answered {status}")
    metadata = _object(body)
    if metadata.get("issuer") != issuer:
        raise Unavailable("the metadata names another issuer")
    endpoint = metadata.get("token_endpoint")
    if not isinstance(endpoint, str):
        raise Unavailable("the metadata names no token endpoint")
    if issuer.startswith("https:") and not endpoint.startswith("https:"):
        raise Unavailable("the metadata names a token endpoint without TLS")
    return endpoint


def _token(answer: Mapping[str, Any], asked_at: float) -> Token:
    text, kind = answer.get("access_token"), answer.get("token_type")
    lifetime = answer.get("expires_in", DEFAULT_LIFETIME)
    if not isinstance(text, str) or not _TOKEN.fullmatch(text):
        raise Unavailable("the authorization server's answer has no usable token")
    if not isinstance(kind, str) or kind.lower() != "bearer":
        raise Unavailable("the authorization server's token is of a type that is not understood here")
    if type(lifetime) is not int or lifetime <= 0:
        raise Unavailable("the authorization server's token has no usable lifetime")
    return Token(text, asked_at, lifetime)


def _refused(answer: Mapping[str, Any], status: int) -> TokenRefused:
    if not _plain(answer, "error"):
        raise Unavailable(f"the authorization server answered {status}")
    return TokenRefused(*(_plain(answer, name) for name in ("error", "error_description", "reason", "request_id")))


def _plain(answer: Mapping[str, Any], name: str) -> str:
    """What a server says goes into logs: one line, and not long."""
    text = answer.get(name)
    return _UNSAFE.sub("?", text)[:200] if isinstance(text, str) else ""


def _object(body: bytes) -> dict[str, Any]:
    try:
        return strict_json.parse(body)
    except ValueError as problem:
        raise Unavailable("the authorization server's answer is malformed") from problem
