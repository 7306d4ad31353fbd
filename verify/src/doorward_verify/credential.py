"""The one credential of a request, RFC 6750 §2.1, and what kind of text it is.

Authorization: Bearer eyJ... | dwo_live_... | dw_live_...
X-API-Key: dw_live_...
Authorization: Basic base64("dw_live_...:")         as Stripe's clients do; or base64("user:dw_live_...")
GET /invoices?api_key=dw_live_...

Which of these an api takes is not known before its key is: see `arrival`.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from doorward_verify import api_key, body
from doorward_verify.api_key import MalformedCredential
from doorward_verify.arrival import AS_BEARER, Arrival
from doorward_verify.errors import CredentialMissing, InvalidRequest
from doorward_verify.jwt import LIMIT
from doorward_verify.verified import Kind

FIELDS = frozenset({b"authorization", b"x-api-key"})
AGENT = b"user-agent"
# What only browsers send; pages cannot leave it out.
ORIGIN, FETCH = b"origin", b"sec-fetch-"
# On every answer to a request whose URL holds a credential (RFC 6750 §2.3): it is to be kept nowhere.
OF_EXPOSED = {"referrer-policy": "no-referrer", "cache-control": "no-store"}
TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # b64token, RFC 6750 §2.1
KINDS: dict[str, Kind] = {"": "api_key", "o": "opaque"}

# A WSGI server joins headers of one name with commas: where each of them began.
VARIABLES = (
    (b"authorization", "HTTP_AUTHORIZATION", re.compile(r",[ \t]*(?=[A-Za-z]+ )")),
    (b"x-api-key", "HTTP_X_API_KEY", re.compile(",")),
    (b"user-agent", "HTTP_USER_AGENT", re.compile("(?!)")),
    (b"x-auth-assertion", "HTTP_X_AUTH_ASSERTION", re.compile(",")),
)


class Presented(NamedTuple):
    """`environment` and `id` are what the text says of itself; a JWT says nothing before its signature was checked.

    Of a foreign token nothing is known but that it is a text, and so of a key that the issuer imported.
    """

    kind: Kind
    text: str
    environment: str = "live"
    id: str = ""
    is_foreign: bool = False
    is_legacy: bool = False

    def __repr__(self) -> str:
        return f"Presented(kind={self.kind!r}, environment={self.environment!r}, id={self.id!r})"


class Sent(NamedTuple):
    """`agent` is what sent the request, as it says of itself: to be shown, and believed by nobody."""

    text: str
    arrival: Arrival
    agent: str | None = None

    def __repr__(self) -> str:
        return f"Sent(arrival={self.arrival!r})"


def sent(headers: Iterable[tuple[bytes, bytes]], query: bytes = b"", in_body: Sequence[str] = ()) -> Sent:
    """The one credential, from lower-case header names. Two credentials are none (RFC 6750 §3.1, T162)."""
    fields, from_browser, agent = [], False, None
    for header in headers:
        name = header[0]
        if name in FIELDS:
            fields.append(header)
        elif name == AGENT:
            agent = header[1] if agent is None else agent
        elif name == ORIGIN or name.startswith(FETCH):
            from_browser = True
    in_url = in_query(query)
    if len(fields) + len(in_url) + len(in_body) > 1:
        raise InvalidRequest("more than one credential was sent")
    if fields:
        raw, transport = _of_field(*fields[0])
    elif in_url or in_body:
        raw, transport = (*in_url, *in_body)[0].encode("utf-8", "surrogatepass"), "query" if in_url else "body"
    else:
        raise CredentialMissing("no credential was sent")
    as_usual = transport == "bearer" and not from_browser
    arrival = AS_BEARER if as_usual else Arrival(transport, from_browser)
    return Sent(_text(raw), arrival, None if agent is None else agent.decode("latin-1"))


def in_query(query: bytes) -> tuple[str, ...]:
    """The keys in a URL; most URLs have none, which costs next to nothing."""
    return body.in_form(query) if b"api_key" in query or b"%" in query else ()


def fields(environ: Mapping[str, Any]) -> list[tuple[bytes, bytes]]:
    """The headers that matter, of a WSGI environment (PEP 3333) or of Django's META."""
    return [
        (name, value.encode("latin-1", "replace"))
        for name, variable, joint in VARIABLES
        if variable in environ
        for value in joint.split(environ[variable])
    ] + [
        (variable[5:].replace("_", "-").lower().encode(), b"")
        for variable in environ
        if variable == "HTTP_ORIGIN" or variable.startswith("HTTP_SEC_FETCH_")
    ]


def _of_field(name: bytes, value: bytes) -> tuple[bytes, str]:
    if name == b"x-api-key":
        return value, "header"
    scheme, _, rest = value.partition(b" ")
    match scheme.lower():
        case b"bearer":
            return rest.strip(b" "), "bearer"
        case b"basic":
            return _of_basic(rest.strip(b" ")), "basic"
    raise CredentialMissing("the authorization scheme is neither Bearer nor Basic")


def _of_basic(value: bytes) -> bytes:
    """RFC 7617: the key is the user name or the password; what holds none is for somebody else."""
    try:
        user, _, password = base64.b64decode(value, validate=True).partition(b":")
    except binascii.Error:
        user = password = b""
    found = [part for part in (user, password) if api_key.has_form(part.decode("latin-1"))]
    if len(found) > 1:
        raise InvalidRequest("more than one credential was sent")
    if not found:
        raise CredentialMissing("the Basic credentials hold no key")
    return found[0]


def _text(raw: bytes) -> str:
    try:
        text = raw.decode("ascii")
    except UnicodeDecodeError:
        raise MalformedCredential("the credential is malformed") from None
    return api_key.strip_uri_scheme(text) if ":" in text else text


def is_jwt(text: str) -> bool:
    return text.count(".") == 2 and len(text) <= LIMIT and text.isascii()


def recognise(text: str, brand: str, *, takes_foreign: bool = False, legacy_environment: str = "") -> Presented:
    """Raises MalformedCredential for what cannot be a credential here, secrets of other kinds included (T160).

    `legacy_environment`: imported keys are taken, and are held to be of this environment until the issuer says more.
    """
    if is_jwt(text):
        return Presented("jwt", text)
    if len(text) > LIMIT or not text.isascii():
        raise MalformedCredential("the credential is malformed")
    try:
        found = api_key.parse(text, brand)
    except MalformedCredential:
        if legacy_environment and api_key.may_be_legacy(text, brand):
            return Presented("api_key", text, legacy_environment, is_legacy=True)
        if takes_foreign and TOKEN.fullmatch(text):
            return Presented("opaque", text, is_foreign=True)
        raise
    if found.kind not in KINDS:
        raise MalformedCredential("the secret is not a credential for an api")
    return Presented(KINDS[found.kind], text, found.environment, found.id)
