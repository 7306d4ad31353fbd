"""Each api says how its keys may arrive (T162); a key that was seen in a URL or a browser is flagged, once."""

from __future__ import annotations

import time

import pytest


def check(doorward, key, **more):
    return doorward.v1("POST", "/keys/verify", {"key": key["key"], **more}).json()


def tell(doorward, verifier, *seen, **options):
    auth = (verifier["client_id"], verifier["client_secret"])
    return doorward.http.post("/usage", **{"json": {"usage": [], "seen": list(seen)}, "auth": auth, **options})


def a_sighting(key, where="url", at=None):
    return {"id": key["id"], "where": where, "seen_at": int(time.time()) if at is None else at}


def shown(doorward, key):
    return doorward.v1("GET", f"/keys/{key['id']}").json()


def sightings(doorward, key):
    found = doorward.v1("GET", "/audit?order=desc&limit=50").json()["items"]
    return [one for one in found if one["type"] == "ApiKeySeen" and one["entity_id"] == key["id"]]


@pytest.fixture
def api(doorward):
    return doorward.an_api()


@pytest.fixture
def key(doorward, api):
    return doorward.a_key(api=api["identifier"])


@pytest.fixture
def verifier(doorward, api):
    return doorward.a_verifier(api=api["identifier"])


class TestT162Transports:
    def test_a_new_api_takes_keys_as_bearer_and_in_their_own_header(self, doorward, api, key):
        assert (api["transports"], api["browsers"]) == (["bearer", "header"], "flag")
        for transport in ("bearer", "header", None):
            assert check(doorward, key, **({"transport": transport} if transport else {}))["active"] is True
        for transport in ("basic", "query", "body"):
            answer = check(doorward, key, transport=transport)
            assert (answer["active"], answer["reason"]) == (False, "transport_not_allowed")

    def test_an_api_chooses_and_its_verifiers_are_told(self, doorward, api, key, verifier):
        changed = doorward.v1("PATCH", f"/apis/{api['id']}", {"transports": ["query", "basic", "query"]}).json()
        assert changed["transports"] == ["basic", "query"]
        assert doorward.introspect(verifier, key["key"])["transports"] == ["basic", "query"]
        assert check(doorward, key, transport="query")["active"] is True
        assert check(doorward, key, transport="bearer")["reason"] == "transport_not_allowed"
        renamed = doorward.v1("PATCH", f"/apis/{api['id']}", {"name": f"{api['name']} again"}).json()
        assert renamed["transports"] == ["basic", "query"]

    @pytest.mark.parametrize(
        ("member", "bad"),
        [("transports", []), ("transports", ["cookie"]), ("transports", "bearer"), ("browsers", "ask")],
    )
    def test_what_is_no_choice_is_refused_and_changes_nothing(self, doorward, api, member, bad):
        assert doorward.v1("PATCH", f"/apis/{api['id']}", {member: bad}).status_code == 422
        assert doorward.v1("GET", f"/apis/{api['id']}").json()[member] == api[member]

    def test_what_a_verifier_is_told_cannot_be_mapped_from_metadata(self, doorward):
        body = {"identifier": "https://mapped.example", "name": "Mapped", "claims": {"transports": "key.name"}}
        assert doorward.v1("POST", "/apis", body).status_code == 422

    @pytest.mark.parametrize("more", [{"transport": "cookie"}, {"transport": ["query"]}, {"from_browser": "yes"}])
    def test_a_check_with_an_unknown_way_is_malformed(self, doorward, key, more):
        assert doorward.v1("POST", "/keys/verify", {"key": key["key"], **more}).status_code == 422


class TestT162SeenInAUrl:
    def test_a_key_that_was_checked_as_sent_in_a_url_is_flagged_once_and_stays_good(self, doorward, key):
        assert (key["seen_in_url_at"], key["seen_in_browser_at"]) == (None, None)
        before = int(time.time())
        for _ in range(3):
            assert check(doorward, key, transport="query")["reason"] == "transport_not_allowed"
        found = shown(doorward, key)
        assert before <= found["seen_in_url_at"] <= int(time.time())
        assert found == {**found, "seen_in_browser_at": None, "version": key["version"], "state": "active"}
        assert check(doorward, key)["active"] is True
        (record,) = sightings(doorward, key)
        assert record["data"]["where"] == "url"

    def test_where_it_is_allowed_it_is_flagged_too(self, doorward):
        key = doorward.a_key(api=doorward.an_api(transports=["query"])["identifier"])
        assert check(doorward, key, transport="query")["active"] is True
        assert shown(doorward, key)["seen_in_url_at"] is not None

    def test_a_batch_flags_what_it_names_once(self, doorward, key):
        one = {"key": key["key"], "transport": "query", "from_browser": True}
        assert doorward.v1("POST", "/keys/verify/batch", {"keys": [one, one]}).status_code == 200
        assert sorted(record["data"]["where"] for record in sightings(doorward, key)) == ["browser", "url"]

    def test_a_key_that_had_ended_tells_nothing_new(self, doorward, key):
        doorward.v1("POST", f"/keys/{key['id']}/revoke")
        check(doorward, key, transport="query")
        assert shown(doorward, key)["seen_in_url_at"] is None


