"""Client authentication under attack: T040 to T045 and T048 (RFC 6749 §2.3, RFC 9700 §2.5)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import subprocess
from pathlib import Path

import pytest

from doorward_verify import api_key

GRANT = {"grant_type": "client_credentials", "token": "x"}
ENDPOINTS = ("token", "introspect", "revoke")
SECRETS = {"token": "x", "token_sha256": "x", "client_secret": "x", "client_assertion": "x"}


@pytest.fixture(params=ENDPOINTS)
def path(request):
    return request.param


@pytest.fixture
def client(doorward):
    return doorward.a_client()


def basic(text):
    return b"Basic " + base64.b64encode(text.encode() if isinstance(text, str) else text)


def ask(doorward, path, *authorization, query=None, **form):
    headers = [("content-type", "application/x-www-form-urlencoded")]
    headers += [("authorization", value) for value in authorization]
    body = "&".join(f"{name}={value}" for name, value in {**GRANT, **form}.items())
    return doorward.http.post(f"/oauth/{path}", params=query, content=body, headers=headers)


def body_without_id(reply):
    return {name: value for name, value in reply.json().items() if name != "request_id"}


def test_t040_more_than_one_method_is_refused(doorward, client, path):
    right = basic(f"{client['client_id']}:{client['client_secret']}")
    in_body = {"client_id": client["client_id"], "client_secret": client["client_secret"]}
    bearer = f"Bearer {doorward.admin_key}".encode()
    replies = [
        ask(doorward, path, right, **in_body),
        ask(doorward, path, right, client_secret="x"),
        ask(doorward, path, right, right),
        ask(doorward, path, right, basic("a:b")),
        ask(doorward, path, right, bearer),
        ask(doorward, path, bearer, **in_body),
    ]
    for reply in replies:
        assert reply.status_code in (400, 401), reply.text
        assert reply.json()["error"] in ("invalid_request", "invalid_client")
        assert "access_token" not in reply.json()
    for reply in replies[:5]:
        assert (reply.status_code, reply.json()["reason"]) == (400, "several_credentials")


def test_t040_another_client_id_beside_basic_is_refused(doorward, client, path):
    right = basic(f"{client['client_id']}:{client['client_secret']}")
    assert ask(doorward, path, right, client_id=client["client_id"]).status_code == 200
    assert ask(doorward, path, right, client_id="other").status_code == 400


def not_canonical(encoded):
    """The same bytes in another spelling: the unused low bits of the last digit are set."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    digits = encoded.rstrip("=")
    return digits[:-1] + alphabet[alphabet.index(digits[-1]) + 1] + "=" * (len(encoded) - len(digits))


def test_t041_basic_is_decoded_strictly(doorward, client, path):
    name, secret = client["client_id"], client["client_secret"]
    # A space, written as "+", makes the length one that needs padding.
    plain = f"{name}:{secret}"
    encoded = base64.b64encode(plain.encode()).decode()
    padded = base64.b64encode(f"{name}:{secret}xx"[: len(plain) + 3 - (len(plain) + 2) % 3].encode()).decode()
    assert padded.endswith("=")
    wrong = {
        "no base64": b"Basic ???",
        "url-safe alphabet": b"Basic " + base64.urlsafe_b64encode(b"\xff\xfe\xff:x"),
        "white space inside": f"Basic {encoded[:8]} {encoded[8:]}".encode(),
        "two spaces": f"Basic  {encoded}".encode(),
        "trailing data": f"Basic {encoded}=".encode(),
        "not canonical": f"Basic {not_canonical(padded)}".encode(),
        "no colon": basic(name + secret),
        "no name": basic(f":{secret}"),
        "no secret": basic(f"{name}:"),
        "nothing": b"Basic ",
        "no space": b"Basic",
        "not UTF-8": basic(f"{name}:".encode() + b"\xff\xfe"),
        "a bad escape": basic(f"{name}:{secret}%zz"),
        "a cut escape": basic(f"{name}:{secret}%4"),
        "NUL": basic(f"{name}\x00:{secret}"),
        "NUL escaped": basic(f"{name}:{secret}%00"),
        "two lines": basic(f"{name}:{secret}\r\n"),
    }
    for case, header in wrong.items():
        reply = ask(doorward, path, header)
        assert (reply.status_code, reply.json()["error"]) == (401, "invalid_client"), case
        assert reply.headers["www-authenticate"] == f'Basic realm="{doorward.issuer}"', case
    assert ask(doorward, path, f"Basic {encoded}".encode()).status_code == 200


def test_t041_a_scheme_that_is_not_served_is_a_failed_client(doorward, path):
    for header in (b"Digest x", b"Negotiate x", b"x", b"DPoP x"):
        reply = ask(doorward, path, header)
        assert (reply.status_code, reply.json()["error"]) == (401, "invalid_client")


@pytest.mark.parametrize("name", SECRETS)
def test_t042_a_secret_in_the_url_is_refused_wherever_it_stands(doorward, client, path, name):
    right = basic(f"{client['client_id']}:{client['client_secret']}")
    for credentials in ((right,), ()):
        reply = ask(doorward, path, *credentials, query={name: "x"})
        assert (reply.status_code, reply.json()["reason"]) == (400, "secret_in_query")


