"""What careless clients and fuzzers send: always a 4xx with a reason, nothing changed, never a 500."""

from __future__ import annotations

import json

import pytest
from tests.vectors import outside, outside_json

FORM = {"content-type": "application/x-www-form-urlencoded"}
OAUTH = ("/oauth/token", "/oauth/introspect", "/oauth/revoke")


def raw(doorward, path, body, media_type="application/json"):
    headers = {"authorization": f"Bearer {doorward.admin_key}", "content-type": media_type}
    return doorward.http.post(f"/v1{path}", content=body, headers=headers)


def change_count(doorward):
    """The position of the last entry: whatever changes something moves it."""
    return doorward.v1("GET", "/audit?order=desc&limit=1").json()["items"][0]["seq"]


class TestForms:
    @pytest.fixture
    def client(self, doorward):
        return doorward.a_client()

    @pytest.mark.parametrize("path", OAUTH)
    @pytest.mark.parametrize(
        "body",
        [b"\xff\xfe=a", b"a=\xff", b"a=%ff", b"a=%c3", b"%c3%28=a", b"a=%", b"a=%4", b"a=%zz", b"a=%u0041",
         b"a=1&a=2", b"token=a&token=b", b"a=1&%61=2", b"a=%ed%a0%80", b"a=%f4%90%80%80", b"a=%c0%80"],
    )  # fmt: skip
    def test_a_malformed_form_is_an_invalid_request(self, doorward, client, path, body):
        auth = (client["client_id"], client["client_secret"])
        before = change_count(doorward)
        content = b"grant_type=client_credentials&" + body
        reply = doorward.http.post(path, content=content, headers=FORM, auth=auth)
        assert (reply.status_code, reply.json()["error"]) == (400, "invalid_request")
        assert change_count(doorward) == before

    @pytest.mark.parametrize("body", [b"", b"&", b"&&&", b"=", b"=a", b"a", b"a=&b=", b" ", b"\r\n", b"{}", b"<a/>"])
    def test_a_form_that_says_nothing_asks_for_nothing(self, doorward, client, body):
        auth = (client["client_id"], client["client_secret"])
        for path in OAUTH:
            reply = doorward.http.post(path, content=body, headers=FORM, auth=auth)
            assert (reply.status_code, reply.json()["error"]) == (400, "invalid_request")

    @pytest.mark.parametrize("field", ["content-type", "authorization"])
    def test_a_repeated_field_is_refused(self, doorward, client, field):
        sent = doorward.post("token", client, grant_type="client_credentials").request
        needed = ("content-type", "authorization")
        fields = [(name, value) for name, value in sent.headers.multi_items() if name in needed]
        twice = [*fields, *(pair for pair in fields if pair[0] == field)]
        reply = doorward.http.post("/oauth/token", content=sent.content, headers=twice)
        assert (reply.status_code, reply.json()["error"]) == (400, "invalid_request")


class TestJson:
    @pytest.mark.parametrize(
        "body",
        [b"", b" ", b"{", b"}", b"[]", b"null", b"1", b'"a"', b"{}{}", b"{}x", b"\xef\xbb\xbf{}", b"{'id': 'a'}",
         b'{"id": "a", "id": "b"}', b'{"id": "a", "\\u0069d": "b"}', b'{"id": "a", "metadata": {"a": 1, "a": 2}}',
         b'{"id": NaN}', b'{"id": Infinity}', b'{"id": 1e999}', b'{"id": 123456789012345678901234567890}',
         b'{"id": "\xff"}', b'{"id": "\\ud800"}', b'{"id": "\\udc00\\ud800"}', b'{"\\ud800": 1}', b'{"id": "a\nb"}',
         '{"id": "a"}'.encode("utf-16"), '{"id": "a"}'.encode("utf-32"), b'{"id": "a",}', b'{"id": "a"} // x',
         b'{"a":' * 20_000, b"[" * 60_000, b'{"a":' * 17 + b"1" + b"}" * 17],
    )  # fmt: skip
    def test_what_two_parsers_could_read_differently_is_malformed(self, doorward, body):
        before = change_count(doorward)
        for path in ("/accounts", "/keys/verify", "/revocations"):
            reply = raw(doorward, path, body)
            assert reply.status_code in (400, 413), reply.text
            assert reply.json()["reason"] in ("request_malformed", "body_too_large")
        assert change_count(doorward) == before

    @pytest.mark.parametrize(
        ("member", "value"),
        [("id", 1), ("id", None), ("id", True), ("id", ["a"]), ("id", {}), ("name", 1), ("name", ["a"]), ("name", ""),
         ("name", "a" * 101), ("id", ""), ("id", "A"), ("id", "a" * 64), ("id", "a b"), ("id", "ä"), ("id", "../a"),
         ("metadata", []), ("metadata", "a"), ("metadata", {"a": None}), ("metadata", {"a": {"b": 1}}),
         ("metadata", {"a": [1]}), ("metadata", {"a": 1.5}), ("metadata", {"a": "b" * 4097}),
         ("metadata", {str(n): n for n in range(51)}), ("Id", "a"), ("id ", "a"), ("__proto__", {}), ("", "a")],
    )  # fmt: skip
    def test_a_member_that_cannot_be_accepted_is_named(self, doorward, member, value):
        before = change_count(doorward)
        reply = doorward.v1("POST", "/accounts", {"id": "unfit", member: value})
        assert (reply.status_code, reply.json()["reason"]) == (422, "field_invalid"), reply.text
        assert change_count(doorward) == before

    def test_numbers_are_no_text_and_text_is_no_number(self, doorward):
        """Nothing is converted: "300" is no number, 1 is no truth."""
        api, account = doorward.an_api()["id"], doorward.an_account()["id"]
        for body in ({"token_lifetime": "300"}, {"token_lifetime": 300.5}, {"token_lifetime": True}, {"name": 5}):
            assert doorward.v1("PATCH", f"/apis/{api}", body).status_code == 422
        key = {"account": account, "api": api, "scope": ""}
        for body in ({"no_expiry": 1}, {"no_expiry": "true"}, {"expires_in": "60"}, {"expires_in": 1e3}):
            assert doorward.v1("POST", "/keys", {**key, **body}).status_code == 422


