"""An empty directory, three processes, HTTPS: the first call with a key, the first with a token, and the last of each.

The commands are those of the README; whoever changes one changes the other.
"""

import json
import os
import re
import shlex
import ssl
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import pytest
from tests.deployment import command, free_port, running

ROOT = Path(__file__).parents[2]
API = "https://api.example.com"


@pytest.fixture(params=["sqlite", "postgresql"])
def data_dir(request, tmp_path):
    """An empty directory; the server's own setting names the database."""
    if request.param == "postgresql":
        (tmp_path / "doorward.toml").write_text(f"database = {json.dumps(request.getfixturevalue('postgresql_url'))}\n")
    return tmp_path / "data"


@pytest.fixture
def doorward(data_dir):
    """The command as it is typed in that directory; answers the object that --json printed."""

    def run(*words, stdin=None, code=0):
        done = subprocess.run(
            command("--data-dir", data_dir, *words),
            cwd=data_dir.parent, input=stdin, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stderr
        return json.loads(done.stdout) if "--json" in words else done.stdout

    return run


@pytest.fixture
def server(data_dir, doorward):
    port = free_port()
    with running(command("--data-dir", data_dir, "serve", "--port", port), "serves", cwd=data_dir.parent):
        yield f"https://localhost:{port}"


def variables(text):
    """What `-o env` printed, as a shell would read it."""
    return dict(line.split("=", 1) for line in shlex.split(text))


@pytest.fixture
def invoices(server, doorward, data_dir):
    """invoices-api behind Guard, over HTTPS with the certificate of this machine."""
    doorward(
        "apis", "create", API, "--name", "Invoices", "--scope", "invoices:read=Read your invoices",
        "--scope", "invoices:write=Create and change invoices", "--json",
    )  # fmt: skip
    doorward("accounts", "create", "acme", "--name", "Acme Inc", "--json")
    given = variables(doorward("verifiers", "create", "--api", API, "-o", "env"))
    assert set(given) == {"DOORWARD_ISSUER", "DOORWARD_VERIFIER_ID", "DOORWARD_VERIFIER_SECRET", "DOORWARD_CA_FILE"}
    port, certificate = free_port(), data_dir / "server.pem"
    arguments = [
        sys.executable, "-m", "uvicorn", "invoices_api:app", "--app-dir", ROOT / "examples/invoices-api",
        "--port", port, "--ssl-certfile", certificate, "--ssl-keyfile", certificate,
    ]  # fmt: skip
    with running([str(word) for word in arguments], "Uvicorn running", env={**os.environ, **given}):
        context = ssl.create_default_context(cafile=given["DOORWARD_CA_FILE"])
        with httpx2.Client(base_url=f"https://localhost:{port}", verify=context, trust_env=False) as client:
            yield client


def until_refused(call):
    """The reply that refuses. The promise is a second; the deadline is for slow machines."""
    deadline = time.monotonic() + 15
    while (reply := call()).status_code == 200:
        assert time.monotonic() < deadline, "it is still accepted"
    return reply


def test_the_first_call_with_a_key_and_the_last(doorward, invoices):
    made = doorward(
        "keys", "create", "--account", "acme", "--api", API, "--scope", "invoices:read", "--expires-in", "90d", "--json"
    )
    assert re.fullmatch(r"dw_live_[0-9A-Za-z]{50}", made["key"])
    assert made["key"].startswith(made["prefix"])

    def call(method="GET", **headers):
        return invoices.request(method, "/invoices", headers=headers)

    first = call(**{"X-API-Key": made["key"]})
    assert first.status_code == 200, first.text
    assert first.json()["account"] == "acme"
    assert call(Authorization=f"Bearer {made['key']}").status_code == 200
    assert doorward("keys", "verify", "-", "--json", stdin=made["key"])["active"] is True

    stranger = call()
    assert stranger.status_code == 401
    assert stranger.headers["www-authenticate"].startswith('Bearer realm="')
    assert "error=" not in stranger.headers["www-authenticate"].split(",")[0]
    refused = call("POST", **{"X-API-Key": made["key"]})
    assert refused.status_code == 403
    assert 'scope="invoices:write"' in refused.headers["www-authenticate"]

    doorward("keys", "revoke", made["id"])
    refused = until_refused(lambda: call(**{"X-API-Key": made["key"]}))
    assert (refused.status_code, refused.json()["error"]) == (401, "invalid_token")
    assert doorward("keys", "verify", "-", "--json", stdin=made["key"], code=1)["active"] is False
    told = doorward("explain", refused.json()["request_id"])
    assert refused.json()["reason"] in told


def test_the_first_call_with_a_token_and_the_last(doorward, invoices, server, data_dir):
    client = doorward(
        "clients", "create", "--account", "acme", "--name", "worker", "--grant-type", "client_credentials",
        "--api", API, "--scope", "invoices:read invoices:write", "--json",
    )  # fmt: skip
    environment = {
        **os.environ,
        "DOORWARD_ISSUER": server,
        "DOORWARD_CLIENT_ID": client["client_id"],
        "DOORWARD_CLIENT_SECRET": client["client_secret"],
        "DOORWARD_CA_FILE": str(data_dir / "ca.pem"),
    }
    worker = [sys.executable, str(ROOT / "examples/worker/worker.py"), str(invoices.base_url.join("/invoices"))]

    def work():
        return subprocess.run(worker, env=environment, capture_output=True, text=True, timeout=30, check=False)

    done = work()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith('200 {"account":"acme"')

    issued = httpx2.post(
        f"{server}/oauth/token",
        auth=(client["client_id"], client["client_secret"]),
        data={"grant_type": "client_credentials", "scope": "invoices:read"},
        verify=ssl.create_default_context(cafile=data_dir / "ca.pem"),
        trust_env=False,
    ).json()
    assert (issued["token_type"], issued["scope"]) == ("Bearer", "invoices:read")
    bearer = {"Authorization": f"Bearer {issued['access_token']}"}
    assert invoices.get("/invoices", headers=bearer).status_code == 200
    assert invoices.post("/invoices?amount=1", headers=bearer).status_code == 403

    doorward("revoke", "--token", "-", stdin=issued["access_token"])
    refused = until_refused(lambda: invoices.get("/invoices", headers=bearer))
    assert (refused.status_code, refused.json()["reason"]) == (401, "credential_revoked")
    assert work().returncode == 0, "the client itself was not revoked"

    doorward("accounts", "suspend", "acme")
    assert work().returncode == 1
    doorward("accounts", "resume", "acme")
    assert work().returncode == 0

    told = [entry["type"] for entry in doorward("audit", "list", "--json")["items"]]
    assert {"TokenRevoked", "AccountUpdated", "AccessTokenIssued"} <= set(told)
