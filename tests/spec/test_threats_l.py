"""API keys under attack: T160 to T162 and T166, as far as they are built."""

from __future__ import annotations

import re
import zlib

import pytest

from doorward_verify import api_key

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


@pytest.fixture
def key(doorward):
    return doorward.a_key()


def check(doorward, text, **more):
    reply = doorward.v1("POST", "/keys/verify", {"key": text, **more})
    assert reply.status_code == 200, reply.text
    return reply.json()


def checksum(text):
    """As the format is written down, and not as the project's own code computes it."""
    number, digits = zlib.crc32(text.encode()), ""
    for _ in range(6):
        number, low = divmod(number, 62)
        digits = ALPHABET[low] + digits
    return digits


class TestT160TheFormat:
    @pytest.mark.parametrize("environment", ["live", "test"])
    def test_brand_kind_environment_id_secret_and_checksum(self, doorward, environment):
        made = doorward.a_key(environment=environment)
        found = re.fullmatch(r"dw_(live|test)_([0-9A-Za-z]{12})([0-9A-Za-z]{32})([0-9A-Za-z]{6})", made["key"])
        assert found is not None
        assert found[1] == environment == made["environment"]
        assert made["prefix"] == f"dw_{environment}_{found[2]}"
        assert found[4] == checksum(made["key"][:-6])

    def test_every_kind_of_secret_says_what_it_is(self, doorward):
        texts = {
            "dwa_live_": doorward.admin_key,
            "dws_live_": doorward.a_client()["client_secret"],
            "dwo_live_": doorward.token(doorward.a_client(api=doorward.an_api(token_format="opaque")["identifier"])),
        }
        for prefix, text in texts.items():
            assert text.startswith(prefix)
            assert len(text) == len(prefix) + 50
            assert text[-6:] == checksum(text[:-6])

    def test_no_two_secrets_share_anything(self, doorward, key):
        texts = [doorward.a_key(account=key["account"], api=key["api"])["key"] for _ in range(30)]
        assert len({text[8:20] for text in texts}) == len({text[20:52] for text in texts}) == 30
        # 190 bits: every place takes many values, none is constant.
        assert min(len(set(column)) for column in zip(*(text[8:52] for text in texts), strict=True)) > 5

    def test_a_wrong_checksum_is_refused_as_malformed(self, doorward, key):
        """Without a look at the database: the reason is not `credential_unknown`."""
        text = key["key"]
        for place in range(len(text)):
            edited = text[:place] + ("x" if text[place] != "x" else "y") + text[place + 1 :]
            assert check(doorward, edited)["reason"] == "credential_malformed"

    def test_a_good_checksum_alone_proves_nothing(self, doorward, key):
        found = api_key.parse(key["key"])
        forged = [
            api_key.assemble("dw", "", "live", found.id, "0" * 32),
            api_key.assemble("dw", "", "test", found.id, key["key"][20:52]),
            api_key.assemble("dw", "", "live", "0" * 12, key["key"][20:52]),
        ]
        for text in forged:
            answer = check(doorward, text)
            assert answer == {**dict.fromkeys(answer), "active": False, "reason": "credential_unknown"}

    def test_secrets_of_another_kind_are_no_api_keys(self, doorward):
        client = doorward.a_client(api=doorward.an_api(token_format="opaque")["identifier"])
        for text in (doorward.admin_key, client["client_secret"], doorward.token(client), "", "x", "a.b.c", "dw_live_"):
            assert check(doorward, text)["reason"] == "credential_malformed"

    def test_the_uri_scheme_for_secrets_may_stand_before_it(self, doorward, key):
        """RFC 8959."""
        assert check(doorward, f"secret-token:{key['key']}")["active"] is True


class TestT161ShownOnce:
    def test_only_the_answer_to_the_creation_carries_a_secret(self, doorward):
        key = doorward.a_key()
        client = doorward.a_client(account=key["account"], api=key["api"])
        verifier = doorward.a_verifier(api=key["api"])
        admin = doorward.create("/admin-keys", name="ci", scope="apis:read")
        secrets = [key["key"], client["client_secret"], verifier["client_secret"], admin["key"]]
        entities = {
            "/keys": key["id"],
            "/clients": client["client_id"],
            "/verifiers": verifier["client_id"],
            "/admin-keys": admin["id"],
        }
        seen = [doorward.v1("GET", "/audit?order=desc&limit=50").text]
        for path, id_ in entities.items():
            seen += [doorward.v1("GET", f"{path}/{id_}").text, doorward.v1("GET", f"{path}?limit=200").text]
            seen += [doorward.v1("POST", f"{path}/{id_}/revoke").text] if path != "/clients" else []
        seen += [doorward.v1("PATCH", f"/clients/{client['client_id']}", {"name": "New"}).text]
        for text in seen:
            assert not [secret for secret in secrets if secret in text]

    def test_what_is_shown_later_is_the_same_but_for_the_key(self, doorward, key):
        shown = doorward.v1("GET", f"/keys/{key['id']}").json()
        assert {**shown, "key": key["key"]} == key

    def test_it_is_shown_with_no_store(self, doorward, key):
        body = {"account": key["account"], "api": key["api"], "scope": ""}
        assert doorward.v1("POST", "/keys", body).headers["cache-control"] == "no-store"


