"""What of a request in the clear anybody on the way may have read: every secret and JWT in it, wherever it stands.

GET /invoices?api_key=dw_live_... HTTP/1.1
authorization: Basic base64("worker:dws_live_...")
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Iterator

from doorward_verify import api_key
from doorward_verify.api_key import MalformedCredential
from doorward_verify.jwt import LIMIT

# Who sends more of them at once is guessing.
COUNT_LIMIT = 8
_SECRET = re.compile(rb"(?<![0-9A-Za-z])[a-z][a-z0-9]{1,16}_(?:live|test)_[0-9A-Za-z]{50}(?![0-9A-Za-z_])")
_JWT = re.compile(rb"(?<![0-9A-Za-z_.-])eyJ[0-9A-Za-z_-]+\.[0-9A-Za-z_-]+\.[0-9A-Za-z_-]+(?![0-9A-Za-z_.-])")
_BASIC = re.compile(rb"\s*basic +([0-9A-Za-z+/]+={0,2})\s*", re.IGNORECASE)


def texts(headers: Iterable[tuple[bytes, bytes]], target: bytes, body: bytes, brand: str) -> tuple[str, ...]:
    """Each once, and no more than a few; what is no secret of this brand is nobody's business."""
    found: dict[str, None] = {}
    for part in (*(plain for _, value in headers for plain in _plain(value)), target, body):
        for text in _in(part, brand):
            found[text] = None
            if len(found) == COUNT_LIMIT:
                return (*found,)
    return (*found,)


def _plain(value: bytes) -> Iterator[bytes]:
    yield value
    hidden = _BASIC.fullmatch(value)
    if hidden is not None:
        try:
            yield base64.b64decode(hidden[1], validate=True)
        except binascii.Error:
            return


def _in(part: bytes, brand: str) -> Iterator[str]:
    for found in _SECRET.finditer(part):
        text = found[0].decode()
        try:
            api_key.parse(text, brand)
        except MalformedCredential:
            continue
        yield text
    for found in _JWT.finditer(part):
        if len(found[0]) <= LIMIT:
            yield found[0].decode()
