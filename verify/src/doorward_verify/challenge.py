"""How a refusal looks on the wire: RFC 6750 §3, RFC 9470 §3, RFC 9110 §11.6.1, and a body that explains itself.

401  WWW-Authenticate: Bearer realm="https://api.example.com", error="invalid_token", error_description="..."
     WWW-Authenticate: ApiKey realm="https://api.example.com", header="X-API-Key"
401  WWW-Authenticate: Bearer realm="...", error="insufficient_user_authentication", ..., acr_values="mfa", max_age="60"
403  WWW-Authenticate: Bearer realm="...", error="insufficient_scope", error_description="...", scope="invoices:write"
429  RateLimit: "burst";r=0;t=12
     RateLimit-Policy: "burst";q=100;w=60
     Retry-After: 12
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from doorward_verify import scope as scopes
from doorward_verify.errors import DoorwardError, InsufficientScope, InsufficientUserAuthentication, RateLimited
from doorward_verify.reasons import BY_NAME, Reason
from doorward_verify.scope import Scope

# Who has not shown a good signature or a known secret gets one answer (T070). The request id still names the cause.
UNPROVEN = frozenset(
    {"credential_malformed", "credential_unknown", "signature_invalid", "signing_key_unknown", "token_malformed",
     "token_type_wrong"}
)  # fmt: skip
UNIFORM = "the credential is malformed, unknown or has ended"

QUOTA_EXCEEDED = "https://iana.org/assignments/http-problem-types#quota-exceeded"

_UNSAFE = re.compile(r"[^\x20-\x7e]")
_SPECIAL = re.compile(r'(["\\])')


@dataclass(frozen=True, slots=True)
class Answer:
    """A header may occur twice: one WWW-Authenticate for each way to authenticate."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: dict[str, Any]

    def all(self, name: str) -> list[str]:
        return [value for header, value in self.headers if header == name]


def answer(error: DoorwardError, *, issuer: str, audience: str, request_id: str) -> Answer:
    reason = public(error)
    description = UNIFORM if reason is _ANY else error.description
    body = {
        "error": error.error or reason.name,
        "error_description": description,
        "reason": reason.name,
        "request_id": request_id,
        "docs": f"{issuer}/v1/docs#reason-{reason.name}",
    }
    if isinstance(error, RateLimited):
        body |= _problem(error)
    headers = (
        ("content-type", "application/problem+json" if isinstance(error, RateLimited) else "application/json"),
        ("cache-control", "no-store"),
        ("x-request-id", request_id),
        *_challenges(error, description, audience),
    )
    return Answer(error.status, headers, body)


def completed(answer: Answer, scope: Scope, metadata_url: str | None) -> Answer:
    """With what only the door knows: the scope that it wants (RFC 6750 §3) and its metadata (RFC 9728 §5.1)."""
    known = {}
    if scope and answer.status == 401:
        known["scope"] = scopes.text(scope)
    if metadata_url is not None:
        known["resource_metadata"] = metadata_url
    if not known:
        return answer
    more = f", {_parameters(known)}"
    headers = ((name, value + more if value.startswith("Bearer ") else value) for name, value in answer.headers)
    return replace(answer, headers=tuple(headers))


def public(error: DoorwardError) -> Reason:
    """The reason that the caller is told."""
    return _ANY if error.reason in UNPROVEN else BY_NAME[error.reason]


_ANY = BY_NAME["credential_unknown"]


def _challenges(error: DoorwardError, description: str, audience: str) -> Iterator[tuple[str, str]]:
    if error.status == 503:
        yield "retry-after", "1"
    if isinstance(error, RateLimited):
        yield from rate_limit(error)
    if error.status not in (401, 403):
        return
    parameters = {"realm": audience}
    if error.error is not None:
        parameters |= {"error": error.error, "error_description": description}
    yield "www-authenticate", f"Bearer {_parameters(parameters | _wanted(error))}"
    if error.status == 401 and not isinstance(error, InsufficientUserAuthentication):
        yield "www-authenticate", f"ApiKey {_parameters({'realm': audience, 'header': 'X-API-Key'})}"


def rate_limit(error: RateLimited) -> Iterator[tuple[str, str]]:
    """The fields of draft-ietf-httpapi-ratelimit-headers, every limit with what is left of it."""
    left = (f"{quoted(limit['name'])};r={limit['remaining']};t={limit['resets_in']}" for limit in error.limits)
    policies = (f"{quoted(limit['name'])};q={limit['amount']};w={limit['window']}" for limit in error.limits)
    yield "ratelimit", ", ".join(left)
    yield "ratelimit-policy", ", ".join(policies)
    yield "retry-after", str(error.retry_after)


def _problem(error: RateLimited) -> dict[str, Any]:
    """RFC 9457, with the type that the draft registers for it."""
    violated = [limit["name"] for limit in error.limits if limit["remaining"] < error.cost]
    return {"type": QUOTA_EXCEEDED, "title": "Too many requests", "status": 429, "violated-policies": violated}


def _wanted(error: DoorwardError) -> dict[str, str]:
    """What a better credential would have."""
    if isinstance(error, InsufficientScope):
        return {"scope": scopes.text(error.scope)}
    if not isinstance(error, InsufficientUserAuthentication):
        return {}
    wanted = {"acr_values": " ".join(error.acr_values)} if error.acr_values else {}
    return wanted if error.max_age is None else {**wanted, "max_age": str(error.max_age)}


def _parameters(parameters: dict[str, str]) -> str:
    return ", ".join(f"{name}={quoted(value)}" for name, value in parameters.items())


def quoted(value: str) -> str:
    """A quoted-string, RFC 9110 §5.6.4, that no value can break out of."""
    return '"' + _SPECIAL.sub(r"\\\1", _UNSAFE.sub("?", value)) + '"'
