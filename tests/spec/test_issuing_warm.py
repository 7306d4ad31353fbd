"""Who asks for a token again in the very same words gets it by what was settled then, and no longer than that holds."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from doorward_verify import jwt


def ask(doorward, client, **form):
    return doorward.post("token", client, grant_type="client_credentials", **form)


@pytest.fixture
def doorward(on_sqlite):
    return on_sqlite


@pytest.fixture
def client(doorward):
    """One whose request was answered and is known by now."""
    client = doorward.a_client(account=doorward.an_account()["id"])
    assert [ask(doorward, client).status_code for _ in range(3)] == [200] * 3
    return client


def test_each_token_is_another_one_and_is_in_the_audit_log(doorward, client):
    replies = [ask(doorward, client) for _ in range(3)]
    tokens = [reply.json().pop("access_token") for reply in replies]
    assert len({*tokens}) == 3
    assert all(doorward.introspect(client, token)["active"] for token in tokens)
    ids = [reply.headers["x-request-id"] for reply in replies]
    entries = doorward.v1("GET", "/audit?type=AccessTokenIssued&order=desc&limit=100").json()["items"]
    assert {(one, client["client_id"]) for one in ids} <= {(entry["request_id"], entry["actor"]) for entry in entries}


def test_other_words_are_looked_at(doorward, client):
    wrong = {**client, "client_secret": client["client_secret"][:-1] + "x"}
    assert ask(doorward, wrong).status_code == 401
    assert ask(doorward, client, scope="no:such").json()["error"] == "invalid_scope"
    assert ask(doorward, client, resource="https://other.example.com").json()["error"] == "invalid_target"
    assert ask(doorward, client).status_code == 200


@pytest.mark.parametrize(
    ("path", "reason"),
    [("/clients/{client_id}", "client_disabled"), ("/accounts/{account}/suspend", "account_suspended")],
)
def test_what_ends_it_holds_at_once(doorward, client, path, reason):
    if reason == "client_disabled":
        assert doorward.v1("PATCH", path.format(**client), {"state": "disabled"}).status_code == 200
    else:
        assert doorward.v1("POST", path.format(**client)).status_code == 200
    assert ask(doorward, client).json()["reason"] == reason


def test_what_changes_it_shows_at_once(doorward, client):
    kid = jwt.parse(ask(doorward, client).json()["access_token"]).header["kid"]
    path = f"/clients/{client['client_id']}"
    api = doorward.v1("GET", path).json()["apis"][0]["api"]
    doorward.v1("PATCH", path, {"api": api, "scope": "invoices:read"})
    assert ask(doorward, client).json()["scope"] == "invoices:read"
    doorward.v1("PATCH", f"/apis/{quote(api, safe='')}", {"token_lifetime": 77})
    assert ask(doorward, client).json()["expires_in"] == 77
    doorward.v1("POST", "/signing-keys/rotate", {"force": True})
    assert jwt.parse(ask(doorward, client).json()["access_token"]).header["kid"] != kid


def test_a_secret_that_is_replaced_is_good_no_longer(doorward, client):
    new = doorward.create(f"/clients/{client['client_id']}/rotate-secret", starts="now", overlap=0)
    assert ask(doorward, client).status_code == 401
    assert [ask(doorward, {**client, **new}).status_code for _ in range(3)] == [200] * 3


def test_a_new_secret_begins_the_overlap_of_the_old_one(doorward, client):
    new = {**client, **doorward.create(f"/clients/{client['client_id']}/rotate-secret", overlap=3600)}
    assert [ask(doorward, one).status_code for one in (client, client, new, client)] == [200] * 4
    secrets = doorward.v1("GET", f"/clients/{client['client_id']}").json()["secrets"]
    assert secrets[0]["state"] == "superseded"
