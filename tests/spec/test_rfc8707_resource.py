"""Resource indicators: for which api a token is, RFC 8707 §2 (T021)."""

from __future__ import annotations

import base64
import json

import pytest

GRANT = {"grant_type": "client_credentials"}


@pytest.fixture
def apis(doorward):
    return [doorward.an_api()["identifier"] for _ in range(2)]


@pytest.fixture
def client(doorward, apis):
    """A client of both apis, with a wider grant at the first."""
    made = doorward.a_client(api=apis[0])
    granted = doorward.v1("PATCH", f"/clients/{made['client_id']}", {"api": apis[1], "scope": "invoices:read"})
    assert granted.status_code == 200, granted.text
    return made


def audience(token):
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["aud"]


def test_the_only_api_of_a_client_is_its_default(doorward, apis):
    assert audience(doorward.token(doorward.a_client(api=apis[0]))) == apis[0]


def test_with_several_apis_one_must_be_named(doorward, client):
    reply = doorward.post("token", client, **GRANT)
    assert (reply.status_code, reply.json()["error"]) == (400, "invalid_target")


def test_the_named_resource_is_the_only_audience(doorward, client, apis):
    for identifier in apis:
        assert audience(doorward.token(client, resource=identifier)) == identifier


def test_the_scope_is_that_of_the_grant_for_the_named_api(doorward, client, apis):
    assert doorward.post("token", client, **GRANT, resource=apis[1]).json()["scope"] == "invoices:read"
    refused = doorward.post("token", client, **GRANT, resource=apis[1], scope="invoices:write")
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_scope")


def test_one_resource_at_a_time(doorward, client, apis):
    reply = doorward.post("token", client, **GRANT, resource=apis)
    assert (reply.status_code, reply.json()["error"]) == (400, "invalid_target")


def test_an_api_of_others_is_no_target(doorward, client):
    foreign = doorward.an_api()["identifier"]
    reply = doorward.post("token", client, **GRANT, resource=foreign)
    assert (reply.status_code, reply.json()["error"]) == (400, "invalid_target")


@pytest.mark.parametrize(
    "change",
    [
        lambda uri: uri + "/", lambda uri: uri + "#part", lambda uri: uri + "?x=1", str.upper,
        lambda uri: uri.replace("https", "http"), lambda uri: uri.replace(".com", ".com:443"),
        lambda uri: uri.replace("api.", "%61pi."), lambda uri: uri + "/../x", lambda uri: uri[:-1],
        lambda uri: "/0", lambda uri: "api.example.com", lambda uri: " ", lambda uri: uri + " ",
    ],
)  # fmt: skip
def test_the_identifier_is_compared_as_text(doorward, client, apis, change):
    reply = doorward.post("token", client, **GRANT, resource=change(apis[0]))
    assert (reply.status_code, reply.json()["error"]) == (400, "invalid_target")
