"""How keys and accounts are used: by hour and result, by secret, and when last, from where and by what."""

from __future__ import annotations

import threading
import time

from tests.spec.test_key_rotation import check, rotate

from doorward_verify.api_key import digest
from doorward_verify.jwt import b64url_encode

HOUR = 3600
DEADLINE = 30.0


def eventually(doorward, path, true):
    """The object at `path` once it is as it should be: counts are written a little later."""
    deadline, pause = time.monotonic() + DEADLINE, threading.Event()
    while True:
        found = doorward.v1("GET", path).json()
        if true(found):
            return found
        assert time.monotonic() < deadline, found
        pause.wait(0.05)


def verified(doorward, key, **more):
    reply = doorward.v1("POST", "/keys/verify", {"key": key["key"], **more})
    assert reply.status_code == 200, reply.text
    return reply.json()


def test_checks_count_by_result_for_the_key_and_its_account(doorward):
    key = doorward.a_key()
    before = int(time.time())
    for _ in range(3):
        assert verified(doorward, key, address="192.0.2.7", user_agent="curl/8.5")["active"]
    assert not verified(doorward, key, scope="invoices:write")["active"]
    assert doorward.v1("POST", f"/keys/{key['id']}/deactivate").status_code == 200
    batch = {"keys": [{"key": key["key"]}, {"key": key["key"]}, {"key": "dw_live_x"}]}
    assert doorward.v1("POST", "/keys/verify/batch", batch).status_code == 200
    counts = {"active": 3, "insufficient_scope": 1, "credential_inactive": 2}
    for path in (f"/keys/{key['id']}/usage", f"/keys/{key['prefix'][-12:]}/usage", f"/accounts/{key['account']}/usage"):
        found = eventually(doorward, path, lambda usage: usage["counts"] == counts)
        assert sum(sum(hour["counts"].values()) for hour in found["hours"]) == 6
        assert all(hour["at"] % HOUR == 0 and hour["at"] <= before + DEADLINE for hour in found["hours"])
        assert before <= found["last_used_at"] <= time.time()
        assert (found["last_address"], found["last_user_agent"]) == ("192.0.2.7", "curl/8.5")
    shown = doorward.v1("GET", f"/keys/{key['id']}").json()
    assert (shown["uses"], shown["last_address"], shown["last_user_agent"]) == (3, "192.0.2.7", "curl/8.5")


def test_a_span_may_be_named_and_is_bounded(doorward):
    key = doorward.a_key()
    assert verified(doorward, key)["active"]
    path = f"/keys/{key['id']}/usage"
    found = eventually(doorward, path, lambda usage: usage["counts"])
    at = found["hours"][0]["at"]
    for span, counts in (
        (f"from={at}", {"active": 1}), (f"from={at + 5}&to={at + 6}", {"active": 1}),
        (f"to={at}", {}), (f"from={at + HOUR}&to={at + 2 * HOUR}", {}),
    ):  # fmt: skip
        assert doorward.v1("GET", f"{path}?{span}").json()["counts"] == counts
    for wrong in ("from=9&to=9", f"from={10**30}", f"to={-(10**30)}", "from=x", "to=1.5"):
        assert doorward.v1("GET", f"{path}?{wrong}").status_code == 422, wrong


def test_only_what_exists_has_usage_and_only_readers_see_it(doorward):
    key = doorward.a_key()
    for path in ("/keys/key_unknown/usage", "/accounts/nobody/usage"):
        assert doorward.v1("GET", path).status_code == 404
    reader = doorward.an_admin_key("keys:read")
    assert doorward.v1("GET", f"/keys/{key['id']}/usage", key=reader).status_code == 200
    assert doorward.v1("GET", f"/accounts/{key['account']}/usage", key=reader).status_code == 403


def introspect(doorward, verifier, text, **more):
    reply = doorward.post("introspect", verifier, token_sha256=b64url_encode(digest(text)), **more)
    assert reply.status_code == 200, reply.text
    return reply.json()


def tell(doorward, verifier, **item):
    auth = (verifier["client_id"], verifier["client_secret"])
    reply = doorward.http.post("/usage", json={"usage": [item]}, auth=auth)
    assert reply.status_code == 204, reply.text


