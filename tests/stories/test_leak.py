"""A key is committed to a git repository by mistake: found, burnt, refused everywhere, and its owner has mail."""

from __future__ import annotations

import base64
import email
import email.policy
import hmac
import json
import os
import secrets
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from tests.deployment import Doorward, command, free_port, served
from tests.receiver import Posted, Receiver, a_receiver

from doorward_verify import InvalidToken, Verifier

DEADLINE = 30.0
WEBHOOK_SECRET = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


class Postman:
    """A mail server's part: takes what it is given."""

    def __init__(self) -> None:
        self.letters: list[Any] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802  aiosmtpd's own name
        self.letters.append(email.message_from_bytes(envelope.content, policy=email.policy.default))
        return "250 taken"

    def to(self, address: str) -> list[Any]:
        return [letter for letter in self.letters if letter["to"] == address]


@pytest.fixture(scope="module")
def postman() -> Iterator[tuple[Postman, int]]:
    taking = Postman()
    server = Controller(taking, hostname="127.0.0.1", port=free_port())
    server.start()
    yield taking, server.port
    server.stop()


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    """Where the webhook leads."""
    with a_receiver(tmp_path_factory.mktemp("receiver")) as taking:
        yield taking


@pytest.fixture(scope="module")
def doorward(
    postman: tuple[Postman, int], receiver: Receiver, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Doorward]:
    """Two workers, so that the one that is told is not the one that is asked."""
    variables = {
        "DOORWARD__SMTP_URL": f"smtp://127.0.0.1:{postman[1]}",
        "DOORWARD__WEBHOOK_URL": receiver.url("/hook"),
        "DOORWARD__WEBHOOK_SECRET": WEBHOOK_SECRET,
        "DOORWARD__OUTBOUND_CA_FILE": str(receiver.ca_file),
    }
    with served(tmp_path_factory.mktemp("leaks"), "--workers", 2, variables=variables) as running:
        yield running


def until(condition: Callable[[], bool], what: str) -> float:
    """How long it took."""
    began, pause = time.monotonic(), threading.Event()
    while not condition():
        assert time.monotonic() - began < DEADLINE, what
        pause.wait(0.01)
    return time.monotonic() - began


def is_refused(verifier: Verifier, key: str) -> bool:
    try:
        verifier.check(key)
    except InvalidToken:
        return True
    return False


def committed(folder: Path, key: str) -> None:
    """Somebody notices, and takes it out again: in the history it stays."""
    who = ["git", "-C", str(folder), "-c", "user.name=Ada", "-c", "user.email=ada@example.com"]
    subprocess.run([*who, "init", "-q"], check=True)
    for text, message in ((f"debug = true\nkey = '{key}'\n", "Add settings"), ("debug = true\n", "Tidy up")):
        (folder / "settings.py").write_text(text)
        subprocess.run([*who, "add", "-A"], check=True)
        subprocess.run([*who, "commit", "-qm", message], check=True)


@pytest.mark.slow
def test_a_key_in_a_repository_is_found_burnt_and_refused_and_its_owner_has_mail(
    doorward: Doorward, postman: tuple[Postman, int], tmp_path: Path
) -> None:
    api, account = doorward.an_api()["identifier"], doorward.an_account()["id"]
    owner = doorward.create("/users", username="grace", email="grace@example.com", email_verified=True)
    doorward.create("/memberships", user=owner["id"], account=account, role="owner")
    key = doorward.a_key(api=api, account=account)
    given, ca_file = doorward.a_verifier(api=api), str(doorward.directory / "ca.pem")
    verifier = Verifier(
        doorward.issuer, audience=api, verifier_id=given["client_id"], verifier_secret=given["client_secret"],
        ca_file=ca_file,
    )  # fmt: skip
    committed(tmp_path, key["key"])
    try:
        assert verifier.check(key["key"]).key_id == key["id"]
        # Whoever found it needs no admin key: he has what he wants to end.
        mine = {"DOORWARD_URL": doorward.issuer, "DOORWARD_CA_FILE": ca_file}
        environment = {name: value for name, value in os.environ.items() if not name.startswith("DOORWARD")} | mine
        argv = command("leaks", "scan", tmp_path, "--git", "--revoke")
        done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stderr.splitlines()[-1].startswith("1 found")) == (1, True), done.stderr
        assert f"{tmp_path}:settings.py@" in done.stdout
        assert key["key"] not in done.stdout + done.stderr

        until(lambda: is_refused(verifier, key["key"]), "a connected verifier still accepts it")
        for _ in range(8):
            checked = doorward.v1("POST", "/keys/verify", {"key": key["key"]}).json()
            assert (checked["active"], checked["reason"]) == (False, "credential_revoked")
    finally:
        verifier.close()

    until(lambda: bool(postman[0].to("grace@example.com")), "the owner has no mail")
    (letter,) = postman[0].to("grace@example.com")
    assert "leaked api key was revoked" in letter["subject"]
    text = letter.get_content()
    assert f"{tmp_path}:settings.py@" in text.replace("\n", "")
    assert key["id"] in text
    assert key["key"][-38:] not in text


