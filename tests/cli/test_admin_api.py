"""What goes over the wire, and what a person reads when the answer is no."""

import json

import httpx2
import pytest

from doorward.cli.admin_api import segment
from doorward.cli.failure import Failure
from doorward.cli.patience import ATTEMPTS

NOW = {"retry-after": "0"}
PROBLEM = {
    "type": "https://auth.example.com/v1/docs#reason-entity_conflict",
    "title": "The entity exists already, or its state does not allow this.",
    "status": 409,
    "detail": "this account exists already",
    "reason": "entity_conflict",
    "request_id": "req_1zxMiE01j0001bq7Vw3Yp4",
}
ACCOUNT = {
    "id": "acme", "name": "Acme Inc", "state": "active", "metadata": {}, "limits": [], "created_at": 1,
    "updated_at": 1, "version": 1,
}  # fmt: skip
API = {
    "id": "api_1", "identifier": "https://api.example.com", "name": "Invoices", "scopes": {"a": "A"},
    "token_format": "jwt", "token_lifetime": 300, "signing_algorithm": "ES256", "claims": {},
    "status_list": False, "limits": [], "legacy": False, "self_service": [], "transports": ["bearer"],
    "browsers": "flag", "routes": [], "created_at": 1, "updated_at": 1, "version": 7,
}  # fmt: skip


def test_a_creation_carries_a_fresh_idempotency_key(server, run):
    asked = server(httpx2.Response(201, json=ACCOUNT), httpx2.Response(201, json=ACCOUNT))
    for _ in range(2):
        assert run("accounts", "create", "acme", "--metadata", "plan=gold").code == 0
    assert [(request.method, request.url.path) for request in asked] == [("POST", "/v1/accounts")] * 2
    assert json.loads(asked[0].content) == {"id": "acme", "metadata": {"plan": "gold"}}
    keys = {request.headers["idempotency-key"] for request in asked}
    assert len(keys) == 2
    assert all(len(key) >= 32 for key in keys)


def test_a_busy_server_is_asked_again_under_the_same_idempotency_key(server, run):
    asked = server(httpx2.Response(503, headers={"retry-after": "0"}), httpx2.Response(201, json=ACCOUNT))
    assert run("accounts", "create", "acme", "--json").json == ACCOUNT
    assert len({request.headers["idempotency-key"] for request in asked}) == 1


def test_a_server_that_stays_busy_is_given_up(server, run):
    busy = httpx2.Response(503, headers={"retry-after": "0"}, json={**PROBLEM, "status": 503, "detail": "too busy"})
    asked = server(*[busy] * ATTEMPTS)
    ran = run("accounts", "list")
    assert (ran.code, len(asked)) == (1, ATTEMPTS)
    assert "too busy" in ran.err


@pytest.mark.parametrize("away", [httpx2.Response(502, headers=NOW), httpx2.ReadError("cut")])
def test_a_node_that_died_with_the_answer_is_asked_again_through_the_others(server, run, away):
    asked = server(away, httpx2.Response(201, json=ACCOUNT))
    assert run("accounts", "create", "acme", "--json").json == ACCOUNT
    assert len({request.headers["idempotency-key"] for request in asked}) == 1


def test_what_went_though_nobody_could_say_so_is_gone(server, run):
    asked = server(httpx2.Response(504, headers=NOW), httpx2.Response(404, json={**PROBLEM, "status": 404}))
    assert run("apis", "delete", "api_1", "--yes").code == 0
    assert [request.method for request in asked] == ["DELETE", "DELETE"]


def test_what_was_not_there_is_no_success(server, run):
    server(httpx2.Response(404, json={**PROBLEM, "status": 404}))
    assert run("apis", "delete", "api_1", "--yes").code == 1


def test_an_address_where_nobody_listens_is_not_asked_again(server, run):
    asked = server(httpx2.ConnectError("refused"))
    assert (run("accounts", "list").code, len(asked)) == (1, 1)


def test_json_is_exactly_the_answer(server, run):
    odd = ACCOUNT | {"name": "Größe", "metadata": {"b": 1, "a": True}, "unknown": [None]}
    server(httpx2.Response(200, json=odd))
    ran = run("accounts", "show", "acme", "--json")
    assert list(ran.json.items()) == list(odd.items())


def test_a_uri_is_one_segment_of_the_path(server, run):
    asked = server(httpx2.Response(200, json=API))
    assert run("apis", "show", "https://api.example.com/v1 b").code == 0
    assert asked[0].url.raw_path == b"/v1/apis/https%3A%2F%2Fapi.example.com%2Fv1%20b"


