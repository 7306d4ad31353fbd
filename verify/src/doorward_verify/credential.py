"""The one credential of a request, RFC 6750 §2.1, and what kind of text it is.

Authorization: Bearer eyJ... | dwo_live_... | dw_live_...
X-API-Key: dw_live_...
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from doorward_verify import api_key
from doorward_verify.api_key import MalformedCredential
from doorward_verify.errors import CredentialMissing, InvalidRequest
from doorward_verify.jwt import LIMIT
from doorward_verify.verified import Kind

FIELDS = frozenset({b"authorization", b"x-api-key"})
TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # b64token, RFC 6750 §2.1
KINDS: dict[str, Kind] = {"": "api_key", "o": "opaque"}

# A WSGI server joins headers of one name with commas: where each of them began.
VARIABLES = (
    (b"authorization", "HTTP_AUTHORIZATION", re.compile(r",[ \t]*(?=[A-Za-z]+ )")),
    (b"x-api-key", "HTTP_X_API_KEY", re.compile(",")),
    (b"user-agent", "HTTP_USER_AGENT", re.compile("(?!)")),
)


@dataclass(frozen=True, slots=True)
class Presented:
    """`environment` and `id` are what the text says of itself; a JWT says nothing before its signature was checked.

    Of a foreign token nothing is known but that it is a text.
    """

    kind: Kind
    text: str = field(repr=False)
    environment: str = "live"
    id: str = ""
    is_foreign: bool = False


def from_headers(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The text of the one credential, from lower-case header names. Two credentials are none (RFC 6750 §3.1, T162)."""
    sent = [header for header in headers if header[0] in FIELDS]
    if len(sent) > 1:
        raise InvalidRequest("more than one credential was sent")
    if not sent:
        raise CredentialMissing("no credential was sent")
    name, value = sent[0]
    return _text(value if name == b"x-api-key" else _bearer(value))


def user_agent(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """What sent the request, as it says of itself: to be shown, and believed by nobody."""
    return next((value.decode("latin-1") for name, value in headers if name == b"user-agent"), None)


def fields(environ: Mapping[str, Any]) -> list[tuple[bytes, bytes]]:
    """The headers that matter, of a WSGI environment (PEP 3333) or of Django's META."""
    return [
        (name, value.encode("latin-1", "replace"))
        for name, variable, joint in VARIABLES
        if variable in environ
        for value in joint.split(environ[variable])
    ]


def _bearer(value: bytes) -> bytes:
    scheme, _, rest = value.partition(b" ")
    if scheme.lower() != b"bearer":
        raise CredentialMissing("the authorization scheme is not Bearer")
    return rest.strip(b" ")


def _text(raw: bytes) -> str:
    try:
        text = raw.decode("ascii")
    except UnicodeDecodeError:
        raise MalformedCredential("the credential is malformed") from None
    return api_key.strip_uri_scheme(text)


def recognise(text: str, brand: str, *, takes_foreign: bool = False) -> Presented:
    """Raises MalformedCredential for what cannot be a credential here, secrets of other kinds included (T160)."""
    if len(text) > LIMIT or not text.isascii():
        raise MalformedCredential("the credential is malformed")
    if text.count(".") == 2:
        return Presented("jwt", text)
    try:
        found = api_key.parse(text, brand)
    except MalformedCredential:
        if takes_foreign and TOKEN.fullmatch(text):
            return Presented("opaque", text, is_foreign=True)
        raise
    if found.kind not in KINDS:
        raise MalformedCredential("the secret is not a credential for an api")
    return Presented(KINDS[found.kind], text, found.environment, found.id)