class TestKeysInBrowsers:
    @pytest.mark.parametrize(
        ("browsers", "environment", "reason", "flagged"),
        [
            ("allow", "live", None, False),
            ("flag", "live", None, True),
            ("refuse", "live", "key_in_browser", True),
            ("refuse", "test", None, False),
        ],
    )
    def test_the_api_says_what_becomes_of_a_live_key_there(self, doorward, browsers, environment, reason, flagged):
        api = doorward.an_api(browsers=browsers)["identifier"]
        key = doorward.a_key(api=api, environment=environment)
        assert check(doorward, key, from_browser=True)["reason"] == reason
        assert (shown(doorward, key)["seen_in_browser_at"] is not None) is flagged
        assert check(doorward, key)["active"] is True


class TestVerifiersTell:
    def test_what_they_saw_is_kept_once(self, doorward, key, verifier):
        for _ in range(2):
            reply = tell(doorward, verifier, a_sighting(key), a_sighting(key), a_sighting(key, "browser"))
            assert (reply.status_code, reply.content) == (204, b"")
        found = shown(doorward, key)
        assert None not in (found["seen_in_url_at"], found["seen_in_browser_at"])
        assert len(sightings(doorward, key)) == 2

    def test_usage_without_it_is_as_ever(self, doorward, key, verifier):
        usage = {"kind": "api_key", "id": key["id"], "count": 2, "last_used_at": int(time.time())}
        assert tell(doorward, verifier, json={"usage": [usage]}).status_code == 204
        assert tell(doorward, verifier, json={"usage": [usage], "seen": [a_sighting(key)]}).status_code == 204
        found = shown(doorward, key)
        assert found["uses"] == 4
        assert found["seen_in_url_at"] is not None

    def test_no_time_of_theirs_is_believed_beyond_reason(self, doorward, key, verifier):
        assert tell(doorward, verifier, a_sighting(key, at=0), a_sighting(key, "browser", 2**53)).status_code == 204
        found = shown(doorward, key)
        assert found["seen_in_url_at"] == key["created_at"]
        assert found["seen_in_browser_at"] <= int(time.time())

    def test_keys_of_other_apis_are_passed_over(self, doorward, verifier):
        foreign = doorward.a_key()
        assert tell(doorward, verifier, a_sighting(foreign), a_sighting({"id": "key_none"})).status_code == 204
        assert shown(doorward, foreign)["seen_in_url_at"] is None

    @pytest.mark.parametrize(
        "change",
        [{"where": "paper"}, {"where": 1}, {"id": ""}, {"id": 7}, {"id": "k" * 101}, {"seen_at": -1}, {"seen_at": 1.5},
         {"seen_at": True}, {"more": 1}],
    )  # fmt: skip
    def test_what_is_malformed_is_400_and_changes_nothing(self, doorward, key, verifier, change):
        usage = {"kind": "api_key", "id": key["id"], "count": 2, "last_used_at": int(time.time())}
        body = {"usage": [usage], "seen": [a_sighting(key), {**a_sighting(key), **change}]}
        assert tell(doorward, verifier, json=body).status_code == 400
        for seen in ("url", {}, 7, [None], [a_sighting(key)] * 501):
            assert tell(doorward, verifier, json={"usage": [], "seen": seen}).status_code == 400
        found = shown(doorward, key)
        assert (found["seen_in_url_at"], found["uses"]) == (None, 0)

    def test_nobody_else_may_tell(self, doorward, key, verifier):
        for auth in ((verifier["client_id"], "x"), (key["id"], key["key"])):
            assert tell(doorward, verifier, a_sighting(key), auth=auth).status_code == 401
        assert shown(doorward, key)["seen_in_url_at"] is None