def test_a_verifiers_question_counts_unless_it_reports_its_uses_itself(doorward):
    key = doorward.a_key()
    verifier = doorward.a_verifier(api=key["api"])
    answer = introspect(doorward, verifier, key["key"], usage="reported")
    assert (answer["key_id"], answer["secret_id"]) == (key["id"], key["prefix"][-12:])
    introspect(doorward, verifier, key["key"], address="2001:db8::1", user_agent="gateway/1")
    now = int(time.time())
    told = {"kind": "api_key", "id": key["id"], "last_used_at": now, "secret_id": answer["secret_id"]}
    tell(doorward, verifier, **told, count=4)
    tell(doorward, verifier, **told, count=2, result="network_not_allowed", address="198.51.100.9")
    counts = {"active": 5, "network_not_allowed": 2}
    found = eventually(doorward, f"/keys/{key['id']}/usage", lambda usage: usage["counts"] == counts)
    assert (found["last_address"], found["last_user_agent"]) == ("2001:db8::1", "gateway/1")
    (secret,) = doorward.v1("GET", f"/keys/{key['id']}").json()["secrets"]
    assert (secret["uses"], secret["last_address"]) == (5, "2001:db8::1")


def test_tokens_of_clients_count_for_their_account(doorward):
    client = doorward.a_client()
    verifier = doorward.a_verifier(api=client["apis"][0]["api"])
    assert doorward.introspect(verifier, doorward.token(client))["active"]
    grant_id = client["apis"][0]["grant_id"]
    tell(doorward, verifier, kind="grant", id=grant_id, count=2, last_used_at=int(time.time()))
    eventually(doorward, f"/accounts/{client['account']}/usage", lambda usage: usage["counts"] == {"active": 3})
    assert doorward.v1("GET", f"/clients/{client['client_id']}").json()["apis"][0]["uses"] == 3


def test_who_still_uses_the_old_secret_is_seen_by_secret(doorward):
    old = doorward.a_key()
    assert check(doorward, old["key"])["active"]
    eventually(doorward, f"/keys/{old['id']}", lambda key: key["uses"] == 1)
    new = rotate(doorward, old, starts="now", overlap=HOUR)
    assert verified(doorward, old, address="192.0.2.9", user_agent="cron/1")["active"]
    assert verified(doorward, new, address="192.0.2.1")["active"]
    verifier = doorward.a_verifier(api=old["api"])
    told = {"kind": "api_key", "id": old["id"], "count": 5, "last_used_at": int(time.time())}
    tell(doorward, verifier, **told, secret_id=old["prefix"][-12:])
    found = eventually(doorward, f"/keys/{old['id']}", lambda key: key["uses"] == 8)
    superseded, current = found["secrets"]
    assert (superseded["id"], superseded["uses"], superseded["uses_since_superseded"]) == (old["prefix"][-12:], 7, 6)
    assert (superseded["last_address"], superseded["last_user_agent"]) == ("192.0.2.9", "cron/1")
    assert (current["uses"], current["uses_since_superseded"], current["last_address"]) == (1, 0, "192.0.2.1")
    assert superseded["last_used_at"] <= time.time()


def test_which_secret_a_program_uses_is_seen_while_it_has_two(doorward):
    old = doorward.a_client()
    new = doorward.create(f"/clients/{old['client_id']}/rotate-secret", overlap=HOUR, starts="now")
    assert [one["state"] for one in new["secrets"]] == ["superseded", "current"]
    for client in (old, old, new):
        assert doorward.token(client)
    path = f"/clients/{old['client_id']}"
    found = eventually(doorward, path, lambda client: [one["uses"] for one in client["secrets"]] == [2, 1])
    assert [one["uses_since_superseded"] for one in found["secrets"]] == [2, 0]
    first = doorward.a_verifier()
    second = doorward.create(f"/verifiers/{first['client_id']}/rotate", overlap=HOUR, starts="now")
    for verifier in (first, second, second):
        assert not doorward.introspect(verifier, "x")["active"]
    path = f"/verifiers/{first['client_id']}"
    eventually(doorward, path, lambda verifier: [one["uses"] for one in verifier["secrets"]] == [1, 2])


def test_counting_makes_no_event_and_changes_no_version(doorward):
    key = doorward.a_key()
    newest = doorward.v1("GET", "/audit?order=desc&limit=1").json()["items"]
    assert verified(doorward, key)["active"]
    found = eventually(doorward, f"/keys/{key['id']}", lambda key: key["uses"] == 1)
    assert found["version"] == key["version"]
    assert doorward.v1("GET", "/audit?order=desc&limit=1").json()["items"] == newest
