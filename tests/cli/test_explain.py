"""`doorward explain`: the id tells why, and the deployment tells the rest."""

import httpx2
import pytest

from doorward_verify import request_id

NOW = 1_795_640_000
EXPLAINED = {
    "id": "req_0000000000000000000000", "at": NOW, "origin": "server", "reason": "client_unauthenticated",
    "status": 401, "sentence": "The client could not be authenticated.", "fix": "Check client_id.",
    "detail": {"actor": "", "method": "POST", "path": "/oauth/token", "detail": "secret differs"},
}  # fmt: skip


def made(code: int, node: int = 1) -> str:
    return request_id.make(NOW, code, node, b"abcdefgh", None if node == 0 else b"a key")


def test_without_a_server_the_sentence_and_the_fix_are_read_from_the_id(run):
    ran = run("explain", made(101))
    assert ran.code == 0
    assert ran.out.splitlines()[0] == "The client could not be authenticated."
    assert "  fix     Check client_id and client_secret" in ran.out
    assert "  answer  401 client_unauthenticated" in ran.out
    assert "2026-11-25 20:53 UTC" in ran.out
    assert "Read from the id alone" in ran.err


def test_an_id_of_a_request_that_was_not_refused_says_so(run):
    assert run("explain", made(0)).out.startswith("The request was not refused.\n")


def test_an_id_made_by_a_verifier_says_so(run):
    assert "  by      a service that checks" in run("explain", made(5, node=0)).out


def test_in_json_the_object_has_the_members_of_the_api(run):
    told = run("explain", made(101), "--json").json
    assert list(told) == list(EXPLAINED)
    assert (told["at"], told["reason"], told["status"], told["detail"]) == (NOW, "client_unauthenticated", 401, None)


def test_a_deployment_adds_its_private_detail(server, run):
    id_ = made(101)
    asked = server(httpx2.Response(200, json=EXPLAINED), httpx2.Response(200, json=EXPLAINED))
    ran = run("explain", id_)
    assert asked[0].url.path == f"/v1/requests/{id_}"
    assert "  request  POST /oauth/token\n" in ran.out
    assert "  detail   secret differs\n" in ran.out
    assert ran.err == ""
    assert run("explain", id_, "--json").json == EXPLAINED


@pytest.mark.parametrize("status", [401, 404, 500])
def test_a_deployment_that_does_not_tell_is_no_obstacle(server, run, status):
    server(httpx2.Response(status, json={"status": status, "detail": "no"}))
    ran = run("explain", made(101))
    assert (ran.code, ran.out.splitlines()[0]) == (0, "The client could not be authenticated.")
    assert "Read from the id alone" in ran.err


@pytest.mark.parametrize("text", ["", "req_1", "dw_live_x", "req_" + "!" * 22])
def test_what_is_no_request_id_is_a_misuse(run, text):
    assert run("explain", text).code == 2
