"""Introspection, revocation and what ends with them: T100 to T105."""

from __future__ import annotations

import contextlib
import sqlite3
import time

import psycopg
import pytest
from tests.deployment import deployed

from doorward_verify import api_key

INACTIVE = {"active": False}
GRANT = {"grant_type": "client_credentials"}


@pytest.fixture
def api(doorward):
    return doorward.an_api()


@pytest.fixture
def opaque_api(doorward):
    return doorward.an_api(token_format="opaque")


@pytest.fixture
def credentials(doorward, api, opaque_api):
    """An account with one credential of every kind, and for each the verifier that may see it."""
    account = doorward.an_account()["id"]
    verifiers = {one["id"]: doorward.a_verifier(api=one["identifier"]) for one in (api, opaque_api)}
    clients = {one["id"]: doorward.a_client(api=one["identifier"], account=account) for one in (api, opaque_api)}
    key = doorward.a_key(api=api["identifier"], account=account)
    return {
        "account": account,
        "clients": list(clients.values()),
        "key": key,
        "texts": [
            (key["key"], verifiers[api["id"]]),
            (doorward.token(clients[api["id"]]), verifiers[api["id"]]),
            (doorward.token(clients[opaque_api["id"]]), verifiers[opaque_api["id"]]),
        ],
    }


def active(doorward, credentials):
    return [doorward.introspect(verifier, text)["active"] for text, verifier in credentials["texts"]]