def test_t042_the_right_secret_in_the_url_is_flagged(doorward, client, path):
    query = {"client_id": client["client_id"], "client_secret": client["client_secret"]}
    reply = ask(doorward, path, query=query)
    assert (reply.status_code, reply.json()["reason"]) == (400, "secret_in_query")
    flagged = doorward.v1("GET", f"/audit?entity={client['client_id']}&type=CredentialRefused").json()["items"]
    assert [entry["data"]["reason"] for entry in flagged] == ["secret_in_query"]
    assert flagged[0]["request_id"] == reply.json()["request_id"]


def test_t042_a_guess_in_the_url_flags_nobody(doorward, client, path):
    ask(doorward, path, query={"client_id": client["client_id"], "client_secret": "x"})
    assert doorward.v1("GET", f"/audit?entity={client['client_id']}&type=CredentialRefused").json()["items"] == []


def test_t042_the_url_never_authenticates(doorward, client, path):
    everything = {**GRANT, "client_id": client["client_id"], "client_secret": client["client_secret"]}
    reply = doorward.http.post(
        f"/oauth/{path}", params=everything, headers={"content-type": "application/x-www-form-urlencoded"}
    )
    assert reply.status_code == 400


def test_t043_a_confidential_client_must_show_its_secret(doorward, client, path):
    for form in ({"client_id": client["client_id"]}, {"client_id": client["client_id"], "client_secret": ""}, {}):
        reply = ask(doorward, path, **form)
        assert (reply.status_code, reply.json()["error"]) == (401, "invalid_client")


def test_t044_the_registered_method_is_enforced(doorward, path):
    registered = {method: doorward.a_client(token_endpoint_auth_method=method) for method in METHODS}
    for method, client in registered.items():
        by = {
            "client_secret_basic": ask(doorward, path, basic(f"{client['client_id']}:{client['client_secret']}")),
            "client_secret_post": ask(
                doorward, path, **{part: client[part] for part in ("client_id", "client_secret")}
            ),
        }
        assert by.pop(method).status_code == 200
        (other,) = by.values()
        assert (other.status_code, other.json()["error"]) == (401, "invalid_client")


METHODS = ("client_secret_basic", "client_secret_post")


def test_t045_unknown_client_and_wrong_secret_get_one_answer(doorward, client, path):
    forged = api_key.assemble("dw", "s", "live", client["client_secret"][9:21], "x" * 32)
    attempts = [
        (client["client_id"], "x"),
        (client["client_id"], forged),
        (client["client_id"], client["client_secret"][:-1]),
        (client["client_id"], doorward.a_client()["client_secret"]),
        ("client_unknown", "x"),
        ("client_unknown", client["client_secret"]),
        ("verifier_unknown", "x"),
        (doorward.a_verifier()["client_id"], "x"),
        ("ü", "x"),
    ]
    in_header = [ask(doorward, path, basic(f"{name}:{secret}")) for name, secret in attempts]
    in_body = [ask(doorward, path, client_id=name, client_secret=secret) for name, secret in attempts]
    for replies in (in_header, in_body):
        assert {reply.status_code for reply in replies} == {401}
        assert len({json.dumps(body_without_id(reply)) for reply in replies}) == 1
        assert len({reply.headers["www-authenticate"] for reply in replies}) == 1
    # The id tells its reason to administrators: it must be the same reason too.
    ids = [reply.json()["request_id"] for reply in (*in_header, *in_body)]
    assert {doorward.v1("GET", f"/requests/{id_}").json()["reason"] for id_ in ids} == {"client_unauthenticated"}


def test_t045_a_disabled_client_learns_why_only_with_its_secret(doorward, client, path):
    assert doorward.v1("PATCH", f"/clients/{client['client_id']}", {"state": "disabled"}).status_code == 200
    with_secret = ask(doorward, path, basic(f"{client['client_id']}:{client['client_secret']}"))
    without = ask(doorward, path, basic(f"{client['client_id']}:x"))
    stranger = ask(doorward, path, basic("client_unknown:x"))
    assert with_secret.json()["reason"] == "client_disabled"
    assert body_without_id(without) == body_without_id(stranger)


@pytest.mark.sqlite
def test_t048_the_secret_is_kept_as_a_mac_under_a_pepper_that_is_elsewhere(on_sqlite):
    client = on_sqlite.a_client()
    pepper = json.loads((on_sqlite.directory / "pepper").read_text())["1"]
    digest = hashlib.sha256(client["client_secret"].encode()).digest()
    mac = hmac.digest(base64.urlsafe_b64decode(pepper + "=" * (-len(pepper) % 4)), digest, "sha256")
    kept = stored(on_sqlite.directory)
    assert mac in kept
    assert digest not in kept
    assert client["client_secret"].encode() not in kept


def stored(directory: Path) -> bytes:
    # By another process: to close a file ends the locks that this one has on it, the server's among them.
    return subprocess.run(["cat", *sorted(directory.glob("doorward.db*"))], capture_output=True, check=True).stdout
