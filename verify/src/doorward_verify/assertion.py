"""What a gateway asserts of a request that it let through (decision 32a): a JWT for one service, method and URI.

X-Auth-Assertion: {"typ": "gateway-assertion+jwt", "alg": "ES256", "kid": "..."} . {"iss", "aud": "billing",
                  "htm": "POST", "uri": BASE64URL(SHA-256("/invoices?draft=1")), "iat", "exp", "jti", "pos", ...}

It was made from a key, an opaque token or a JWT alike, and lives for ten seconds at most.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping
from hashlib import sha256
from types import MappingProxyType
from typing import Any, NamedTuple

from doorward_verify import access_token, jwt, revocations
from doorward_verify import scope as scopes
from doorward_verify.errors import CredentialMissing, InvalidRequest, InvalidToken
from doorward_verify.revocations import Ties
from doorward_verify.scope import MalformedScope, Scope
from doorward_verify.verified import Kind, Verified

TYPE = "gateway-assertion+jwt"
FIELD = b"x-auth-assertion"
LIFETIME = 10
# Nothing is changed by these, so that one assertion may be shown more than once (RFC 9110 §9.2.1).
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
KINDS: Mapping[str, Kind] = {"api_key": "api_key", "opaque": "opaque", "jwt": "jwt"}


class Target(NamedTuple):
    """Which request a service sees: the path decoded once, the query as it came.

    `shared` lives as long as the request does, so that two doors of one service take its one assertion.
    """

    method: str
    path: str
    query: str
    shared: MutableMapping[str, Any]

    @property
    def written(self) -> str:
        """No gateway lets a path pass in which a `?` was encoded: it must not be read as the one before a query."""
        path = self.path.replace("?", "%3F")
        return f"{path}?{self.query}" if self.query else path


class Asserted(NamedTuple):
    """`jti` is there where the assertion is good for one time, until `expires_at`."""

    verified: Verified
    ties: Ties
    jti: str | None
    expires_at: int


def target(request: MutableMapping[str, Any]) -> Target:
    """Of an ASGI scope or a WSGI environment (PEP 3333); a WebSocket begins as a GET."""
    if "REQUEST_METHOD" in request:
        path = request.get("SCRIPT_NAME", "") + request.get("PATH_INFO", "")
        decoded = path.encode("latin-1", "replace").decode("utf-8", "replace")
        return Target(request["REQUEST_METHOD"], decoded, request.get("QUERY_STRING", ""), request)
    query = request.get("query_string", b"").decode("latin-1")
    return Target(request.get("method", "GET"), request["path"], query, request)


def uri(written: str) -> str:
    """The claim that names a URI; a digest, so that a long one makes no long header."""
    return jwt.b64url_encode(sha256(written.encode("utf-8", "surrogatepass")).digest())


def from_headers(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The one assertion of a request, from lower-case header names."""
    sent = [value for name, value in headers if name == FIELD and value]
    if len(sent) > 1:
        raise InvalidRequest("more than one assertion was sent")
    if not sent:
        raise CredentialMissing("no assertion was sent")
    return sent[0].decode("latin-1")


def verify(
    text: str, keys: jwt.Keys, *, issuer: str, service: str, audience: str, target: Target, now: float, leeway: int
) -> Asserted:  # fmt: skip
    """Raises KeyUnknown or InvalidToken. Until the signature fits, no claim is looked at."""
    header, payload, signature, signing_input = jwt.unpack(text)
    if header.typ != TYPE:
        raise InvalidToken("the token is not an assertion", reason="token_type_wrong")
    jwt.authenticate(header, signature, signing_input, keys)
    claims = jwt.read_claims(payload)
    if claims.get("iss") != issuer:
        raise InvalidToken("the assertion has another issuer", reason="wrong_issuer")
    if claims.get("aud") != service or claims.get("api") != audience:
        raise InvalidToken("the assertion is for another service", reason="wrong_audience")
    expires_at = _within_its_time(claims, now, leeway)
    if claims.get("htm") != target.method or claims.get("uri") != uri(target.written):
        raise InvalidToken("the assertion is for another request", reason="assertion_misplaced")
    jti = claims.get("jti")
    if not isinstance(jti, str) or not jti:
        raise jwt.malformed()
    kid = header.kid or next(iter(keys))
    ties = revocations.ties_of_assertion(claims, kid)
    return Asserted(_verified(claims), ties, None if target.method in SAFE else jti, expires_at + leeway)


def _within_its_time(claims: Mapping[str, Any], now: float, leeway: int) -> int:
    expires_at = access_token.within_its_time(claims, now, leeway)
    if expires_at - int(claims["iat"]) > LIFETIME:
        raise InvalidToken("the assertion lives for too long", reason="token_malformed")
    return expires_at


def _verified(claims: Mapping[str, Any]) -> Verified:
    credential = KINDS.get(str(claims.get("credential")))
    names = [claims.get(name) for name in ("sub", "account", "client_id", "key_id", "grant_id")]
    if credential is None or not all(name is None or isinstance(name, str) for name in names):
        raise jwt.malformed()
    act = claims.get("act")
    if act is not None and not isinstance(act, dict):
        raise jwt.malformed()
    subject, account, client_id, key_id, grant_id = names
    environment = claims.get("environment", "live")
    return Verified(
        credential, subject, account, client_id, key_id, _scope(claims.get("scope", "")), str(claims["api"]),
        str(environment), int(claims["exp"]), grant_id, act, False, MappingProxyType(claims),
    )  # fmt: skip


def _scope(text: object) -> Scope:
    if text == "":
        return frozenset()
    try:
        return scopes.parse(text if isinstance(text, str) else "")
    except MalformedScope:
        raise jwt.malformed() from None