class TestT162Transport:
    def test_a_key_in_the_url_is_no_credential(self, doorward, key):
        for name in ("key", "api_key", "access_token", "token"):
            reply = doorward.http.post("/v1/keys/verify", params={name: doorward.admin_key}, json={"key": key["key"]})
            assert (reply.status_code, reply.json()["reason"]) == (401, "credential_missing")

    def test_two_credentials_are_refused_wherever_they_stand(self, doorward, key):
        """RFC 6750 §3.1."""
        bearer = ("authorization", f"Bearer {doorward.admin_key}")
        for fields in ([bearer, bearer], [bearer, ("authorization", "Basic YTpi")]):
            reply = doorward.http.post("/v1/keys/verify", headers=fields, json={"key": key["key"]})
            assert (reply.status_code, reply.json()["reason"]) == (400, "several_credentials")


class TestT166Bounds:
    def test_a_key_is_good_for_its_own_api(self, doorward, key):
        assert check(doorward, key["key"], api=key["api"])["active"] is True
        for other in (doorward.an_api()["identifier"], "https://elsewhere.example", key["api"] + "/", key["api"][:-1]):
            answer = check(doorward, key["key"], api=other)
            assert (answer["active"], answer["reason"]) == (False, "wrong_audience")

    def test_a_key_is_good_for_its_own_scopes(self, doorward, key):
        assert check(doorward, key["key"], scope="invoices:read")["active"] is True
        for more in ("invoices:write", "invoices:read invoices:write", "admin"):
            answer = check(doorward, key["key"], scope=more)
            assert (answer["active"], answer["reason"]) == (False, "insufficient_scope")

    def test_a_scope_that_the_api_gave_up_is_gone(self, doorward, key):
        api = doorward.v1("GET", f"/apis?identifier={key['api']}").json()["items"][0]
        doorward.v1("PATCH", f"/apis/{api['id']}", {"scopes": {"invoices:write": "Create and change invoices"}})
        assert check(doorward, key["key"], scope="invoices:read")["reason"] == "insufficient_scope"
        assert check(doorward, key["key"])["scope"] == ""

    def test_no_key_gets_scopes_that_its_api_does_not_define(self, doorward, key):
        for scope in ("admin", "invoices:read keys:write", "*", "invoices:*"):
            body = {"account": key["account"], "api": key["api"], "scope": scope}
            assert doorward.v1("POST", "/keys", body).status_code == 422
            assert doorward.v1("PATCH", f"/keys/{key['id']}", {"scope": scope}).status_code == 422
        assert doorward.v1("GET", f"/keys/{key['id']}").json()["scope"] == "invoices:read"

    def test_a_key_administers_nothing_least_of_all_itself(self, doorward, key):
        calls = [("PATCH", f"/keys/{key['id']}", {"scope": "invoices:read invoices:write"}), ("GET", "/keys", None),
                 ("POST", "/keys", {"account": key["account"], "api": key["api"], "scope": ""})]  # fmt: skip
        for method, path, body in calls:
            assert doorward.v1(method, path, body, key=key["key"]).status_code == 401
        assert doorward.v1("GET", f"/keys/{key['id']}").json()["scope"] == "invoices:read"

    def test_account_and_api_of_a_key_never_change(self, doorward, key):
        for body in ({"account": "other"}, {"api": "other"}, {"environment": "test"}, {"expires_in": 9}, {"key": "x"}):
            assert doorward.v1("PATCH", f"/keys/{key['id']}", body).status_code == 422
        shown = doorward.v1("GET", f"/keys/{key['id']}").json()
        assert {**shown, "key": key["key"]} == key

    def test_an_admin_key_gives_no_scope_that_it_does_not_hold(self, doorward):
        limited = doorward.an_admin_key("admin-keys:write keys:read")
        for scope in ("admin", "keys:write", "keys:read keys:write", "audit:read"):
            reply = doorward.v1("POST", "/admin-keys", {"name": "up", "scope": scope}, key=limited)
            assert reply.status_code == 403
        given = doorward.v1("POST", "/admin-keys", {"name": "same", "scope": "keys:read"}, key=limited)
        assert given.status_code == 201
        assert doorward.v1("GET", "/clients", key=given.json()["key"]).status_code == 403

    def test_a_key_ends_when_it_was_said_to(self, doorward):
        made = doorward.a_key(expires_in=90 * 86_400)
        assert made["expires_at"] - made["created_at"] == 90 * 86_400
        assert doorward.a_key()["expires_at"] is not None
        assert doorward.a_key(no_expiry=True)["expires_at"] is None
        for wrong in (
            {"expires_in": 0},
            {"expires_in": -1},
            {"expires_in": 2**40},
            {"expires_in": 9, "no_expiry": True},
        ):
            body = {"account": made["account"], "api": made["api"], "scope": "", **wrong}
            assert doorward.v1("POST", "/keys", body).status_code == 422
