"""The command line against a running server: the same commands, over HTTPS with an admin key."""

import json
import os
import shlex
import signal
import socket
import ssl
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest
from tests.browsing import a_user, consent_page, sent_back, signed_in
from tests.deployment import Doorward

pytestmark = pytest.mark.slow

DOORWARD = [str(Path(sys.executable).with_name("doorward"))]
GRACE = 60


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """An empty directory with a server on `doorward-data`, and the environment that an admin key makes."""
    directory = tmp_path_factory.mktemp("served")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DOORWARD")}
    # A file, so that nothing waits for a reader of the log; a pipe to know when it listens.
    with subprocess.Popen(
        [*DOORWARD, "serve", "--port", str(port)], cwd=directory, env=environment, stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            assert server.stdout is not None
            assert any("Stop" in line for line in server.stdout)
            yield directory, environment
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(GRACE)


@pytest.fixture(scope="module")
def remote(place):
    """Runs a command elsewhere, where only the variables of `admin-keys create -o env` are known."""
    directory, environment = place
    made = subprocess.run(
        [*DOORWARD, "admin-keys", "create", "laptop", "-o", "env"],
        cwd=directory, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    variables = dict(shlex.split(line)[0].split("=", 1) for line in made.stdout.splitlines())
    assert set(variables) == {"DOORWARD_URL", "DOORWARD_ADMIN_KEY", "DOORWARD_CA_FILE"}

    def remote(*words, stdin="", **changed):
        return subprocess.run(
            [*DOORWARD, *words], cwd="/", env=environment | variables | changed, input=stdin,
            capture_output=True, text=True, timeout=GRACE,
        )  # fmt: skip

    remote.variables = variables
    return remote


@pytest.fixture(scope="module")
def made(remote):
    """What init makes for own services, over the network."""
    ran = remote("init", "--for", "servers", "--account", "acme", "--yes", "--json")
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_what_was_made_over_the_network_is_seen_on_the_data_directory(place, made):
    directory, environment = place
    seen = subprocess.run(
        [*DOORWARD, "clients", "show", made["client"]["client_id"], "--json"],
        cwd=directory, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    expected = {name: value for name, value in made["client"].items() if name != "client_secret"}
    assert json.loads(seen.stdout) == expected


def test_an_api_is_shown_by_its_uri(remote, made):
    ran = remote("apis", "show", made["api"]["identifier"], "--json")
    assert json.loads(ran.stdout) == made["api"]


def test_the_environment_of_a_client_names_the_issuer(remote, made):
    ran = remote(
        "clients",
        "create",
        *["--account", "acme", "--name", "w", "--api", "api.example.com", "--scope", "read", "-o", "env"],
    )
    assert f"DOORWARD_ISSUER={remote.variables['DOORWARD_URL']}\n" in ran.stdout
    assert f"DOORWARD_CA_FILE={remote.variables['DOORWARD_CA_FILE']}\n" in ran.stdout


@pytest.mark.parametrize("caller", ["apps", "own-app"])
def test_the_printed_address_signs_in_and_the_printed_call_redeems_the_code(place, remote, caller):
    directory, environment = place
    ran = remote("init", "--for", caller, "--api", f"https://{caller}.example.com", "--yes", "--json")
    assert ran.returncode == 0, ran.stderr
    made, variables = json.loads(ran.stdout), remote.variables
    trust = ssl.create_default_context(cafile=variables["DOORWARD_CA_FILE"])
    with httpx2.Client(base_url=variables["DOORWARD_URL"], verify=trust, trust_env=False, timeout=GRACE) as http:
        doorward = Doorward(variables["DOORWARD_URL"], directory, http, variables["DOORWARD_ADMIN_KEY"])
        browser = signed_in(doorward, a_user(doorward))
        reply = browser.get(made["call"])
        if caller == "apps":
            reply = browser.submit(consent_page(browser, reply), answer="allow")
        code = sent_back(reply, made["client"]["redirect_uris"][0])["code"]
    fetched = subprocess.run(
        ["sh", "-c", made["redeem"].replace("curl ", "curl -s ").replace("CODE", code, 1)],
        cwd=directory, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert {"access_token", "refresh_token", "id_token"} <= json.loads(fetched.stdout).keys()


def test_the_printed_call_fetches_a_token_that_inspect_finds_good_and_revoke_ends(place, remote, made):
    directory, environment = place
    fetched = subprocess.run(
        ["sh", "-c", made["call"].replace("curl ", "curl -s ")],
        cwd=directory, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    token = json.loads(fetched.stdout)["access_token"]
    inspected = subprocess.run(
        [*DOORWARD, "inspect", "-", "--json"],
        cwd=directory, env=environment, input=token, capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = json.loads(inspected.stdout)
    assert (found["kind"], found["signature"]) == ("JWT", "good")
    assert found["verdict"].startswith("accepts it")
    changed = token[:-5] + ("A" if token[-5] != "A" else "B") + token[-4:]
    inspected = subprocess.run(
        [*DOORWARD, "inspect", "-", "--json"],
        cwd=directory, env=environment, input=changed, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads(inspected.stdout)["signature"] == "bad"
    ended = [json.loads(remote("revoke", "--token", "-", "--json", stdin=token).stdout) for _ in range(2)]
    assert ended == [
        {"kind": "token", "id": found["claims"]["jti"], "changed": True},
        {"kind": "token", "id": found["claims"]["jti"], "changed": False},
    ]


def test_a_refusal_of_the_server_is_explained_with_its_private_detail(remote, made):
    variables = remote.variables
    with httpx2.Client(verify=ssl.create_default_context(cafile=variables["DOORWARD_CA_FILE"])) as http:
        form = {"grant_type": "client_credentials", "client_id": made["client"]["client_id"], "client_secret": "wrong"}
        refused = http.post(f"{variables['DOORWARD_URL']}/oauth/token", data=form).json()
    ran = remote("explain", refused["request_id"], "--json")
    told = json.loads(ran.stdout)
    assert (told["reason"], told["origin"], ran.stderr) == ("client_unauthenticated", "server", "")


def test_an_admin_key_that_ended_is_exit_code_4(remote):
    key = json.loads(remote("admin-keys", "create", "short", "--json").stdout)
    assert remote("accounts", "list", DOORWARD_ADMIN_KEY=key["key"]).returncode == 0
    assert remote("admin-keys", "revoke", key["id"]).returncode == 0
    ran = remote("accounts", "list", DOORWARD_ADMIN_KEY=key["key"])
    assert ran.returncode == 4
    assert key["key"] not in ran.stderr


def test_an_admin_key_without_the_scope_is_refused_but_known(remote):
    key = json.loads(remote("admin-keys", "create", "narrow", "--scope", "keys:read", "--json").stdout)
    assert remote("keys", "list", DOORWARD_ADMIN_KEY=key["key"]).returncode == 0
    assert remote("accounts", "list", DOORWARD_ADMIN_KEY=key["key"]).returncode == 1


def test_without_the_ca_nothing_is_sent(remote):
    ran = remote("accounts", "list", DOORWARD_CA_FILE="")
    assert ran.returncode == 1
    assert "DOORWARD_CA_FILE" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_server_that_is_not_there_is_told_in_a_line(remote):
    ran = remote("accounts", "list", DOORWARD_URL="https://localhost:1")
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr.startswith("doorward: https://localhost:1 cannot be reached: ")


def test_ctrl_c_ends_a_tail_quietly(remote, place):
    _, environment = place
    command = [*DOORWARD, "audit", "tail", "--json"]
    with subprocess.Popen(
        command, env=environment | remote.variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as tail:
        assert tail.stdout is not None
        assert json.loads(tail.stdout.readline())["seq"] >= 1
        tail.send_signal(signal.SIGINT)
        _, err = tail.communicate(timeout=GRACE)
    assert (tail.returncode, err) == (0, "")


def test_a_key_ends_itself_where_no_admin_key_is(remote):
    remote("apis", "create", "https://own.example.com", "--name", "Own", "--scope", "read=Read")
    remote("accounts", "create", "own")
    made = json.loads(remote("keys", "create", "--account", "own", "--api", "Own", "--scope", "read", "--json").stdout)
    ran = remote("revoke", "--token", "-", "--json", stdin=made["key"], DOORWARD_ADMIN_KEY="")
    assert (ran.returncode, json.loads(ran.stdout)["id"]) == (0, made["id"]), ran.stderr
    again = remote("revoke", "--token", "-", stdin=made["key"], DOORWARD_ADMIN_KEY="")
    assert (again.returncode, "unknown or ended" in again.stderr) == (4, True)
    assert made["key"] not in again.stdout + again.stderr