@pytest.mark.parametrize("id_", ["", ".", ".."])
def test_an_id_that_would_change_the_path_is_refused(id_):
    with pytest.raises(Failure):
        segment(id_)


def test_a_refusal_is_told_with_its_fix_and_its_explanation(server, run):
    server(httpx2.Response(409, json=PROBLEM))
    ran = run("accounts", "create", "acme")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == (
        "doorward: this account exists already\n"
        "  fix      Show the entity and compare.\n"
        "  explain  doorward explain req_1zxMiE01j0001bq7Vw3Yp4\n"
    )


def test_with_json_a_refusal_is_the_problem_document_on_stderr(server, run):
    server(httpx2.Response(409, json=PROBLEM))
    ran = run("accounts", "create", "acme", "--json")
    assert (ran.code, ran.out) == (1, "")
    assert json.loads(ran.err) == PROBLEM


def test_fields_that_are_wrong_are_named(server, run):
    errors = [{"field": "id", "detail": "must begin with a letter or digit"}]
    server(httpx2.Response(422, json=PROBLEM | {"status": 422, "detail": "not acceptable: id", "errors": errors}))
    assert "id must begin with a letter or digit" in run("accounts", "create", "-", "--name", "x").err


def test_an_unknown_admin_key_is_exit_code_4(server, run):
    server(httpx2.Response(401, json=PROBLEM | {"status": 401, "detail": "the admin key is unknown or ended"}))
    assert run("accounts", "list").code == 4


@pytest.mark.parametrize(
    "answer",
    [httpx2.Response(500, html="<h1>Bad gateway</h1>"), httpx2.Response(200, json=[1]), httpx2.Response(302)],
)
def test_an_answer_of_something_else_is_told_in_one_line(server, run, answer):
    server(answer)
    ran = run("accounts", "list")
    assert ran.code == 1
    assert ran.err.startswith("doorward: auth.example.com answered ")
    assert ran.err.count("\n") == 1


def test_an_update_of_a_table_is_bound_to_the_version_that_was_read(server, run):
    asked = server(httpx2.Response(200, json=API), httpx2.Response(200, json=API))
    assert run("apis", "update", "Invoices", "--add-scope", "b=B", "--remove-scope", "a").code == 0
    assert [request.method for request in asked] == ["GET", "PATCH"]
    assert asked[1].headers["if-match"] == '"7"'
    assert json.loads(asked[1].content) == {"scopes": {"b": "B"}, "claims": {}}


def test_an_update_of_a_plain_member_needs_no_look_first(server, run):
    asked = server(httpx2.Response(200, json=API))
    assert run("apis", "update", "Invoices", "--token-lifetime", "10m").code == 0
    assert json.loads(asked[0].content) == {"token_lifetime": 600}


def test_a_list_follows_its_pages_up_to_the_limit(server, run):
    page = [ACCOUNT | {"id": f"a{number}"} for number in range(200)]
    asked = server(
        httpx2.Response(200, json={"items": page, "next_cursor": "c1"}),
        httpx2.Response(200, json={"items": page[:50], "next_cursor": "c2"}),
    )
    ran = run("accounts", "list", "--limit", "250")
    assert [dict(request.url.params) for request in asked] == [{"limit": "200"}, {"limit": "50", "cursor": "c1"}]
    assert len(ran.out.splitlines()) == 251
    assert "there are more" in ran.err


def test_a_list_in_json_is_one_page_as_the_api_gives_it(server, run):
    page = {"items": [ACCOUNT], "next_cursor": "c1"}
    asked = server(httpx2.Response(200, json=page))
    assert run("accounts", "list", "--limit", "1", "--cursor", "c0", "--json").json == page
    assert dict(asked[0].url.params) == {"limit": "1", "cursor": "c0"}


def test_an_empty_list_says_so_beside_stdout(server, run):
    server(httpx2.Response(200, json={"items": [], "next_cursor": None}))
    ran = run("admin-keys", "list")
    assert (ran.code, ran.out) == (0, "")
    assert ran.err == "There are no admin keys here.\n"


def test_a_fault_is_one_line_and_no_traceback(server, run):
    server()
    ran = run("accounts", "list")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == "doorward: unexpected failure (IndexError); DOORWARD_DEBUG=1 shows where\n"


def test_debugging_shows_where(server, run, monkeypatch):
    monkeypatch.setenv("DOORWARD_DEBUG", "1")
    server()
    with pytest.raises(IndexError):
        run("accounts", "list")
