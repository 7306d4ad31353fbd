"""How a request is read: its body within limits, and one id for one outcome."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from doorward.protocol.refusal import InvalidRequest, NotFound, TooLarge, UnsupportedMediaType
from doorward.web.incoming import BODY_LIMIT, Incoming
from doorward_verify import request_id

FORM = (b"content-type", b"application/x-www-form-urlencoded")
JSON = (b"content-type", b"application/json")
KEY = b"k" * 32


def incoming(*pieces, headers=(FORM,), more=False, ended=False):
    """A request whose body comes in pieces; with `more` it never ends, with `ended` the client hangs up."""
    messages = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    if ended:
        messages.append({"type": "http.disconnect"})
    elif not more:
        messages[-1]["more_body"] = False

    async def receive():
        assert messages, "nothing more comes, and nobody should wait for it"
        return messages.pop(0)

    scope = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": list(headers)}
    return Incoming(scope, receive, SimpleNamespace(node=1, request_id_key=KEY))


def body(*pieces, **more):
    return asyncio.run(incoming(*pieces, **more).body())


def test_a_body_is_put_together():
    assert body(b"a=", b"", b"b") == b"a=b"
    assert body(b"") == b""
    assert body(b"x" * BODY_LIMIT) == b"x" * BODY_LIMIT


@pytest.mark.parametrize("pieces", [[b"x" * (BODY_LIMIT + 1)], [b"x" * BODY_LIMIT, b"x"], [b"x" * 1000] * 66])
def test_a_body_over_the_limit_is_refused_at_once(pieces):
    """Without waiting for its end, which may never come."""
    with pytest.raises(TooLarge):
        body(*pieces, more=True)


@pytest.mark.parametrize("length", [b"65537", b"99999999999999999999", b"1" * 5000])
def test_an_announced_body_over_the_limit_is_not_even_read(length):
    with pytest.raises(TooLarge):
        body(headers=[FORM, (b"content-length", length)], more=True)


def test_a_body_whose_sender_is_gone_is_not_taken_for_a_whole_one():
    with pytest.raises(InvalidRequest):
        body(b"token=abc", ended=True)


def test_a_form_and_an_object_need_their_media_type():
    for read, headers in (("form", [JSON]), ("json", [FORM]), ("form", []), ("json", [(b"content-type", b"")])):
        with pytest.raises(UnsupportedMediaType):
            asyncio.run(getattr(incoming(b"{}", headers=headers), read)())


NUL = [rb'{"a": "\u0000"}', rb'{"\u0000": 1}', rb'{"a": {"b": "x\\\u0000"}}', rb'{"a": "\\\\\u0000"}']


@pytest.mark.parametrize("raw", NUL)
def test_nul_in_an_object_is_refused_however_deep(raw):
    with pytest.raises(InvalidRequest):
        asyncio.run(incoming(raw, headers=[JSON]).json())


@pytest.mark.parametrize("raw", [rb'{"a": "\\u0000"}', rb'{"a": "\\\\u0000"}', rb'{"\\u0000": "\\"}'])
def test_a_backslash_before_it_makes_it_text(raw):
    assert asyncio.run(incoming(raw, headers=[JSON]).json())


def test_one_outcome_has_one_id():
    asked = incoming(b"")
    refusal = NotFound("there is no such key")
    first = asked.identify(refusal)
    assert asked.identify(refusal) == asked.request_id == first
    assert request_id.read(first).reason_code == 107
    assert request_id.is_authentic(first, KEY)


def test_another_outcome_has_another_id():
    """What was to be committed under one id and failed is answered under an id that says so."""
    asked = incoming(b"")
    success = asked.identify(None)
    assert request_id.read(success).reason_code == 0
    failure = asked.identify(NotFound("there is no such key"))
    assert failure != success
    assert asked.request_id == failure
