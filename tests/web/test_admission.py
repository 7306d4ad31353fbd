"""Who may come in to /v1: a key that was ended is refused, and that it was tried is on record."""

import pytest
from tests.deployment import deployed


@pytest.fixture(scope="module")
def doorward(tmp_path_factory):
    with deployed(tmp_path_factory.mktemp("admission")) as running:
        yield running


def test_the_use_of_an_ended_admin_key_is_a_record(doorward):
    made = doorward.create("/admin-keys", name="ci", scope="keys:read")
    assert doorward.v1("POST", f"/admin-keys/{made['id']}/revoke").status_code == 200
    refused = doorward.v1("GET", "/keys", key=made["key"])
    assert (refused.status_code, refused.json()["reason"]) == (401, "credential_revoked")
    entries = doorward.v1("GET", f"/audit?type=CredentialRefused&entity={made['id']}").json()["items"]
    assert [entry["data"] for entry in entries] == [{"credential": "admin_key", "reason": "credential_revoked"}]
    assert entries[0]["request_id"] == refused.json()["request_id"]


def test_a_stranger_leaves_no_record(doorward):
    before = doorward.v1("GET", "/audit?order=desc&limit=1").json()["items"][0]["seq"]
    assert doorward.v1("GET", "/keys", key=f"{doorward.admin_key[:-1]}x").status_code == 401
    assert doorward.v1("GET", "/audit?order=desc&limit=1").json()["items"][0]["seq"] == before
