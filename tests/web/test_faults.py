"""A fault of ours: answered as a problem, logged by its place and kind, and never with what was sent (T202)."""

from __future__ import annotations

import pytest
from tests.deployment import deployed

from doorward.store.store import Store
from doorward.web.connection import IN_THE_CLEAR

CANARY = "correct-horse-battery-staple"


@pytest.fixture(scope="module")
def doorward(tmp_path_factory):
    with deployed(tmp_path_factory.mktemp("faults")) as doorward:
        yield doorward


@pytest.fixture
def broken(doorward, monkeypatch):
    """The store fails in a way that nobody thought of, and its message quotes what was asked."""

    async def fail(*_):
        raise RuntimeError(CANARY)

    # Nor is anything answered from memory.
    monkeypatch.setattr(Store, "is_fresh", False)
    monkeypatch.setattr(Store, "gather", fail)
    monkeypatch.setattr(Store, "read", fail)
    return doorward


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/oauth/token"), ("POST", "/oauth/introspect"), ("POST", "/oauth/revoke"), ("GET", "/v1/apis"),
     ("POST", "/v1/accounts"), ("POST", "/v1/keys/verify"), ("GET", "/.well-known/jwks.json"), ("GET", "/metrics"),
     ("GET", "/readyz"), ("POST", "/setup")],
)  # fmt: skip
def test_it_is_answered_without_what_was_sent(broken, caplog, method, path):
    basic = ("client_x", CANARY) if path.startswith("/oauth") else None
    headers = {} if basic else {"authorization": f"Bearer {broken.admin_key}"}
    if path.startswith("/oauth"):
        sent = {"data": {"grant_type": "client_credentials", "token": CANARY}}
    else:
        member = {"/setup": "token", "/v1/accounts": "id", "/v1/keys/verify": "key"}.get(path)
        sent = {"json": {member: CANARY}} if member else {}
    reply = broken.http.request(method, path, headers=headers, auth=basic, **sent)
    assert (reply.status_code, reply.json()["reason"]) == (500, "internal_error")
    assert reply.json()["request_id"] == reply.headers["x-request-id"]
    assert CANARY not in reply.text
    (record,) = (entry for entry in caplog.records if entry.name == "doorward")
    assert reply.json()["request_id"] in record.getMessage()
    assert "RuntimeError" in record.getMessage()
    assert CANARY not in caplog.text


def test_the_next_request_is_answered_as_ever(doorward):
    assert doorward.v1("GET", "/apis").status_code == 200


def test_what_came_in_the_clear_is_refused_unread(doorward, monkeypatch):
    """A believed proxy says that a hop was plain HTTP: its body is not even read (decision 16)."""
    from httpx2 import ASGITransport

    async def in_the_clear(self, request, inner=ASGITransport.handle_async_request):
        application = self.app

        async def told(scope, receive, send):
            await application({**scope, IN_THE_CLEAR: True}, unread, send)

        async def unread():
            pytest.fail("the body was read")

        self.app = told
        try:
            return await inner(self, request)
        finally:
            self.app = application

    monkeypatch.setattr(ASGITransport, "handle_async_request", in_the_clear)
    client = {"client_id": "client_x", "client_secret": "x"}
    for reply in (doorward.v1("GET", "/apis"), doorward.post("token", client), doorward.http.get("/setup")):
        assert (reply.status_code, reply.json()["reason"]) == (403, "plaintext")
