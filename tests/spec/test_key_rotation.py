"""Keys, client secrets and verifier secrets are rotated without downtime (T163), and a key can rest for a while."""

from __future__ import annotations

import time

import pytest

from doorward_verify import api_key
from doorward_verify.jwt import b64url_encode


def check(doorward, text):
    reply = doorward.v1("POST", "/keys/verify", {"key": text})
    assert reply.status_code == 200, reply.text
    return reply.json()


def rotate(doorward, key, **body):
    reply = doorward.v1("POST", f"/keys/{key['id']}/rotate", body)
    assert reply.status_code == 201, reply.text
    return reply.json()


def shown(doorward, key):
    return doorward.v1("GET", f"/keys/{key['id']}").json()


class TestT163Overlap:
    def test_both_secrets_of_a_key_are_good_and_are_the_same_key(self, doorward):
        old = doorward.a_key(metadata={"plan": "gold"})
        new = rotate(doorward, old, starts="now", overlap=3600)
        assert new["key"] != old["key"]
        for name in ("id", "account", "api", "scope", "metadata", "expires_at", "created_at", "name"):
            assert new[name] == old[name]
        for text in (old["key"], new["key"]):
            assert check(doorward, text)["active"]
            assert check(doorward, text)["key_id"] == old["id"]
        assert check(doorward, old["key"])["expires_at"] < check(doorward, new["key"])["expires_at"]

    def test_the_overlap_begins_when_the_new_secret_is_first_used(self, doorward):
        old = doorward.a_key()
        new = rotate(doorward, old, overlap=3600)
        assert check(doorward, old["key"])["active"]
        assert [one["state"] for one in shown(doorward, old)["secrets"]] == ["waiting", "current"]
        before = int(time.time())
        assert check(doorward, new["key"])["active"]
        superseded, current = shown(doorward, old)["secrets"]
        assert (superseded["state"], current["state"]) == ("superseded", "current")
        assert before + 3600 <= superseded["expires_at"] <= time.time() + 3600
        assert check(doorward, old["key"])["expires_at"] == superseded["expires_at"]

    def test_of_many_who_use_the_new_secret_first_every_one_is_let_in(self, doorward):
        new = rotate(doorward, doorward.a_key(), overlap=3600)
        answers = doorward.at_once(8, lambda _: check(doorward, new["key"]))
        assert all(answer["active"] for answer in answers)
        begun = [row for row in events(doorward) if row["entity_id"] == new["id"]]
        assert len(begun) == 1

    def test_a_verifier_that_asks_by_digest_begins_the_overlap_and_honours_both(self, doorward):
        old = doorward.a_key()
        verifier = doorward.a_verifier(api=old["api"])
        new = rotate(doorward, old, overlap=0)
        assert asked(doorward, verifier, old["key"])["active"]
        answer = asked(doorward, verifier, new["key"])
        assert (answer["active"], answer["key_id"]) == (True, old["id"])
        assert asked(doorward, verifier, old["key"]) == {"active": False}
        assert asked(doorward, verifier, new["key"])["active"]

    def test_after_the_overlap_the_old_secret_never_works_again(self, doorward):
        old = doorward.a_key()
        new = rotate(doorward, old, starts="now", overlap=0)
        assert check(doorward, old["key"])["reason"] == "credential_expired"
        assert check(doorward, new["key"])["active"]

    def test_a_wrong_text_with_the_new_id_begins_nothing(self, doorward):
        old = doorward.a_key()
        new = rotate(doorward, old, overlap=0)
        forged = api_key.assemble("dw", "", "live", new["prefix"][-12:], "A" * 32)
        assert check(doorward, forged)["reason"] == "credential_unknown"
        assert check(doorward, old["key"])["active"]

    def test_of_two_who_rotate_at_once_both_get_a_secret_and_two_live_at_most(self, doorward):
        old = doorward.a_key()
        made = doorward.at_once(3, lambda _: rotate(doorward, old, starts="now", overlap=3600))
        good = [one for one in (old, *made) if check(doorward, one["key"])["active"]]
        assert len(made) == 3
        assert len(good) == 2

    def test_every_secret_names_the_key(self, doorward):
        old = doorward.a_key()
        new = rotate(doorward, old)
        for name in (old["id"], old["prefix"][-12:], new["prefix"][-12:]):
            assert doorward.v1("GET", f"/keys/{name}").json()["id"] == old["id"]

    def test_a_revoked_key_ends_with_both_its_secrets(self, doorward):
        old = doorward.a_key()
        new = rotate(doorward, old, starts="now", overlap=3600)
        assert doorward.v1("POST", f"/keys/{old['prefix'][-12:]}/revoke").status_code == 200
        for text in (old["key"], new["key"]):
            assert check(doorward, text)["reason"] == "credential_revoked"
        assert doorward.v1("POST", f"/keys/{old['id']}/rotate", {}).status_code == 409