@contextlib.contextmanager
def sqlite_that_cannot_write(doorward):
    """Somebody else holds the write lock and does not give it back."""
    lock = sqlite3.connect(doorward.directory / "doorward.db", isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    yield
    lock.execute("ROLLBACK")
    lock.close()


FULL = """
    CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'no space left on device' USING ERRCODE = 'disk_full'; END $$;
    CREATE TRIGGER full_disk BEFORE INSERT ON journal EXECUTE FUNCTION full_disk();
    CREATE TRIGGER full_disk BEFORE INSERT ON token_records EXECUTE FUNCTION full_disk();
"""


@contextlib.contextmanager
def postgresql_that_cannot_write(url):
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(FULL)
        yield
        connection.execute("DROP FUNCTION full_disk CASCADE")


class TestT102StorageFailure:
    """A revocation that was not stored is never confirmed (fosite CVE-2020-15223)."""

    @pytest.fixture(params=["sqlite", "postgresql"])
    def broken(self, request, tmp_path):
        """A deployment of its own, and how its database stops storing."""
        if request.param == "sqlite":
            with deployed(tmp_path) as doorward:
                yield doorward, sqlite_that_cannot_write(doorward)
        else:
            url = request.getfixturevalue("postgresql_url")
            with deployed(tmp_path, database=url) as doorward:
                yield doorward, postgresql_that_cannot_write(url)

    def test_every_write_is_503_and_reads_go_on(self, broken):
        doorward, out_of_order = broken
        client = doorward.a_client()
        token = doorward.token(client)
        calls = [
            lambda: doorward.post("revoke", client, token=token),
            lambda: doorward.post("token", client, **GRANT),
            lambda: doorward.v1("POST", "/accounts", {"id": "never-made"}),
            lambda: doorward.v1("POST", "/revocations", {"token": token}),
        ]
        with out_of_order:
            for reply in doorward.at_once(len(calls), lambda number: calls[number]()):
                assert reply.status_code == 503, reply.text
                assert int(reply.headers["retry-after"]) >= 1
                assert reply.json()["reason"] == "store_unavailable"
            assert doorward.introspect(client, token)["active"] is True
            assert doorward.v1("GET", "/accounts/never-made").status_code == 404
        until_accepted(lambda: doorward.post("revoke", client, token=token))
        assert doorward.introspect(client, token) == INACTIVE


def until_accepted(call):
    """As Retry-After asks; the deadline is for slow machines."""
    deadline = time.monotonic() + 30
    while (reply := call()).status_code != 200:
        assert reply.status_code == 503
        assert time.monotonic() < deadline, "it never recovered"


class TestT104EveryStrictPrefixFails:
    def test_of_a_key_or_token_at_introspection(self, doorward, credentials):
        for text, verifier in credentials["texts"]:
            cuts = range(len(text)) if text.startswith("dw") else range(len(text) - 100, len(text))
            for cut in cuts:
                reply = doorward.post("introspect", verifier, token=text[:cut])
                assert reply.json().get("active") is not True, f"cut to {cut} characters"
            for longer in ("0", "=", "A", " ", ".", "\n"):
                assert doorward.introspect(verifier, text + longer) == INACTIVE
                assert doorward.introspect(verifier, longer + text) == INACTIVE
            assert doorward.introspect(verifier, text)["active"] is True

    def test_of_a_key_at_keys_verify(self, doorward, credentials):
        text = credentials["key"]["key"]
        for cut in range(len(text)):
            answer = doorward.v1("POST", "/keys/verify", {"key": text[:cut]}).json()
            assert (answer["active"], answer["reason"]) == (False, "credential_malformed")
        assert doorward.v1("POST", "/keys/verify", {"key": text}).json()["active"] is True

    def test_of_an_admin_key(self, doorward):
        for cut in range(len(doorward.admin_key)):
            assert doorward.v1("GET", "/apis", key=doorward.admin_key[:cut]).status_code == 401

    def test_of_a_client_secret(self, doorward, credentials):
        client = credentials["clients"][0]
        for cut in range(len(client["client_secret"])):
            posing = {**client, "client_secret": client["client_secret"][:cut]}
            assert doorward.post("token", posing, **GRANT).status_code == 401

    def test_a_cut_secret_with_a_checksum_of_its_own_fails_too(self, doorward, credentials):
        text, verifier = credentials["texts"][0]
        found = api_key.parse(text)
        secret = text[-38:-6]
        for forged in (secret[:-1] + "0", "0" * 32, secret[::-1]):
            made = api_key.assemble("dw", "", "live", found.id, forged)
            if made != text:
                assert doorward.introspect(verifier, made) == INACTIVE
        elsewhere = api_key.assemble("dw", "", "live", found.id[::-1], secret)
        assert doorward.introspect(verifier, elsewhere) == INACTIVE


class TestT105WhatIsDisabledNeitherGetsNorUsesTokens:
    def test_a_suspended_account(self, doorward, credentials):
        assert active(doorward, credentials) == [True, True, True]
        doorward.v1("POST", f"/accounts/{credentials['account']}/suspend")
        assert active(doorward, credentials) == [False, False, False]
        for client in credentials["clients"]:
            assert doorward.post("token", client, **GRANT).status_code == 401
            assert doorward.post("introspect", client, token="x").status_code == 401
        check = doorward.v1("POST", "/keys/verify", {"key": credentials["key"]["key"]}).json()
        assert (check["active"], check["reason"]) == (False, "account_suspended")
        doorward.v1("POST", f"/accounts/{credentials['account']}/resume")
        assert active(doorward, credentials) == [True, False, False]
        assert doorward.post("token", credentials["clients"][0], **GRANT).status_code == 200

    def test_a_disabled_client(self, doorward, credentials):
        for client in credentials["clients"]:
            doorward.v1("PATCH", f"/clients/{client['client_id']}", {"state": "disabled"})
            assert doorward.post("token", client, **GRANT).status_code == 401
        assert active(doorward, credentials) == [True, False, False]
        for client in credentials["clients"]:
            doorward.v1("PATCH", f"/clients/{client['client_id']}", {"state": "active"})
        assert active(doorward, credentials) == [True, False, False]

    def test_a_deleted_client(self, doorward, credentials):
        for client in credentials["clients"]:
            assert doorward.v1("DELETE", f"/clients/{client['client_id']}").status_code == 204
            assert doorward.post("token", client, **GRANT).status_code == 401
            assert doorward.v1("GET", f"/clients/{client['client_id']}").status_code == 404
        assert active(doorward, credentials) == [True, False, False]

    def test_a_revoked_grant(self, doorward, credentials):
        for client in credentials["clients"]:
            body = {"grant": client["apis"][0]["grant_id"]}
            assert doorward.v1("POST", "/revocations", body).json()["changed"] is True
            assert doorward.v1("POST", "/revocations", body).json()["changed"] is False
            assert doorward.post("token", client, **GRANT).json()["error"] == "invalid_target"
        assert active(doorward, credentials) == [True, False, False]

    def test_a_revoked_key(self, doorward, credentials):
        doorward.v1("POST", f"/keys/{credentials['key']['id']}/revoke")
        assert active(doorward, credentials) == [False, True, True]

    @pytest.mark.parametrize("kind", ["account", "client", "api_key"])
    def test_by_way_of_revocations(self, doorward, credentials, kind):
        named = {
            "account": [credentials["account"]],
            "client": [client["client_id"] for client in credentials["clients"]],
            "api_key": [credentials["key"]["id"]],
        }
        for id_ in named[kind]:
            assert doorward.v1("POST", "/revocations", {kind: id_}).json() == {"kind": kind, "id": id_, "changed": True}
        expected = {"account": [False] * 3, "client": [True, False, False], "api_key": [False, True, True]}
        assert active(doorward, credentials) == expected[kind]

    def test_a_token_by_way_of_revocations(self, doorward, credentials):
        for text, _ in credentials["texts"][1:]:
            reply = doorward.v1("POST", "/revocations", {"token": text})
            assert reply.json()["changed"] is True, reply.text
            assert doorward.v1("POST", "/revocations", {"token": text}).json()["changed"] is False
        assert active(doorward, credentials) == [True, False, False]

    @pytest.mark.parametrize("kind", ["token", "grant", "client", "account", "api_key"])
    def test_what_is_not_there_is_not_revoked(self, doorward, kind):
        for text in ("x", "x" * 5000, "a.b.c", "\u2028"):
            assert doorward.v1("POST", "/revocations", {kind: text}).status_code == 404

    def test_everything(self, doorward, credentials, opaque_api):
        """T103: for the whole deployment; keys are no tokens, and new tokens are good."""
        reply = doorward.v1("POST", "/revocations", {"everything": "access_tokens"})
        assert reply.json() == {"kind": "everything", "id": "access_tokens", "changed": True}
        assert active(doorward, credentials) == [True, False, False]
        verifier, client = credentials["texts"][2][1], credentials["clients"][1]
        assert doorward.introspect(verifier, doorward.token(client))["active"]

    def test_one_thing_at_a_time(self, doorward, credentials):
        assert doorward.v1("POST", "/revocations", {}).status_code == 422
        body = {"account": credentials["account"], "api_key": credentials["key"]["id"]}
        assert doorward.v1("POST", "/revocations", body).status_code == 422
        assert active(doorward, credentials) == [True, True, True]
