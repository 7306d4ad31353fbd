"""The database is gone for a while: 503 and Retry-After meanwhile, nothing to do by hand afterwards (F7 in small)."""

from __future__ import annotations

import time

import pytest
from tests.deployment import deployed
from tests.postgresql import binaries, private

RECOVERED_WITHIN = 60.0  # the promise is 5 seconds; the deadline is for slow machines


@pytest.fixture
def cluster(postgresql):
    """A cluster of its own, since others use the shared one; asked for to be skipped where that one is."""
    assert binaries()
    with private() as cluster:
        yield cluster


def test_what_needs_the_database_is_503_and_comes_back_by_itself(cluster, tmp_path):
    with deployed(tmp_path, database=cluster.create()) as doorward:
        client = doorward.a_client()
        verifier = doorward.a_verifier(api=client["apis"][0]["api"])
        key = doorward.a_key(account=client["account"], api=client["apis"][0]["api"])["key"]
        token = doorward.token(client)
        calls = {
            "a token": lambda: doorward.post("token", client, grant_type="client_credentials"),
            "introspection": lambda: doorward.post("introspect", verifier, token=token),
            "a revocation": lambda: doorward.post("revoke", client, token="x"),
            "a list": lambda: doorward.v1("GET", "/accounts"),
            "a key check": lambda: doorward.v1("POST", "/keys/verify", {"key": key}),
            "readiness": lambda: doorward.http.get("/readyz"),
        }
        assert {name: call().status_code for name, call in calls.items()} == dict.fromkeys(calls, 200)
        cluster.stop()
        replies = dict(zip(calls, doorward.at_once(len(calls), lambda n: list(calls.values())[n]()), strict=True))
        # Memory answers for half a second more what needs no commit: nobody can have revoked anything meanwhile.
        assert {replies[name].status_code for name in ("a token", "a list", "readiness")} == {503}
        assert {reply.status_code for reply in replies.values()} <= {200, 503}
        for name, call in calls.items():
            until(call, 503)
            assert "access_token" not in call().text, name
        for name in ("a token", "introspection", "a revocation", "a list", "a key check"):
            assert int(calls[name]().headers["retry-after"]) >= 1, name
        assert doorward.http.get("/healthz").status_code == 200
        cluster.start()
        for call in calls.values():
            until(call, 200)
        assert doorward.introspect(verifier, token)["active"] is True
        assert doorward.v1("POST", "/keys/verify", {"key": key}).json()["active"] is True


@pytest.mark.parametrize(("mode", "said"), [("refuse", "checks are refused"), ("allow", "checks pass")])
def test_where_nobody_can_count_limits_readiness_notes_it_and_the_node_stays(tmp_path, mode, said):
    with deployed(tmp_path, limits_url=f"unix://{tmp_path}/nobody", on_limiter_failure=mode) as doorward:
        ready = doorward.http.get("/readyz")
        assert (ready.status_code, ready.json()) == (200, {"status": "ready", "limits": f"nobody can count: {said}"})


def until(call, status):
    deadline = time.monotonic() + RECOVERED_WITHIN
    while (reply := call()).status_code != status:
        assert reply.status_code in (200, 503), reply.text
        assert time.monotonic() < deadline, reply.text