class TestInactive:
    def test_an_inactive_key_is_refused_until_it_is_activated(self, doorward):
        key = doorward.a_key()
        assert doorward.v1("POST", f"/keys/{key['id']}/deactivate").json()["state"] == "inactive"
        assert check(doorward, key["key"])["reason"] == "credential_inactive"
        assert doorward.v1("POST", f"/keys/{key['id']}/activate").json()["state"] == "active"
        assert check(doorward, key["key"])["active"]


class TestSecretsOfPrograms:
    def test_both_secrets_of_a_client_give_tokens(self, doorward):
        old = doorward.a_client()
        new = doorward.create(f"/clients/{old['client_id']}/rotate-secret", overlap=3600)
        for client in (old, new):
            assert doorward.token(client)

    def test_without_an_overlap_the_old_secret_of_a_client_is_refused(self, doorward):
        old = doorward.a_client()
        new = doorward.create(f"/clients/{old['client_id']}/rotate-secret", overlap=0, starts="now")
        assert doorward.post("token", old, grant_type="client_credentials").json()["error"] == "invalid_client"
        assert doorward.token(new)

    def test_a_verifier_has_two_secrets_for_a_while(self, doorward):
        key = doorward.a_key()
        old = doorward.a_verifier(api=key["api"])
        new = doorward.create(f"/verifiers/{old['client_id']}/rotate", overlap=3600)
        for verifier in (old, new):
            assert doorward.introspect(verifier, key["key"])["active"]
        last = doorward.create(f"/verifiers/{old['client_id']}/rotate", overlap=0, starts="now")
        assert doorward.post("introspect", new, token=key["key"]).status_code == 401
        assert doorward.introspect(last, key["key"])["active"]

    def test_the_overlap_of_a_clients_secret_begins_when_the_new_one_is_first_used(self, doorward):
        old = doorward.a_client()
        new = doorward.create(f"/clients/{old['client_id']}/rotate-secret", overlap=0)
        assert doorward.token(old)
        replies = doorward.at_once(6, lambda _: doorward.post("token", new, grant_type="client_credentials"))
        assert [reply.status_code for reply in replies] == [200] * 6
        assert doorward.post("token", old, grant_type="client_credentials").json()["error"] == "invalid_client"
        assert doorward.token(new)
        assert len([row for row in events(doorward, "ClientOverlapBegun") if row["entity_id"] == new["client_id"]]) == 1

    @pytest.mark.parametrize("use", ["introspect", "usage", "feed"])
    def test_the_overlap_of_a_verifiers_secret_begins_wherever_the_new_one_is_used(self, doorward, use):
        old = doorward.a_verifier()
        new = doorward.create(f"/verifiers/{old['client_id']}/rotate", overlap=0)
        auths = [(one["client_id"], one["client_secret"]) for one in (old, new)]

        def status(auth):
            if use == "usage":
                return doorward.http.post("/usage", json={"usage": []}, auth=auth).status_code
            if use == "feed":
                return doorward.http.get("/revocations", auth=auth).status_code
            return doorward.http.post("/oauth/introspect", data={"token": "x"}, auth=auth).status_code

        good = 204 if use == "usage" else 200
        assert [status(auth) for auth in (auths[0], auths[1], auths[0], auths[1])] == [good, good, 401, good]

    def test_an_overlap_that_waits_ends_at_its_deadline(self, doorward):
        old = doorward.a_client()
        new = doorward.create(f"/clients/{old['client_id']}/rotate-secret", overlap=0, deadline=0)
        assert doorward.post("token", old, grant_type="client_credentials").json()["error"] == "invalid_client"
        assert doorward.token(new)