def told_of(receiver: Receiver, id_: str) -> list[Posted]:
    """What came about a key, whose signature the secret's holder can check by the specification alone."""
    found = [one for one in receiver.at("/hook") if json.loads(one.body)["data"]["id"] == id_]
    for one in found:
        signed = f"{one.headers['webhook-id']}.{one.headers['webhook-timestamp']}.{one.body}"
        key = base64.b64decode(WEBHOOK_SECRET.removeprefix("whsec_"))
        mark = base64.b64encode(hmac.digest(key, signed.encode(), "sha256")).decode()
        assert one.headers["webhook-signature"] == f"v1,{mark}"
        assert one.content_type == "application/json"
    return found


@pytest.mark.slow
def test_a_webhook_hears_of_a_leak_again_until_it_took_it_and_never_of_the_secret(
    doorward: Doorward, receiver: Receiver
) -> None:
    key, receiver.status = doorward.a_key(), 503
    body = {"token": key["key"], "location": "https://git.example.com/a"}
    assert doorward.http.post("/leaks/burn", json=body).status_code == 202
    until(lambda: bool(told_of(receiver, key["id"])), "the webhook heard nothing")
    receiver.status = 204
    until(lambda: len(told_of(receiver, key["id"])) == 2, "it did not hear again of what it had not taken")
    first, second = told_of(receiver, key["id"])
    assert (first.headers["webhook-id"], first.body) == (second.headers["webhook-id"], second.body)
    message = json.loads(second.body)
    assert (message["type"], message["data"]["prefix"]) == ("api_key.leaked", key["prefix"])
    assert (message["data"]["outcome"], message["data"]["locations"]) == ("revoked", ["https://git.example.com/a"])
    assert key["key"][-38:] not in "".join(one.body for one in receiver.posted)


@pytest.mark.slow
def test_who_tries_a_decoy_is_refused_like_anybody_and_its_owner_has_mail(
    doorward: Doorward, postman: tuple[Postman, int], receiver: Receiver
) -> None:
    api, account = doorward.an_api()["identifier"], doorward.an_account()["id"]
    owner = doorward.create("/users", username="heidi", email="heidi@example.com", email_verified=True)
    doorward.create("/memberships", user=owner["id"], account=account, role="owner")
    decoy = doorward.a_key(api=api, account=account, name="on the build server", decoy=True)
    assert decoy["state"] == "decoy"
    given = doorward.a_verifier(api=api)
    assert doorward.introspect(given, decoy["key"]) == {"active": False}
    until(lambda: bool(postman[0].to("heidi@example.com")), "the owner has no mail")
    text = postman[0].to("heidi@example.com")[0].get_content()
    assert f"{decoy['id']} (on the build server)" in text
    assert given["client_id"] in text
    tried = doorward.v1("GET", f"/audit?type=DecoyTried&entity={decoy['id']}").json()["items"]
    assert [entry["actor"] for entry in tried] == [given["client_id"]]
    until(lambda: bool(told_of(receiver, decoy["id"])), "the webhook heard nothing")
    message = json.loads(told_of(receiver, decoy["id"])[0].body)
    assert (message["type"], message["data"]["tried_by"]) == ("decoy.tried", given["client_id"])
    # A second try is told of in the journal, and not by another letter.
    doorward.introspect(given, decoy["key"])
    assert len(postman[0].to("heidi@example.com")) == 1
    assert doorward.v1("GET", f"/keys/{decoy['id']}").json()["state"] == "decoy"
    assert "was tried" in (doorward.program.output if doorward.program else "")
