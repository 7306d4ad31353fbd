"""What gateways send to /check, each in its own family of header fields, and what they were answered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.deployment import Doorward, Json, Response

from doorward_verify import assertion, jwt

SECRET = "a-secret-of-gateways-0123456789-abcdef"
HOST = "api.example.com"
IDENTITY = ("account", "scope", "client", "subject", "credential", "key-id", "assertion")
OPEN, CHECKED = "/static/app.css", "/invoices/7"

# The routes of an api; one of each kind that there is.
ROUTES = [
    {"path": "/invoices/{id}", "methods": ["GET", "POST", "DELETE"], "scope": "invoices:read", "service": "billing"},
    {"path": "/invoices", "methods": ["POST"], "scope": "invoices:write", "preflight": True},
    {"path": "/static/**", "methods": ["GET", "HEAD"], "public": True},
    {"path": "/tests", "methods": ["GET"], "environment": "test"},
]


def routes(prefix: str) -> list[Json]:
    """For each api its own, since no two may say something of the same."""
    return [{**one, "path": f"/{prefix}{one['path']}"} for one in ROUTES]


Headers = list[tuple[str, str]]


def nginx(
    doorward: Doorward, method: str, target: str, headers: Headers, address: str = "", scheme: str = "https"
) -> Response:
    told = [("x-original-method", method), ("x-original-url", f"{scheme}://{HOST}{target}")]
    told += [("x-real-ip", address)] if address else []
    return ask(doorward, "/check/nginx", [*told, *headers])


def forward(
    doorward: Doorward, method: str, target: str, headers: Headers, address: str = "", scheme: str = "https"
) -> Response:
    told = [
        ("x-forwarded-method", method), ("x-forwarded-proto", scheme), ("x-forwarded-host", HOST),
        ("x-forwarded-uri", target),
    ]  # fmt: skip
    told += [("x-forwarded-for", f"198.51.100.1, {address}")] if address else []
    return ask(doorward, "/check/forward", [*told, *headers])


def envoy(
    doorward: Doorward, method: str, target: str, headers: Headers, address: str = "", scheme: str = "https"
) -> Response:
    told = [("host", HOST), ("x-forwarded-proto", scheme)]
    told += [("x-forwarded-for", address)] if address else []
    return ask(doorward, f"/check/envoy{target}", [*told, *headers], method=method)


FAMILIES: tuple[Callable[..., Response], ...] = (nginx, forward, envoy)


def ask(
    doorward: Doorward, path: str, headers: Headers, *, method: str = "GET", secret: str | None = SECRET
) -> Response:
    shown = [] if secret is None else [("x-check-secret", secret)]
    return doorward.http.request(method, path, headers=[*shown, *headers])


def bearer(text: str) -> Headers:
    return [("authorization", f"Bearer {text}")]


def identity(reply: Response) -> dict[str, str]:
    """All of it, each exactly once."""
    found = {name: reply.headers.get_list(f"x-auth-{name}") for name in IDENTITY}
    assert {name: len(values) for name, values in found.items()} == dict.fromkeys(IDENTITY, 1), reply.headers
    return {name: values[0] for name, values in found.items()}


def asserted(doorward: Doorward, reply: Response) -> dict[str, Any]:
    """The claims of the assertion, once its signature was found good."""
    keys = jwt.keys_from_jwks(doorward.http.get("/assertions/jwks").json())
    header, payload, signature, signing_input = jwt.unpack(identity(reply)["assertion"])
    assert header.typ == assertion.TYPE
    jwt.authenticate(header, signature, signing_input, keys)
    return jwt.read_claims(payload)


def reason(reply: Response) -> tuple[int, str]:
    """Who is refused gets no identity."""
    assert reply.status_code in (400, 401, 403, 404, 503), reply
    assert not [name for name in reply.headers if name.startswith("x-auth-") and name[7:] in IDENTITY]
    assert reply.headers["cache-control"] == "no-store"
    assert not reply.content or reply.json()["reason"] == reply.headers["x-auth-problem"]
    return reply.status_code, reply.headers["x-auth-problem"]