class TestCancelling:
    @pytest.mark.parametrize("starts", ["now", "first_use"])
    def test_the_old_secret_of_a_key_goes_on_and_the_new_one_is_refused(self, doorward, starts):
        old = doorward.a_key()
        new = rotate(doorward, old, starts=starts, overlap=3600)
        assert check(doorward, new["key"])["active"]
        reply = doorward.v1("POST", f"/keys/{old['id']}/cancel-rotation")
        assert reply.status_code == 200
        assert (reply.json()["prefix"], reply.json()["version"]) == (old["prefix"], 3)
        assert check(doorward, new["key"])["reason"] == "credential_revoked"
        assert check(doorward, old["key"])["expires_at"] == old["expires_at"]
        assert doorward.v1("POST", f"/keys/{old['id']}/cancel-rotation").status_code == 409
        again = rotate(doorward, old, starts="now", overlap=3600)
        assert [check(doorward, one["key"])["active"] for one in (old, again)] == [True, True]

    def test_what_has_ended_never_works_again(self, doorward):
        old = doorward.a_key()
        new = rotate(doorward, old, starts="now", overlap=0)
        assert doorward.v1("POST", f"/keys/{old['id']}/cancel-rotation").status_code == 409
        assert check(doorward, new["key"])["active"]

    def test_of_two_who_cancel_at_once_one_does(self, doorward):
        old = doorward.a_key()
        rotate(doorward, old, overlap=3600)
        replies = doorward.at_once(4, lambda _: doorward.v1("POST", f"/keys/{old['id']}/cancel-rotation"))
        assert sorted(reply.status_code for reply in replies) == [200, 409, 409, 409]
        assert check(doorward, old["key"])["active"]

    @pytest.mark.parametrize("noun", ["clients", "verifiers"])
    def test_the_same_of_programs(self, doorward, noun):
        old = doorward.a_client() if noun == "clients" else doorward.a_verifier()
        path = f"/{noun}/{old['client_id']}"
        new = doorward.create(f"{path}/rotate{'-secret' if noun == 'clients' else ''}", overlap=3600)
        reply = doorward.v1("POST", f"{path}/cancel-rotation")
        assert reply.status_code == 200
        assert "client_secret" not in reply.json()
        auths = [(one["client_id"], one["client_secret"]) for one in (old, new)]
        asked_ = [doorward.http.post("/oauth/introspect", data={"token": "x"}, auth=auth) for auth in auths]
        assert [reply.status_code for reply in asked_] == [200, 401]
        assert doorward.v1("POST", f"{path}/cancel-rotation").status_code == 409


def asked(doorward, verifier, text):
    digest = b64url_encode(api_key.digest(text))
    return doorward.post("introspect", verifier, token_sha256=digest).json()


def events(doorward, kind="ApiKeyOverlapBegun"):
    return doorward.v1("GET", f"/audit?limit=100&order=desc&type={kind}").json()["items"]


def test_who_only_asks_about_the_new_secret_does_not_begin_the_overlap(doorward):
    old = doorward.a_key()
    new = doorward.create(f"/keys/{old['id']}/rotate", overlap=3600)
    for cost, state in ((0, "waiting"), (1, "superseded")):
        asked = doorward.v1("POST", "/keys/verify", {"key": new["key"], "cost": cost}).json()
        assert asked["active"] is True
        assert doorward.v1("GET", f"/keys/{old['id']}").json()["secrets"][0]["state"] == state
