"""How the admin API asks for its credential: RFC 6750 §2.1, §3 and §3.1."""

from __future__ import annotations

import re

import pytest

PROTECTED = ["/v1/apis", "/v1/keys", "/v1/audit", "/v1/requests/req_x", "/metrics"]
CHALLENGE = re.compile(r'Bearer realm="[^"\\]*"(, [a-z_]+="[^"\\]*")*')


def challenge(reply):
    """The parameters of the only challenge, well-formed by RFC 9110 §11.6.1."""
    (value,) = reply.headers.get_list("www-authenticate")
    assert CHALLENGE.fullmatch(value), value
    return dict(re.findall(r'([a-z_]+)="([^"]*)"', value))


def ask(doorward, path, *authorization):
    return doorward.http.get(path, headers=[("authorization", value) for value in authorization])


@pytest.mark.parametrize("path", PROTECTED)
def test_without_a_credential_there_is_no_error_code(doorward, path):
    reply = ask(doorward, path)
    assert reply.status_code == 401
    assert challenge(reply) == {"realm": doorward.issuer}
    assert reply.json()["reason"] == "credential_missing"


@pytest.mark.parametrize("path", PROTECTED)
def test_another_scheme_is_no_credential(doorward, path):
    for value in ("Basic YTpi", "Digest x", "Bearer", doorward.admin_key):
        reply = ask(doorward, path, value)
        assert reply.status_code == 401
        assert challenge(reply)["realm"] == doorward.issuer


@pytest.mark.parametrize("path", PROTECTED)
def test_a_bad_credential_is_an_invalid_token(doorward, path):
    key = doorward.admin_key
    wrong = [
        "x", key[:-1], key + "0", key.upper(), f" {key}", f"{key} ", f"{key},{key}", "a.b.c", "\xe4\xf6",
        doorward.a_key()["key"], doorward.a_client()["client_secret"],
    ]  # fmt: skip
    for text in wrong:
        reply = ask(doorward, path, b"Bearer " + text.encode("latin-1"))
        assert reply.status_code == 401
        assert challenge(reply)["error"] == "invalid_token"


def test_every_bad_credential_gets_one_answer(doorward):
    """Unknown, malformed, revoked and of another kind: the words and fields are the same."""
    revoked = doorward.create("/admin-keys", name="gone", scope="apis:read")
    doorward.v1("POST", f"/admin-keys/{revoked['id']}/revoke")
    texts = ["x", doorward.admin_key[:-1] + "0", doorward.a_key()["key"], revoked["key"]]
    replies = [ask(doorward, "/v1/apis", f"Bearer {text}") for text in texts]
    assert len({reply.headers["www-authenticate"] for reply in replies}) == 1
    assert len({(reply.json()["status"], reply.json()["detail"]) for reply in replies}) == 1


def test_a_revoked_admin_key_is_refused_in_the_next_request(doorward):
    made = doorward.create("/admin-keys", name="short", scope="apis:read")
    assert doorward.v1("GET", "/apis", key=made["key"]).status_code == 200
    assert doorward.v1("POST", f"/admin-keys/{made['id']}/revoke").status_code == 200
    assert doorward.v1("GET", "/apis", key=made["key"]).status_code == 401


def test_too_little_scope_is_named(doorward):
    reply = doorward.v1("GET", "/clients", key=doorward.an_admin_key("apis:read"))
    assert reply.status_code == 403
    assert challenge(reply) == {"realm": doorward.issuer, "error": "insufficient_scope", "scope": "clients:read"}


def test_the_scheme_is_read_in_any_case(doorward):
    """RFC 9110 §11.1: it is a case-insensitive token."""
    for scheme in ("bearer", "BEARER", "bEaReR"):
        assert ask(doorward, "/v1/apis", f"{scheme} {doorward.admin_key}").status_code == 200


def test_two_credentials_are_an_invalid_request(doorward):
    """§3.1: more than one method or time."""
    key = f"Bearer {doorward.admin_key}"
    for values in ((key, key), (key, "Bearer x"), ("Basic YTpi", key)):
        reply = ask(doorward, "/v1/apis", *values)
        assert (reply.status_code, reply.json()["reason"]) == (400, "several_credentials")


def test_a_credential_in_the_url_or_body_is_none(doorward):
    """§2.2 and §2.3 are not offered."""
    reply = doorward.http.get("/v1/apis", params={"access_token": doorward.admin_key})
    assert (reply.status_code, reply.json()["reason"]) == (401, "credential_missing")
    body = {"id": "x", "access_token": doorward.admin_key}
    assert doorward.http.post("/v1/accounts", json=body).status_code == 401


def test_no_refusal_repeats_what_was_sent(doorward):
    for secret in (doorward.admin_key[:-1] + "0", "opensesame"):
        reply = ask(doorward, "/v1/apis", f"Bearer {secret}")
        assert secret not in reply.text
        assert secret not in str(reply.headers)


def test_an_admin_key_of_a_network_is_refused_from_elsewhere(doorward):
    near = doorward.an_admin_key("apis:read", networks=["127.0.0.0/8"])
    far = doorward.an_admin_key("apis:read", networks=["192.0.2.0/24", "2001:db8::/32"])
    assert doorward.v1("GET", "/apis", key=near).status_code == 200
    refused = doorward.v1("GET", "/apis", key=far)
    assert (refused.status_code, refused.json()["reason"]) == (401, "network_not_allowed")