class TestQueries:
    @pytest.mark.parametrize(
        "query",
        ["limit=0", "limit=201", "limit=-1", "limit=1.5", "limit=a", "limit=", "limit=1e2", "limit=0x10", "limit=1%00",
         "limit=1&limit=2", "cursor=" + "a" * 501, "account=" + "a" * 501, "account=%ff", "account=%", "limit=٣"],
    )  # fmt: skip
    def test_a_query_that_cannot_be_read_is_refused(self, doorward, query):
        assert doorward.v1("GET", f"/keys?{query}").status_code in (400, 422)

    @pytest.mark.parametrize("query", ["after=-1", f"after={2**63}", "after=a", "order=up", "order=", "order=ASC"])
    def test_so_is_one_for_the_audit_log(self, doorward, query):
        assert doorward.v1("GET", f"/audit?{query}").status_code == 422

    @pytest.mark.parametrize("id_", ["a" * 5000, "%ff", "%", "..", "%2e%2e", "a%2fb", "'", "%25", "%E2%80%A8", "*"])
    def test_an_id_that_is_none_is_not_found(self, doorward, id_):
        for path in ("/accounts", "/keys", "/clients", "/verifiers", "/admin-keys", "/signing-keys", "/requests"):
            assert doorward.v1("GET", f"{path}/{id_}").status_code in (400, 404)


class TestMinefield:
    """The JSON parsing files of nst/JSONTestSuite, each as a body."""

    def test_no_file_breaks_the_server_and_no_malformed_one_is_read(self, doorward):
        files = sorted(outside("json-minefield").glob("test_*/*.json"))
        assert len(files) > 300
        before = change_count(doorward)
        for file in files:
            reply = raw(doorward, "/accounts", file.read_bytes())
            # None of them is an account: at best it is an object with unknown members.
            allowed = {400, 413} if file.name.startswith("n_") else {400, 413, 422}
            assert reply.status_code in allowed, (file.name, reply.text)
            assert reply.headers["content-type"] == "application/problem+json"
        assert change_count(doorward) == before


class TestNaughtyStrings:
    @pytest.fixture
    def strings(self):
        return outside_json("naughty-strings/blns.json")

    def test_as_names_they_are_refused_or_taken_as_they_are(self, on_postgresql, strings):
        doorward = on_postgresql  # the pickier about text of the two
        account = doorward.an_account()["id"]
        taken = []
        for text in strings:
            reply = doorward.v1("PATCH", f"/accounts/{account}", {"name": text})
            assert reply.status_code in (200, 400, 422), (text, reply.text)
            if reply.status_code == 200:
                assert reply.json()["name"] == text
                taken.append(text)
        assert len(taken) > 300
        assert doorward.v1("GET", f"/accounts/{account}").json()["name"] == taken[-1]

    def test_as_metadata_they_are_shown_back_exactly(self, doorward, strings):
        account = doorward.an_account()["id"]
        for start in range(0, len(strings), 10):
            metadata = {text: text for text in strings[start : start + 10] if len(text) < 200}
            reply = doorward.v1("PATCH", f"/accounts/{account}", {"metadata": metadata})
            assert reply.status_code == 200, (metadata, reply.text)
            assert doorward.v1("GET", f"/accounts/{account}").json()["metadata"] == metadata

    def test_everywhere_else_they_are_refused_or_unknown(self, on_postgresql, strings):
        doorward = on_postgresql
        client = doorward.a_client()
        for text in strings:
            answers = [
                doorward.v1("POST", "/keys/verify", {"key": text}),
                doorward.post("introspect", client, token=text),
                doorward.post("token", client, grant_type="client_credentials", scope=text, resource=text),
                doorward.http.get("/v1/keys", params={"account": text}, headers=bearer(doorward)),
            ]
            for reply in answers:
                assert reply.status_code < 500, (text, reply.text)
            assert answers[0].json().get("active") is not True
            assert answers[1].json().get("active") is not True


def bearer(doorward):
    return {"authorization": f"Bearer {doorward.admin_key}"}


def test_every_json_file_of_ours_is_read_back_as_it_was_written(doorward):
    metadata = {"ü": "ß", "emoji 🗝": "🚪", "quote": '"\\/', "spaces": " \t ", "number": 2**53 - 1, "no": False}
    account = doorward.an_account(name="Größe 🚪 «x»", metadata=metadata)
    shown = doorward.v1("GET", f"/accounts/{account['id']}")
    assert shown.json() == account
    assert json.loads(shown.text)["metadata"] == metadata
