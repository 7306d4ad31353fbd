"""What a Guard looks at of a request of Django, and what it adds to the response."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.http import RawPostDataException

from doorward_verify import body, credential
from doorward_verify.door import Door
from doorward_verify.needs import Needs
from doorward_verify.verifier import Headers


def sent(door: Door, request: Any, needs: Needs) -> tuple[Headers, Needs, str | None, bytes, Sequence[str], Any]:
    """What a door looks at."""
    query = request.META.get("QUERY_STRING", "").encode("latin-1", "replace")
    return credential.fields(request.META), needs, _address(request), query, _in_body(door, request), request.META


def _in_body(door: Door, request: Any) -> Sequence[str]:
    content_type = request.META.get("CONTENT_TYPE", "")
    if not door.reads_body or not body.is_read(content_type, str(request.META.get("CONTENT_LENGTH", ""))):
        return ()
    try:
        return body.keys(content_type, request.body)
    except RawPostDataException:  # it was read as a form
        found: list[str] = request.POST.getlist(body.NAME)
        return found


def unkept(request: Any, response: Any) -> Any:
    """The answer to a request whose URL holds a credential is kept nowhere."""
    if credential.in_query(request.META.get("QUERY_STRING", "").encode("latin-1", "replace")):
        for name, value in credential.OF_EXPOSED.items():
            response[name] = value
    return response


def _address(request: Any) -> str | None:
    found = request.META.get("REMOTE_ADDR")
    return str(found) if found else None
