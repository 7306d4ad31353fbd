"""Reports of GitHub (secret scanning partner programme) and of GitLab (token revocation API), over HTTP."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.deployment import Doorward, Json, Response, deployed

from doorward_verify import api_key as form

HERE = "https://github.com/acme/app/blob/main/.env"
GITLAB = "/leaks/gitlab/v1"


class Publisher:
    """As GitHub publishes its keys; `read` counts how often somebody looked."""

    def __init__(self) -> None:
        self.keys: dict[str, ec.EllipticCurvePrivateKey] = {}
        self.read, self.status = 0, 200
        publisher = self

        class Answering(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                publisher.read += 1
                body = publisher.document()
                self.send_response(publisher.status)
                self.send_header("content-type", "application/json; charset=utf-8")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
        self.url = f"http://127.0.0.1:{self.server.server_port}/meta/public_keys/secret_scanning"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def add(self, key_id: str) -> None:
        self.keys[key_id] = ec.generate_private_key(ec.SECP256R1())

    def document(self) -> bytes:
        listed = [{"key_identifier": key_id, "key": _pem(key), "is_current": True} for key_id, key in self.keys.items()]
        return json.dumps({"public_keys": listed}).encode()

    def sign(self, key_id: str, body: bytes) -> str:
        return base64.b64encode(self.keys[key_id].sign(body, ec.ECDSA(SHA256()))).decode()


def _pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


@pytest.fixture(scope="module")
def publisher() -> Iterator[Publisher]:
    made = Publisher()
    made.add("first")
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture(scope="module")
def enrolled(publisher: Publisher, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doorward]:
    with deployed(tmp_path_factory.mktemp("enrolled"), github_keys=publisher.url) as doorward:
        yield doorward


def github(doorward: Doorward, publisher: Publisher, reports: Any, key_id: str = "first", **headers: str) -> Response:
    body = reports if isinstance(reports, bytes) else json.dumps(reports).encode()
    fields = {"Github-Public-Key-Identifier": key_id, "Github-Public-Key-Signature": publisher.sign(key_id, body)}
    return doorward.http.post("/leaks/github", content=body, headers={**fields, **headers})


def found(secret: str, **members: Any) -> Json:
    return {"token": secret, "type": "dw_api_key", "url": HERE, "source": "commit", **members}


def is_good(doorward: Doorward, key: str) -> bool:
    return bool(doorward.v1("POST", "/keys/verify", {"key": key}).json()["active"])


def test_what_github_found_ends_and_github_hears_that_it_was_one_of_ours(
    enrolled: Doorward, publisher: Publisher
) -> None:
    key, client = enrolled.a_key(), enrolled.a_client()
    reply = github(
        enrolled, publisher, [found(key["key"]), found(client["client_secret"], type="x"), found("dw_live_x")]
    )
    assert reply.status_code == 200
    told = [(one["token_type"], one["label"]) for one in reply.json()]
    assert told == [("dw_api_key", "true_positive"), ("x", "true_positive"), ("dw_api_key", "false_positive")]
    assert reply.json()[0]["token_hash"] == hashlib.sha256(key["key"].encode()).hexdigest()
    assert key["key"] not in reply.text
    assert not is_good(enrolled, key["key"])
    leak = enrolled.v1("GET", f"/leaks/leak_{form.parse(key['key']).id}").json()
    assert (leak["origin"], leak["locations"]) == ("github", [HERE])


def test_github_may_report_the_same_again(enrolled: Doorward, publisher: Publisher) -> None:
    key = enrolled.a_key()
    replies = [github(enrolled, publisher, [found(key["key"]), found(key["key"], url="a fork")]) for _ in range(2)]
    assert [reply.status_code for reply in replies] == [200, 200]
    assert replies[0].json() == replies[1].json()


def test_a_report_that_github_did_not_sign_ends_nothing(enrolled: Doorward, publisher: Publisher) -> None:
    key = enrolled.a_key()["key"]
    body = json.dumps([found(key)]).encode()
    signature = publisher.sign("first", body)
    for content, key_id, shown in (
        (body + b"\n", "first", signature), (body, "unknown", signature), (body, "first", "AAAA"),
        (body, "first", publisher.sign("first", b"[]")),
    ):  # fmt: skip
        fields = {"Github-Public-Key-Identifier": key_id, "Github-Public-Key-Signature": shown}
        reply = enrolled.http.post("/leaks/github", content=content, headers=fields)
        assert (reply.status_code, reply.json()["reason"]) == (400, "report_unsigned")
    assert enrolled.http.post("/leaks/github", content=body).status_code == 404
    assert is_good(enrolled, key)


def test_a_signed_report_that_cannot_be_read_is_refused(enrolled: Doorward, publisher: Publisher) -> None:
    for body in (b"{}", b"[1]", b"x", b""):
        assert github(enrolled, publisher, body).status_code == 400


def test_a_deployment_that_is_not_enrolled_takes_nothing_in_githubs_name(
    doorward: Doorward, publisher: Publisher
) -> None:
    assert github(doorward, publisher, [found(doorward.a_key()["key"])]).status_code == 404


def test_a_thousand_reports_in_one_call_end_a_thousand_keys(enrolled: Doorward, publisher: Publisher) -> None:
    account, api = enrolled.an_account()["id"], enrolled.an_api()["identifier"]
    keys = [enrolled.a_key(account=account, api=api)["key"] for _ in range(1000)]
    reply = github(enrolled, publisher, [found(key, url=f"{HERE}#{number}") for number, key in enumerate(keys)])
    assert {one["label"] for one in reply.json()} == {"true_positive"}
    for start in range(0, len(keys), 100):
        asked = [{"key": key} for key in keys[start : start + 100]]
        results = enrolled.v1("POST", "/keys/verify/batch", {"keys": asked}).json()["results"]
        assert {(one["active"], one["reason"]) for one in results} == {(False, "credential_revoked")}


# GitLab


def gitlab(doorward: Doorward, token: str, body: Any, path: str = "/revoke_tokens") -> Response:
    return doorward.http.post(GITLAB + path, json=body, headers={"authorization": token} if token else {})


def test_gitlab_asks_which_rules_are_ours(doorward: Doorward) -> None:
    token = doorward.an_admin_key("leaks:write")
    reply = doorward.http.get(f"{GITLAB}/revocable_token_types", headers={"authorization": token})
    assert reply.status_code == 200
    assert reply.json() == {"types": ["gitleaks_rule_id_doorward_api_key", "gitleaks_rule_id_doorward_secret"]}


@pytest.mark.parametrize("scheme", ["", "Bearer "])
def test_what_gitlab_found_ends(doorward: Doorward, scheme: str) -> None:
    key, token = doorward.a_key()["key"], doorward.an_admin_key("leaks:write")
    body = [{"type": "gitleaks_rule_id_doorward_api_key", "token": key, "location": "https://gitlab.example.com/a"}]
    reply = gitlab(doorward, scheme + token, body)
    assert (reply.status_code, reply.text) == (204, "")
    assert not is_good(doorward, key)
    assert gitlab(doorward, token, body).status_code == 204
    leak = doorward.v1("GET", f"/leaks/leak_{form.parse(key).id}").json()
    assert (leak["origin"], leak["locations"]) == ("gitlab", ["https://gitlab.example.com/a"])


def test_without_the_shared_token_gitlab_ends_nothing(doorward: Doorward) -> None:
    key = doorward.a_key()["key"]
    body = [{"type": "x", "token": key, "location": ""}]
    assert gitlab(doorward, "", body).status_code == 401
    assert gitlab(doorward, "x" * 40, body).status_code == 401
    assert gitlab(doorward, doorward.an_admin_key("leaks:read"), body).status_code == 403
    assert doorward.http.get(f"{GITLAB}/revocable_token_types").status_code == 401
    assert is_good(doorward, key)


def test_gitlab_is_told_what_is_wrong_with_its_call(doorward: Doorward) -> None:
    token = doorward.an_admin_key("leaks:write")
    assert gitlab(doorward, token, {}).status_code == 400
    assert gitlab(doorward, token, [{"type": "x"}]).status_code == 400
    assert doorward.http.get(f"{GITLAB}/revoke_tokens", headers={"authorization": token}).status_code == 405
