"""Versions and methods of the admin API: RFC 9110 §8.8.3, §9.1, §13.1.1, §15.5.6 and §15.5.13."""

from __future__ import annotations

import pytest


@pytest.fixture
def account(doorward):
    return doorward.an_account()


BURST = {"name": "burst", "amount": 10, "per": "day"}


@pytest.fixture
def one_of_each(doorward):
    """With more than the defaults in them."""
    account = doorward.an_account(metadata={"team": 7}, limits=[BURST])["id"]
    routes = [{"path": f"/{account}", "methods": ["GET"], "public": True}]
    api = doorward.an_api(claims={"team": "account.metadata.team"}, routes=routes, limits=[BURST])
    client = doorward.a_client(account=account, api=api["identifier"])["client_id"]
    key = doorward.a_key(account=account, api=api["identifier"], networks=["192.0.2.0/24"], limits=[BURST])["id"]
    user = doorward.v1("POST", "/users", {"username": account, "email": "grace@example.com"}).json()["id"]
    membership = doorward.v1("POST", "/memberships", {"user": user, "account": account, "role": "owner"}).json()["id"]
    named = {"apis": api["id"], "accounts": account, "clients": client, "keys": key}
    return {**named, "users": user, "memberships": membership}


def rename(doorward, account, name, **headers):
    return doorward.v1("PATCH", f"/accounts/{account['id']}", {"name": name}, **headers)


class TestEntityTags:
    def test_every_answer_that_shows_one_entity_carries_its_version(self, doorward):
        created = doorward.v1("POST", "/accounts", {"id": "tagged"})
        shown = doorward.v1("GET", "/accounts/tagged")
        changed = doorward.v1("PATCH", "/accounts/tagged", {"name": "Other"})
        suspended = doorward.v1("POST", "/accounts/tagged/suspend")
        assert [reply.headers["etag"] for reply in (created, shown, changed, suspended)] == ['"1"', '"1"', '"2"', '"3"']
        assert doorward.v1("DELETE", f"/apis/{doorward.an_api()['id']}").status_code == 204
        for reply in (created, shown, changed, suspended):
            assert reply.headers["etag"] == f'"{reply.json()["version"]}"'

    @pytest.mark.parametrize("noun", ["apis", "accounts", "keys", "clients", "users", "memberships"])
    def test_an_entity_that_is_sent_back_as_it_is_shown_stays_as_it_is(self, doorward, one_of_each, noun):
        path = f"/{noun}/{one_of_each[noun]}"
        before = doorward.v1("GET", path)
        openapi = doorward.v1("GET", "/openapi.json").json()
        body = openapi["paths"][f"/{noun}/{{id}}"]["patch"]["requestBody"]["content"]["application/json"]["schema"]
        named = openapi["components"]["schemas"][body["$ref"].rpartition("/")[2]]["properties"]
        same = {name: before.json()[name] for name in named if before.json().get(name) is not None}
        assert same
        last = doorward.v1("GET", "/audit?order=desc&limit=1").json()
        after = doorward.v1("PATCH", path, same)
        assert (after.status_code, after.headers["etag"], after.json()) == (200, before.headers["etag"], before.json())
        assert doorward.v1("GET", "/audit?order=desc&limit=1").json() == last

    def test_a_change_that_changes_nothing_leaves_the_version(self, doorward, account):
        assert doorward.v1("POST", f"/accounts/{account['id']}/resume").headers["etag"] == '"1"'

    def test_a_list_has_none(self, doorward):
        assert "etag" not in doorward.v1("GET", "/accounts").headers


