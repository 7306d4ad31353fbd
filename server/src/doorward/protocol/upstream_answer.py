"""What an upstream answers: ID tokens (OpenID Connect Core §3.1.3.7), and assertions of a sign-in page of one's own.

ID token    {"alg": "RS256", "kid": ...} . {"iss", "sub", "aud": client_id, "exp", "iat", "nonce", ...}
assertion   {"alg": "ES256", "kid": ..., "typ": "sign-in-assertion+jwt"} . {"iss", "sub", "aud": our issuer, "exp",
                "iat", "jti", "nonce", "email", ...}
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Collection, Mapping
from typing import Any, NoReturn

from doorward.protocol import id_token as ours
from doorward.protocol import session
from doorward.protocol.upstream import SUBJECT_LIMIT, Told, Upstream
from doorward.protocol.upstream import told as told_by
from doorward.protocol.upstream_sign_in import Expected, UpstreamFailed
from doorward_verify import jwt
from doorward_verify.errors import InvalidToken, KeyUnknown

ALGORITHMS = frozenset(ours.ALGORITHMS)
REQUEST_TYPE, ASSERTION_TYPE = "sign-in-request+jwt", "sign-in-assertion+jwt"
# Clocks differ; and how long an assertion may be under way.
LEEWAY = 10
ASSERTION_LIFETIME = 300
JTI_LIMIT = 200


def failed(detail: str) -> NoReturn:
    """The user can do nothing about it: what exactly was wrong is for the log."""
    raise UpstreamFailed("the other sign-in gave an answer that cannot be trusted", detail=detail)


def check_issuer(upstream: Upstream, iss: str | None, is_promised: bool) -> None:
    """RFC 9207 §2.4: before anything is done with the answer, and as it is written."""
    if iss is None and is_promised:
        failed("the authorization response has no iss")
    if iss is not None and iss != upstream.issuer:
        failed("the authorization response is of another issuer")


def id_token(
    text: str, keys: jwt.Keys, algorithms: Collection[str], expected: Expected, access_token: str | None, now: int
) -> Mapping[str, Any]:
    """Its claims. Raises KeyUnknown when the keys should be read again, else UpstreamFailed."""
    # Both spellings are in use, and none at all; what is for something else says so.
    claims = _signed(text, keys, ("", "JWT"), algorithms)
    upstream = expected.upstream
    _made_for_it(claims, upstream, expected.nonce, now)
    _audience(claims, upstream.client_id)
    if "at_hash" in claims and not _is_hash_of(claims["at_hash"], access_token):
        failed("at_hash is of another access token")
    return claims


def assertion(text: str, upstream: Upstream, nonce: str, audience: str, now: int) -> Mapping[str, Any]:
    """Its claims; one that was made for somebody else, or lives for long, is none."""
    try:
        claims = _signed(text, upstream.keys, (ASSERTION_TYPE,), ALGORITHMS)
    except KeyUnknown:
        failed("the assertion is signed by an unknown key")
    _made_for_it(claims, upstream, nonce, now)
    if claims.get("aud") != audience:
        failed("aud is another one")
    if claims["exp"] - claims["iat"] > ASSERTION_LIFETIME:
        failed("the assertion lives for too long")
    jti = claims.get("jti")
    if not isinstance(jti, str) or not 8 <= len(jti) <= JTI_LIMIT:
        failed("jti is missing, or too short to be the only one")
    return claims


def proof(upstream: Upstream, claims: Mapping[str, Any]) -> str:
    """By which an assertion is known again."""
    return hashlib.sha256(f"{upstream.issuer}\n{claims['jti']}".encode("utf-8", "surrogatepass")).hexdigest()


def _signed(text: str, keys: jwt.Keys, types: Collection[str], algorithms: Collection[str]) -> Mapping[str, Any]:
    try:
        header, payload, signature, signing_input = jwt.unpack(text)
        if header.typ not in types and header.typ.upper() not in types:
            failed("typ is another one")
        if header.alg not in ALGORITHMS or header.alg not in algorithms:
            failed("the algorithm is not one of those agreed on")
        jwt.authenticate(header, signature, signing_input, keys)
        return jwt.read_claims(payload)
    except KeyUnknown:
        raise
    except InvalidToken as problem:
        failed(str(problem))


def _made_for_it(claims: Mapping[str, Any], upstream: Upstream, nonce: str, now: int) -> None:
    """What holds for both; only strings are equal to strings, and only numbers are times (T077, T078)."""
    given = claims.get("nonce")
    if claims.get("iss") != upstream.issuer:
        failed("iss is another one")
    if not isinstance(given, str) or not hmac.compare_digest(given.encode("utf-8", "replace"), nonce.encode()):
        failed("nonce is missing, or of another sign-in")
    subject = claims.get(upstream.claims.sub)
    if not isinstance(subject, str) or not 0 < len(subject) <= SUBJECT_LIMIT or not subject.isprintable():
        failed("the subject is missing, or no subject")
    if now >= _time(claims, "exp") + LEEWAY:
        failed("it has expired")
    if _time(claims, "iat") > now + LEEWAY or ("nbf" in claims and _time(claims, "nbf") > now + LEEWAY):
        failed("it is of the future")


def _time(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        failed(f"{name} is missing, or no number")
    return value


def _audience(claims: Mapping[str, Any], client_id: str) -> None:
    """§3.1.3.7, 3 to 5: with others beside us, it must say that it was given to us."""
    given, azp = claims.get("aud"), claims.get("azp")
    audience = given if isinstance(given, list) else [given]
    if client_id not in audience or not all(isinstance(one, str) for one in audience):
        failed("aud is another one")
    if (azp is not None and azp != client_id) or (azp is None and len(audience) > 1):
        failed("azp is missing, or another one")


def _is_hash_of(at_hash: object, access_token: str | None) -> bool:
    return isinstance(at_hash, str) and access_token is not None and at_hash == ours.at_hash(access_token)


def with_userinfo(claims: Mapping[str, Any], found: Mapping[str, Any], upstream: Upstream) -> Mapping[str, Any]:
    """§5.3.2: of the same user, or of nobody; what the ID token says is signed, and stays.

    An address and whether it is his come from one of them: what is vouched for there may not be what is written here.
    """
    if found.get("sub") != claims.get("sub") or not isinstance(found.get("sub"), str):
        failed("userinfo is about another subject")
    address, vouched = upstream.claims.email, upstream.claims.email_verified
    theirs = found if address not in claims else {k: v for k, v in found.items() if k not in (address, vouched)}
    ours_ = claims if address in claims else {k: v for k, v in claims.items() if k != vouched}
    return {**theirs, **ours_}


def told(claims: Mapping[str, Any], expected: Expected) -> Told:
    """Who it is, once he signed in as freshly as was asked (§3.1.2.1)."""
    found = told_by(expected.upstream, str(claims[expected.upstream.claims.sub]), claims)
    if expected.max_age is not None:
        since = expected.begun_at - expected.max_age - session.FRESH_LEEWAY
        if found.auth_time is None or found.auth_time < since:
            raise UpstreamFailed("the other sign-in did not ask the user again", reason="upstream_not_fresh")
    return found
