"""Refusals of the admin API: problem documents, RFC 9457 §3, that explain themselves (decision 23)."""

from __future__ import annotations

import re

import pytest

CASES = {
    #                      method   path                    body                  status  reason
    "no such path":       ("GET",   "/nothing",             None,                 404, "path_unknown"),
    "no such entity":     ("GET",   "/keys/key_none",       None,                 404, "entity_unknown"),
    "not allowed":        ("PUT",   "/keys",                None,                 405, "method_wrong"),
    "a missing member":   ("POST",  "/accounts",            {},                   422, "field_invalid"),
    "an unknown member":  ("POST",  "/accounts",            {"id": "a", "x": 1},  422, "field_invalid"),
    "a wrong type":       ("POST",  "/accounts",            {"id": 7},            422, "field_invalid"),
    "a bad value":        ("POST",  "/accounts",            {"id": "No Spaces"},  422, "field_invalid"),
    "no object":          ("POST",  "/accounts",            [1],                  400, "request_malformed"),
    "a bad limit":        ("GET",   "/keys?limit=0",        None,                 422, "field_invalid"),
    "a bad cursor":       ("GET",   "/keys?cursor=x",       None,                 400, "cursor_invalid"),
}  # fmt: skip


def problem(doorward, reply, status, reason):
    """RFC 9457, with what makes it explain itself."""
    body = reply.json()
    assert (reply.status_code, body["status"], body["reason"]) == (status, status, reason), reply.text
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.headers["cache-control"] == "no-store"
    assert body.keys() - {"errors"} == {"type", "title", "status", "detail", "reason", "request_id"}
    assert body["type"] == f"{doorward.issuer}/v1/docs#reason-{reason}"
    assert body["request_id"] == reply.headers["x-request-id"]
    assert re.fullmatch(r"req_[0-9A-Za-z]{22}", body["request_id"])
    return body


@pytest.mark.parametrize("case", CASES)
def test_a_refusal_is_a_problem_document(doorward, case):
    method, path, body, status, reason = CASES[case]
    problem(doorward, doorward.v1(method, path, body), status, reason)


@pytest.mark.parametrize("case", CASES)
def test_the_request_id_explains_the_refusal(doorward, case):
    method, path, body, status, reason = CASES[case]
    refused = problem(doorward, doorward.v1(method, path, body), status, reason)
    told = doorward.v1("GET", f"/requests/{refused['request_id']}").json()
    assert (told["reason"], told["status"], told["origin"]) == (reason, status, "server")
    assert told["sentence"] == refused["title"]
    assert told["fix"]


def test_the_type_leads_to_the_reason_and_its_fix(doorward):
    page = doorward.http.get("/v1/docs")
    anchors = set(re.findall(r'id="(reason-[a-z_]+)"', page.text))
    reasons = {reason for *_, reason in CASES.values()}
    assert {f"reason-{reason}" for reason in reasons} <= anchors


def test_every_reason_on_the_page_has_a_sentence_and_a_fix(doorward):
    from doorward.protocol.reasons import REASONS

    page = doorward.http.get("/v1/docs").text
    for reason in REASONS.values():
        assert f'id="reason-{reason.name}"' in page


def test_every_wrong_field_is_named(doorward):
    body = {"identifier": 1, "name": ["x"], "token_format": "paper", "colour": "blue"}
    found = problem(doorward, doorward.v1("POST", "/apis", body), 422, "field_invalid")
    assert {error["field"] for error in found["errors"]} == body.keys()
    assert all(error["detail"] for error in found["errors"])


def test_a_refusal_never_repeats_a_value(doorward):
    """T202: oversized or secret input must not come back in the answer."""
    canary = "correct-horse-battery-staple"
    for body in ({"id": canary.upper()}, {"id": {"a": canary}}, {"id": "a", "name": canary * 10}, [canary]):
        assert canary.upper() not in doorward.v1("POST", "/accounts", body).text.upper()


def test_the_name_of_an_unknown_member_is_cut_and_escaped(doorward):
    name = "x\n\x1b[31m\u202e" + "y" * 5000
    found = problem(doorward, doorward.v1("POST", "/accounts", {"id": "a", name: 1}), 422, "field_invalid")
    (field,) = {error["field"] for error in found["errors"]}
    assert len(field) < 300
    assert field.isascii()
    assert field.isprintable()


def test_many_wrong_members_make_no_long_answer(doorward):
    reply = doorward.v1("POST", "/accounts", {"id": "a", **{f"member-{n}": n for n in range(3000)}})
    assert reply.status_code == 422
    assert len(reply.content) < 20_000


def test_an_id_that_nobody_made_explains_nothing(doorward):
    real = doorward.v1("GET", "/nothing").json()["request_id"]
    for made_up in ("req_x", "x", real[:-1] + ("0" if real[-1] != "0" else "1"), real.swapcase(), real + "0"):
        assert doorward.v1("GET", f"/requests/{made_up}").status_code == 404


def test_the_conflict_of_two_entities_is_409(doorward):
    account = doorward.an_account()
    reply = doorward.v1("POST", "/accounts", {"id": account["id"]})
    problem(doorward, reply, 409, "entity_conflict")
    api = doorward.an_api()
    for body in ({**api, "name": "other"}, {**api, "identifier": "https://other.example"}):
        given = {name: body[name] for name in ("identifier", "name")}
        problem(doorward, doorward.v1("POST", "/apis", given), 409, "entity_conflict")


def test_an_api_in_use_is_not_deleted(doorward):
    key = doorward.a_key()
    api = doorward.v1("GET", f"/apis?identifier={key['api']}").json()["items"][0]
    problem(doorward, doorward.v1("DELETE", f"/apis/{api['id']}"), 409, "entity_conflict")
    assert doorward.v1("GET", f"/apis/{api['id']}").status_code == 200
