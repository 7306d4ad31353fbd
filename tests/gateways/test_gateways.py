"""Each gateway in front of a service that verifies: who passes, who does not, and what both sides get to see."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.deployment import running
from tests.gateways import proxies
from tests.gateways.conftest import API, Site, Standing
from tests.gateways.relay import ANSWERS
from tests.verify.waiting import until

from doorward.cli.gateway_attacks import H2C, WEBSOCKET, Patient, bearer, request
from doorward.cli.gateway_wire import Door, Echo, send
from doorward_verify import api_key

# Traefik waits for half a minute, and has no setting for it: a yes that comes late is a yes to it.
PARTS = [(name, part) for part in ANSWERS for name in proxies.REAL if (name, part) != ("traefik", "late")]
ROOT = Path(__file__).parents[2]


@pytest.fixture
def backend(gateway: Standing) -> Iterator[None]:
    """Behind the gateway, as long as the test; no other uses its port meanwhile."""
    site, port = gateway.site, gateway.plan.upstream
    with _serving(site, port):
        yield


def _serving(site: Site, port: int) -> Any:
    verifier = site.doorward.a_verifier(api=API)
    variables = {
        "DOORWARD_ISSUER": site.doorward.issuer, "DOORWARD_CA_FILE": str(site.doorward.directory / "ca.pem"),
        "DOORWARD_VERIFIER_ID": verifier["client_id"], "DOORWARD_VERIFIER_SECRET": verifier["client_secret"],
        "PYTHONPATH": str(ROOT),
    }  # fmt: skip
    argv = [sys.executable, "-m", "uvicorn", "tests.gateways.backend:app", "--port", str(port), "--log-level", "info"]
    return running(argv, "Uvicorn running", env={**os.environ, **variables}, cwd=ROOT)


class Curl:
    """curl, as people check a gateway by hand."""

    def __init__(self, gateway: Standing) -> None:
        self._plan, self._site = gateway.plan, gateway.site

    def __call__(self, path: str, *words: str, key: str = "", url: str = "") -> tuple[int, str, str]:
        """Status, header lines and body."""
        argv = [
            "curl",
            "--silent",
            "--show-error",
            "--include",
            "--path-as-is",
            "--max-time",
            "20",
            "--cacert",
            str(self._plan.authority),
        ]
        credential = ["--header", f"Authorization: Bearer {key}"] if key else []
        argv += [*credential, *words, f"{url or self._plan.url}{path}"]
        ran = subprocess.run(argv, capture_output=True, text=True, check=True)
        head, _, body = ran.stdout.replace("\r\n", "\n").partition("\n\n")
        return int(head.split()[1]), head.lower(), body


@pytest.fixture
def curl(gateway: Standing) -> Curl:
    return Curl(gateway)


@pytest.mark.usefixtures("backend")
def test_the_service_gets_a_verified_caller_and_no_credential(gateway: Standing, curl: Curl) -> None:
    site = gateway.site
    for sent in ([f"Authorization: Bearer {site.key}"], [f"X-API-Key: {site.key}", "X-Forwarded-Uri: /public"]):
        words = [
            word
            for line in (*sent, "X-Auth-Subject: admin", "Connection: close, X-Auth-Assertion")
            for word in ("-H", line)
        ]
        status, _, body = curl("/invoices?page=2", "--http1.1", *words)
        assert status == 200, body
        got = json.loads(body)
        assert (got["caller"]["credential"], got["target"]) == ("api_key", "/invoices")
        headers = dict(got["headers"])
        assert headers["x-auth-account"] == got["caller"]["account"]
        assert headers["x-auth-key-id"] == got["caller"]["key_id"]
        assert len(got["headers"]) == len(headers)
        assert site.key not in body
        assert not {"authorization", "x-api-key", "x-check-secret"} & set(headers)
        assert "admin" not in headers.get("x-auth-subject", "")

    status, _, body = curl("/invoices", "--data", "x" * 60_000, key=site.writer)
    assert status == 200, body
    assert json.loads(body)["size"] == 60_000

    status, _, body = curl("/public", "--http1.1", "-H", "X-Auth-Subject: admin", "-H", "X_Auth_Key_Id: k")
    got = json.loads(body) if status == 200 else {"caller": None, "headers": []}
    assert got["caller"] is None
    assert not any(value for name, value in got["headers"] if name.replace("_", "-").startswith("x-auth-"))
    assert curl("/public")[0] == 200

    key = site.a_key()
    assert curl("/invoices", key=key["key"])[0] == 200
    site.doorward.v1("POST", f"/keys/{key['id']}/revoke")
    assert curl("/invoices", key=key["key"])[0] == 401


def test_what_is_refused_says_why(gateway: Standing, curl: Curl) -> None:
    site = gateway.site
    status, head, body = curl("/invoices")
    assert (status, json.loads(body)["reason"]) == (401, "credential_missing")
    assert 'www-authenticate: bearer realm="https://api.example.com"' in head
    assert "x-request-id: " in head
    assert curl("/invoices", key=site.ended)[0] == 401
    status, head, body = curl("/invoices", "--data", "x", key=site.key)
    assert (status, json.loads(body)["reason"]) == (403, "insufficient_scope")
    assert 'scope="invoices:write"' in head
    status, _, body = curl("/elsewhere", key=site.key)
    assert (status, json.loads(body)["reason"]) == (403, "route_unknown")
    assert curl("/invoices;page=2", key=site.key)[0] == 400
    assert curl("/invoices", "-H", f"X-API-Key: {site.key}", key=site.key)[0] == 400


def test_a_body_that_waits_with_its_request_displaces_no_identity_field(gateway: Standing, curl: Curl) -> None:
    """It fills what buffers there are, and the fields have to be put in front of it."""
    site = gateway.site
    with Echo("127.0.0.1", gateway.plan.upstream) as echo, site.relay.pausing(0.2):
        status = curl("/invoices", "--data", "x" * 60_000, key=site.writer)[0]
        (seen,) = echo.taken()
    assert status == 200
    told = {name: seen.values(name) for name in ("x-auth-account", "x-auth-scope", "x-auth-key-id", "x-auth-assertion")}
    assert {name: len(values) for name, values in told.items()} == dict.fromkeys(told, 1)


def test_a_route_is_used_as_often_as_it_says_and_told_when_to_come_again(gateway: Standing, curl: Curl) -> None:
    key = gateway.site.a_key()["key"]
    with Echo("127.0.0.1", gateway.plan.upstream):
        assert [curl("/few", key=key)[0] for _ in range(2)] == [200, 200]
        status, head, _ = curl("/few", key=key)
    assert status == 429
    assert "\nretry-after: " in head


def test_what_used_a_key_is_known_behind_each_of_them(site: Site, standing: dict[str, Standing]) -> None:
    """All at once, since usage is written down every ten seconds."""
    keys = {name: site.a_key() for name in proxies.REAL}
    for name, made in keys.items():
        with Echo("127.0.0.1", standing[name].plan.upstream):
            Curl(standing[name])("/few", "--user-agent", f"{name}-client/1", key=made["key"])
    until(lambda: all(site.used_by(made["id"]) == f"{name}-client/1" for name, made in keys.items()))


def test_plain_http_gets_one_answer_whatever_it_carries(gateway: Standing, curl: Curl) -> None:
    url, site = gateway.plan.plaintext_url, gateway.site
    sent = (
        curl("/invoices", url=url, key=site.ended),
        curl("/../invoices", "--data", "x" * 100_000, url=url),
        curl("/check/plaintext", "-X", "BREW", url=url),
        curl("/", "-H", "X-Forwarded-Proto: https", "-H", "X-Check-Secret: x", url=url),
    )
    assert {(status, body) for status, _, body in sent} == {(403, sent[0][2])}
    assert not any("location:" in head or "x-auth-" in head for _, head, _ in sent)


def test_a_key_that_came_in_the_clear_has_ended(gateway: Standing, curl: Curl) -> None:
    site, source = gateway.site, f"127.0.9.{proxies.REAL.index(gateway.name) + 1}"
    in_the_clear: dict[str, Callable[[str], tuple[str, list[str]]]] = {
        "a header": lambda key: ("/invoices", ["-H", f"Authorization: Bearer {key}"]),
        "a twin": lambda key: ("/invoices", ["-H", f"X_API_Key: {key}"]),
        "the query": lambda key: (f"/?page=1&api_key={key}", ["--data", "x" * 100_000]),
        "the path": lambda key: (f"/hooks/{key}", ["-X", "DELETE"]),
    }
    with Echo("127.0.0.1", gateway.plan.upstream):
        for where, shown in in_the_clear.items():
            key = site.a_key()
            assert curl("/invoices", key=key["key"])[0] == 200
            path, words = shown(key["key"])
            status, _, body = curl(path, *words, "--interface", source, url=gateway.plan.plaintext_url)
            assert (status, key["key"] in body) == (403, False), where
            until(lambda key=key: curl("/invoices", key=key["key"])[0] == 401)
            leak = site.doorward.v1("GET", f"/leaks/leak_{api_key.parse(key['key']).id}").json()
            assert (leak["origin"], leak["outcome"]) == ("plaintext", "revoked")
            assert leak["locations"] == [f"plain http from {source}"]


def test_what_a_client_says_of_its_way_ends_no_key(gateway: Standing, curl: Curl) -> None:
    """Over TLS it may say that it came in the clear, in all the words that there are."""
    key = gateway.site.a_key()["key"]
    lies = ["X-Forwarded-Proto: http", "X_Forwarded_Proto: http", "Forwarded: proto=http", "X-Original-URL: http://a/"]
    with Echo("127.0.0.1", gateway.plan.upstream):
        for path in ("/invoices", "/check/plaintext", "/../plaintext", "/invoices/../../check/plaintext"):
            for lie in lies:
                curl(path, "--http1.1", "-H", lie, key=key)
        assert curl("/invoices", key=key)[0] == 200


def test_plain_http_gets_the_same_answer_where_doorward_does_not_answer_as_itself(
    gateway: Standing, curl: Curl
) -> None:  # fmt: skip
    url = gateway.plan.plaintext_url
    answers = [curl("/invoices", url=url, key=gateway.site.ended)]
    for part in ANSWERS:
        with gateway.site.relay.playing(part):
            answers.append(curl("/invoices", url=url, key=gateway.site.ended))
    assert {(status, body) for status, _, body in answers} == {(403, answers[0][2])}
    assert not any("x-auth-" in head for _, head, _ in answers)


@pytest.mark.parametrize(("gateway", "part"), PARTS, indirect=["gateway"])
def test_nobody_passes_where_doorward_does_not_answer_as_itself(gateway: Standing, curl: Curl, part: str) -> None:
    with Echo("127.0.0.1", gateway.plan.upstream) as echo:
        with gateway.site.relay.playing(part):
            for path in ("/invoices",) if part == "late" else ("/invoices", "/public"):
                status = curl(path, key=gateway.site.key)[0]
                # Some hand on what they were told, such as a redirect; that opens nothing either.
                assert not 200 <= status < 300
        assert echo.taken() == []
        assert curl("/invoices", key=gateway.site.key)[0] == 200


def test_a_websocket_passes_with_its_assertion_and_no_other_upgrade_does(gateway: Standing) -> None:
    plan, patient = gateway.plan, Patient("localhost", "/invoices", gateway.site.key)
    door = Door("localhost", plan.listen, proxies.trust(plan))
    with Echo("127.0.0.1", plan.upstream) as echo:
        reply = send(door, request(patient, "GET", None, bearer(patient.key), *WEBSOCKET))
        assert reply.status == 101
        (seen,) = echo.taken()
        assert len(seen.values("x-auth-assertion")) == 1
        send(door, request(patient, "GET", None, bearer(patient.key), *H2C))
        assert not any(seen.values("upgrade") for seen in echo.taken())


def test_what_came_is_logged_without_its_secrets(gateway: Standing, curl: Curl) -> None:
    """After all that was done before, and with a secret in a URL."""
    site = gateway.site
    curl(f"/invoices?api_key={site.writer}", key=site.key)
    curl("/invoices?page=a-query", url=gateway.plan.plaintext_url, key=site.ended)
    with site.relay.playing("down"):
        curl(f"/invoices?api_key={site.writer}", key=site.key)
    files = [file.read_text(errors="replace") for file in gateway.plan.directory.glob("*.log")]
    logged = "".join((gateway.program.output, *files))
    assert "GET" in logged
    for secret in (site.key, site.writer, site.ended, "a-query"):
        assert secret not in logged
