"""Random requests to the OAuth endpoints: the answer is always a well-formed one of the documented kind."""

from __future__ import annotations

import re
from urllib.parse import quote_from_bytes

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

OAUTH = ("token", "introspect", "revoke")
ERRORS = {
    400: {"invalid_request", "invalid_scope", "invalid_target", "unsupported_grant_type", "unauthorized_client"},
    401: {"invalid_client", "invalid_token"},
    413: {"invalid_request"},
    415: {"invalid_request"},
}
MEMBERS = {"error", "error_description", "reason", "request_id", "docs"}
DESCRIPTION = re.compile(r"[a-z0-9][\x20-\x21\x23-\x5b\x5d-\x7e]*")  # RFC 6749 §5.2, in lower case

NAMES = st.sampled_from([
    "grant_type", "scope", "resource", "client_id", "client_secret", "token", "token_sha256", "token_type_hint",
    "client_assertion", "client_assertion_type", "code", "redirect_uri", "audience", "username", "password",
]) | st.text(max_size=12)  # fmt: skip
KNOWN = st.sampled_from([
    "client_credentials", "authorization_code", "invoices:read", "https://api.example.com/0", "a.b.c", "..", "", " ",
    "dwo_live_" + "0" * 50, "dw_live_" + "0" * 50, "A" * 43,
])  # fmt: skip
VALUES = KNOWN | st.text(max_size=40) | st.binary(max_size=40)
FIELDS = st.lists(st.tuples(NAMES, VALUES), max_size=8)
BODIES = st.binary(max_size=200)
FORM = "application/x-www-form-urlencoded"
TYPES = st.sampled_from([FORM] * 8 + ["application/json", "text/plain", "", "multipart/form-data"])
HEADERS = st.lists(
    st.tuples(
        st.sampled_from([b"authorization", b"content-encoding", b"x-api-key", b"origin", b"host", b"cookie"]),
        st.sampled_from([b"Basic", b"Basic YTpi", b"Basic Og==", b"Bearer x", b"Bearer", b"gzip", b"null"])
        | st.binary(max_size=30).map(lambda raw: re.sub(rb"[\x00\r\n]", b"", raw)),
    ),
    max_size=3,
)


def encoded(fields):
    def quoted(value):
        return quote_from_bytes(value if isinstance(value, bytes) else value.encode("utf-8", "surrogatepass"))

    return "&".join(f"{quoted(name)}={quoted(value)}" for name, value in fields).encode()


def well_formed(reply):
    assert reply.status_code in {200, *ERRORS}, reply.text
    assert reply.headers["cache-control"] == "no-store"
    assert reply.headers["content-type"] == "application/json"
    assert re.fullmatch(r"req_[0-9A-Za-z]{22}", reply.headers["x-request-id"])
    if reply.status_code == 200:
        return
    answer = reply.json()
    assert answer.keys() == MEMBERS
    assert answer["error"] in ERRORS[reply.status_code]
    assert DESCRIPTION.fullmatch(answer["error_description"])
    assert answer["request_id"] == reply.headers["x-request-id"]
    assert (reply.status_code == 401) == ("www-authenticate" in reply.headers)


@pytest.fixture(scope="module")
def client(on_sqlite):
    return on_sqlite.a_client()


@pytest.mark.parametrize("path", OAUTH)
@settings(max_examples=250)
@given(fields=FIELDS, extra=HEADERS, media_type=TYPES, query=FIELDS, raw=BODIES | st.none())
def test_a_stranger_gets_a_well_formed_answer_and_nothing_else(on_sqlite, path, fields, extra, media_type, query, raw):
    content = encoded(fields) if raw is None else raw
    headers = [(b"content-type", media_type.encode()), *extra]
    url = f"/oauth/{path}?{encoded(query).decode()}" if query else f"/oauth/{path}"
    reply = on_sqlite.http.post(url, content=content, headers=headers)
    well_formed(reply)
    assert reply.status_code != 200


@pytest.mark.parametrize("path", OAUTH)
@settings(max_examples=250)
@given(fields=FIELDS)
def test_a_client_gets_a_well_formed_answer(on_sqlite, client, path, fields):
    auth = (client["client_id"], client["client_secret"])
    headers = {"content-type": FORM}
    fixed = {"token": [], "introspect": [("token", "x")], "revoke": [("token", "x")]}[path]
    given_names = {name for name, _ in fields}
    content = encoded([*(pair for pair in fixed if pair[0] not in given_names), *fields])
    reply = on_sqlite.http.post(f"/oauth/{path}", content=content, headers=headers, auth=auth)
    well_formed(reply)
    if path == "token" and reply.status_code == 200:
        assert {name: value for name, value in fields if name == "grant_type"} == {"grant_type": "client_credentials"}
    if path == "introspect" and reply.status_code == 200:
        assert reply.json() == {"active": False}
