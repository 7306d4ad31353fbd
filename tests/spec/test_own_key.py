"""A key ends itself, without an admin key, and opens nothing else of /v1 (T166)."""

from __future__ import annotations

import secrets

import pytest

from doorward.web import leaks

PATH = "/v1/keys/self/revoke"


def ask(doorward, text, path=PATH, method="POST", **headers):
    return doorward.http.request(method, path, headers={"authorization": f"Bearer {text}", **headers})


def state(doorward, key):
    return doorward.v1("GET", f"/keys/{key['id']}").json()["state"]


def reason(doorward, text):
    return doorward.v1("POST", "/keys/verify", {"key": text}).json()["reason"]


@pytest.mark.parametrize(
    "header",
    [lambda key: {"authorization": f"Bearer {key}"}, lambda key: {"x-api-key": key},
     lambda key: {"authorization": f"Bearer secret-token:{key}"}],
    ids=["bearer", "x-api-key", "uri scheme"],
)  # fmt: skip
def test_a_key_ends_itself_and_no_other(doorward, header):
    key = doorward.a_key()
    other = doorward.a_key(account=key["account"], api=key["api"])
    reply = doorward.http.post(PATH, headers=header(key["key"]))
    assert (reply.status_code, reply.json()["id"]) == (200, key["id"])
    assert reason(doorward, key["key"]) == "credential_revoked"
    assert state(doorward, other) == "active"
    again = doorward.http.post(PATH, headers=header(key["key"]))
    assert (again.status_code, again.json()["reason"]) == (401, "credential_revoked")
    assert "Bearer" in again.headers["www-authenticate"]


def test_the_audit_log_says_which_secret_did_it(doorward):
    key = doorward.a_key()
    ask(doorward, key["key"])
    entries = doorward.v1("GET", "/audit?limit=50&order=desc").json()["items"]
    (told,) = [one for one in entries if one["type"] == "ApiKeyRevoked" and one["entity_id"] == key["id"]]
    assert told["actor"] == key["prefix"][-12:]


def test_an_imported_key_ends_itself_too(doorward):
    api, account = doorward.an_api(legacy=True), doorward.an_account()
    text = "old_" + secrets.token_hex(24)
    row = {"account": account["id"], "api": api["id"], "scope": "invoices:read", "key": text}
    doorward.v1("POST", "/keys/import", {"rows": [row]})
    assert ask(doorward, text).status_code == 200
    assert reason(doorward, text) == "credential_revoked"


def test_a_key_that_is_inactive_or_of_a_suspended_account_can_still_end(doorward):
    inactive, suspended = doorward.a_key(), doorward.a_key()
    doorward.v1("POST", f"/keys/{inactive['id']}/deactivate")
    doorward.v1("POST", f"/accounts/{suspended['account']}/suspend")
    for key in (inactive, suspended):
        assert ask(doorward, key["key"]).status_code == 200
        assert state(doorward, key) == "revoked"


def test_a_decoy_says_nothing_of_itself_and_raises_its_alarm(doorward):
    decoy = doorward.a_key(decoy=True)
    reply = ask(doorward, decoy["key"])
    assert (reply.status_code, reply.json()["reason"]) == (401, "credential_unknown")
    assert state(doorward, decoy) == "decoy"
    entries = doorward.v1("GET", "/audit?limit=50&order=desc").json()["items"]
    assert any(one["type"] == "DecoyTried" and one["entity_id"] == decoy["id"] for one in entries)


def test_what_is_no_key_ends_nothing(doorward):
    key = doorward.a_key()
    client = doorward.a_client(api=key["api"])
    wrong = {
        "admin key": doorward.admin_key, "token": doorward.token(client), "part": key["key"][:-1],
        "prefix": key["prefix"], "nothing": "", "nonsense": "x" * 40,
    }  # fmt: skip
    for name, text in wrong.items():
        assert ask(doorward, text).status_code == 401, name
    assert doorward.http.post(PATH).json()["reason"] == "credential_missing"
    assert ask(doorward, key["key"], **{"x-api-key": key["key"]}).json()["reason"] == "several_credentials"
    assert doorward.http.post(f"{PATH}?token={key['key']}").status_code == 401
    assert state(doorward, key) == "active"


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/keys/self"), ("GET", "/keys"), ("POST", "/keys"), ("POST", "/keys/{id}/revoke"),
     ("POST", "/keys/{id}/rotate"), ("PATCH", "/keys/{id}"), ("POST", "/keys/verify"), ("POST", "/keys/import"),
     ("POST", "/revocations"), ("GET", PATH.removeprefix("/v1"))],
)  # fmt: skip
def test_a_key_opens_nothing_else(doorward, method, path):
    key = doorward.a_key()
    assert ask(doorward, key["key"], f"/v1{path.format(id=key['id'])}", method).status_code in (401, 405)
    assert reason(doorward, key["key"]) is None


def test_an_administrator_ends_a_key_by_its_text(doorward):
    key = doorward.a_key()
    ended = doorward.v1("POST", "/revocations", {"token": key["key"]}).json()
    assert ended == {"kind": "token", "id": key["id"], "changed": True}
    assert doorward.v1("POST", "/revocations", {"token": key["key"]}).json()["changed"] is False
    unknown = "dw_live_" + "0" * 50
    assert doorward.v1("POST", "/revocations", {"token": unknown}).status_code == 404


def test_who_tries_one_key_without_end_is_told_when_to_come_again(doorward, monkeypatch):
    decoy = doorward.a_key(decoy=True)
    monkeypatch.setattr(leaks, "BURST", 0)
    reply = ask(doorward, decoy["key"])
    assert (reply.status_code, reply.json()["reason"]) == (429, "too_many_reports")
    assert int(reply.headers["retry-after"]) >= 1
    tried = doorward.v1("GET", f"/audit?type=DecoyTried&entity={decoy['id']}").json()["items"]
    assert tried == []
