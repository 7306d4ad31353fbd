"""A key in the body of a request, as a member of a form or JSON object; read only by a Guard that is told to.

POST /invoices                                  POST /invoices
content-type: application/json                  content-type: application/x-www-form-urlencoded

{"api_key": "dw_live_...", "amount": 7}         api_key=dw_live_...&amount=7
"""

from __future__ import annotations

from urllib.parse import parse_qsl

from doorward_verify import strict_json

NAME = "api_key"
FORM, JSON = "application/x-www-form-urlencoded", "application/json"
LIMIT = 64 * 1024


def is_read(content_type: str, content_length: str) -> bool:
    """Only what says how long it is can be looked at and still be handed on whole."""
    is_short = content_length.isdecimal() and len(content_length) < 10 and 0 < int(content_length) <= LIMIT
    return is_short and _media_type(content_type) in (FORM, JSON)


def keys(content_type: str, raw: bytes) -> tuple[str, ...]:
    """Every one that is there; what is malformed has none, and is the application's to refuse."""
    if _media_type(content_type) == FORM:
        return in_form(raw)
    try:
        found = strict_json.parse(raw).get(NAME)
    except ValueError:
        return ()
    return () if found is None else (found if isinstance(found, str) else "",)


def in_form(raw: bytes) -> tuple[str, ...]:
    """Of a form, or of the query of a URL."""
    text = raw.decode("utf-8", "replace")
    return tuple(value for name, value in parse_qsl(text, keep_blank_values=True) if name == NAME)


def _media_type(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()
