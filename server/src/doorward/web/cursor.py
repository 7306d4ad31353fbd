"""Cursors of lists: where a page ended, bound to its list and filters and signed, so that nobody forges one (T188)."""

from __future__ import annotations

import hmac
import json
from contextlib import suppress
from typing import Any

from doorward.protocol.refusal import Refusal
from doorward.web.runtime import CURSORS, Runtime
from doorward_verify.jwt import b64url_decode, b64url_encode

MAC_LENGTH = 16


class CursorInvalid(Refusal):
    """The cursor was not made here, or for another list or other filters."""

    error = "invalid_cursor"
    default_reason = "cursor_invalid"


def make(key: bytes, bound_to: str, place: list[Any]) -> str:
    payload = json.dumps(place, separators=(",", ":")).encode()
    return b64url_encode(_mac(key, bound_to, payload) + payload)


async def heard(runtime: Runtime, bound_to: str, cursor: str) -> list[Any]:
    """The same under any master key; one that this worker has not heard of may be another worker's already."""
    for last in (False, True):
        for key in runtime.keyring.keys(CURSORS):
            with suppress(CursorInvalid):
                return read(key, bound_to, cursor)
        if not last:
            await runtime.store.hear_now()
    raise CursorInvalid("the cursor is not valid here")


def read(key: bytes, bound_to: str, cursor: str) -> list[Any]:
    """Raises CursorInvalid; what it returns was made by `make` for the same list."""
    try:
        raw = b64url_decode(cursor)
    except ValueError:
        raise CursorInvalid("the cursor is not valid here") from None
    mac, payload = raw[:MAC_LENGTH], raw[MAC_LENGTH:]
    if not hmac.compare_digest(mac, _mac(key, bound_to, payload)):
        raise CursorInvalid("the cursor is not valid here")
    return list(json.loads(payload))


def _mac(key: bytes, bound_to: str, payload: bytes) -> bytes:
    return hmac.digest(key, bound_to.encode() + b"\x00" + payload, "sha256")[:MAC_LENGTH]