class TestIfMatch:
    def test_the_version_that_was_read_may_be_changed(self, doorward, account):
        reply = rename(doorward, account, "New", if_match='"1"')
        assert (reply.status_code, reply.json()["name"]) == (200, "New")

    @pytest.mark.parametrize("value", ["*", '"1", "7"', '"7","1"', '  "1"  '])
    def test_a_list_or_a_star_that_includes_it_matches(self, doorward, account, value):
        assert rename(doorward, account, "New", if_match=value).status_code == 200

    @pytest.mark.parametrize("value", ['"0"', '"2"', '"7", "8"', "1", "x", '""', 'W/"1"', '"1', "'1'", '"01"'])
    def test_any_other_is_412_and_changes_nothing(self, doorward, account, value):
        """§13.1.1: the comparison is strong, so a weak tag matches nothing."""
        reply = rename(doorward, account, "New", if_match=value)
        assert (reply.status_code, reply.json()["reason"]) == (412, "version_changed")
        assert doorward.v1("GET", f"/accounts/{account['id']}").json() == account

    def test_it_guards_every_change_of_every_entity(self, doorward):
        key = doorward.a_key()
        client = doorward.a_client(account=key["account"], api=key["api"])
        verifier = doorward.a_verifier(api=key["api"])
        admin = doorward.create("/admin-keys", name="ci", scope="apis:read")
        api = doorward.v1("GET", f"/apis?identifier={key['api']}").json()["items"][0]
        changes = [
            ("PATCH", f"/keys/{key['id']}", {"name": "New"}),
            ("POST", f"/keys/{key['id']}/revoke", None),
            ("PATCH", f"/clients/{client['client_id']}", {"name": "New"}),
            ("DELETE", f"/clients/{client['client_id']}", None),
            ("PATCH", f"/apis/{api['id']}", {"name": "New"}),
            ("DELETE", f"/apis/{api['id']}", None),
            ("POST", f"/verifiers/{verifier['client_id']}/revoke", None),
            ("POST", f"/admin-keys/{admin['id']}/revoke", None),
            ("POST", f"/accounts/{key['account']}/suspend", None),
        ]
        for method, path, body in changes:
            assert doorward.v1(method, path, body, if_match='"9"').status_code == 412, path
        for method, path, body in changes[:2]:
            reply = doorward.v1("GET", path.removesuffix("/revoke"))
            assert doorward.v1(method, path, body, if_match=reply.headers["etag"]).status_code == 200, path

    def test_of_32_who_read_the_same_version_one_changes_it(self, doorward, account):
        replies = doorward.at_once(32, lambda n: rename(doorward, account, f"Racer {n}", if_match='"1"'))
        statuses = [reply.status_code for reply in replies]
        assert (statuses.count(200), statuses.count(412)) == (1, 31)
        (winner,) = (reply.json() for reply in replies if reply.status_code == 200)
        assert doorward.v1("GET", f"/accounts/{account['id']}").json() == winner
        assert winner["version"] == 2

    def test_without_it_no_change_of_32_is_lost_unseen(self, doorward, account):
        """Each is applied to what the one before left, or is told to come again."""
        replies = doorward.at_once(32, lambda n: rename(doorward, account, f"Racer {n}"))
        applied = [reply.json()["version"] for reply in replies if reply.status_code == 200]
        assert {reply.status_code for reply in replies} <= {200, 503}
        assert sorted(applied) == list(range(2, 2 + len(applied)))
        assert doorward.v1("GET", f"/accounts/{account['id']}").json()["version"] == 1 + len(applied)

    def test_a_repeated_field_is_refused(self, doorward, account):
        fields = [("authorization", f"Bearer {doorward.admin_key}"), ("if-match", '"1"'), ("if-match", '"1"')]
        reply = doorward.http.patch(f"/v1/accounts/{account['id']}", json={"name": "New"}, headers=fields)
        assert reply.status_code == 400


class TestMethods:
    @pytest.mark.parametrize("path", ["/accounts", "/accounts/{id}", "/audit"])
    def test_head_is_get_without_the_content(self, doorward, account, path):
        path = path.format(**account)
        get, head = doorward.v1("GET", path), doorward.v1("HEAD", path)
        assert (head.status_code, head.content) == (get.status_code, b"")
        for name in ("content-type", "cache-control", "etag"):
            assert head.headers.get(name) == get.headers.get(name)

    @pytest.mark.parametrize(
        ("path", "allowed"),
        [("/accounts", {"GET", "HEAD", "POST"}), ("/accounts/{id}", {"GET", "HEAD", "PATCH"}),
         ("/accounts/{id}/suspend", {"POST"}), ("/audit", {"GET", "HEAD"}),
         ("/apis/x", {"GET", "HEAD", "PATCH", "DELETE"})],
    )  # fmt: skip
    def test_405_names_every_method_that_is_allowed(self, doorward, account, path, allowed):
        reply = doorward.v1("PUT", path.format(**account))
        assert (reply.status_code, reply.json()["reason"]) == (405, "method_wrong")
        assert set(reply.headers["allow"].split(", ")) == allowed

    @pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
    def test_operations_are_read_only(self, doorward, path):
        reply = doorward.http.post(path)
        assert (reply.status_code, set(reply.headers["allow"].split(", "))) == (405, {"GET", "HEAD"})

    @pytest.mark.parametrize("path", ["/healthz", "/readyz", "/setup", "/static/doorward.css"])
    def test_pages_and_operations_answer_head(self, doorward, path):
        get, head = doorward.http.get(path), doorward.http.head(path)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-type"] == get.headers["content-type"]

    def test_every_answer_has_a_request_id(self, doorward):
        paths = ("/", "/v1", "/v1/", "/nothing", "/healthz", "/readyz", "/setup", "/static/doorward.css", "/static/x",
                 "/v1/openapi.json", "/v1/docs", "/oauth/token", "/.well-known/jwks.json")  # fmt: skip
        assert [path for path in paths if not doorward.http.get(path).headers.get("x-request-id")] == []
