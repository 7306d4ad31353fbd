"""Three nodes over one PostgreSQL: nobody leads, scheduled work is done once, and whoever dies in it is replaced."""

from __future__ import annotations

import base64
import contextlib
import os
import secrets
import signal
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx2
import pytest
from aiosmtpd.controller import Controller
from tests.deployment import Doorward, auth_of, command, free_port, running
from tests.faults.test_clock import FakedClock
from tests.receiver import Receiver, a_receiver

NODES, KEYS = 3, 12
DEADLINE = 90.0
HOOK = "/hook"
NEWCOMER = "newcomer"


class Postman:
    """A mail server's part: takes what it is given."""

    def __init__(self) -> None:
        self.letters: Counter[str] = Counter()

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802  aiosmtpd's own name
        self.letters[envelope.rcpt_tos[0]] += 1
        return "250 taken"


@pytest.fixture(scope="module")
def postman() -> Iterator[tuple[Postman, int]]:
    taking = Postman()
    server = Controller(taking, hostname="127.0.0.1", port=free_port())
    server.start()
    yield taking, server.port
    server.stop()


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    """Where the webhook leads; its authority signed the nodes' certificate too, as one that clients trust."""
    with a_receiver(tmp_path_factory.mktemp("receiver")) as taking:
        yield taking


class Nodes:
    """Starts nodes of one deployment: the first one makes the secrets, which all have."""

    def __init__(self, directory: Path, database: str, receiver: Receiver, mail_port: int) -> None:
        self._directory, self._database, self._receiver = directory, database, receiver
        self._issuer = ""
        self._admin_key = ""
        self._secret = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
        self._mail_port = mail_port

    def _variables(self, name: str) -> dict[str, str]:
        first = self._directory / "node0" / "data"
        shared = {"MASTER_KEY_FILE": str(first / "master.key"), "PEPPER_FILE": str(first / "pepper")}
        given = {
            "NODE_NAME": name, "DATABASE": self._database, "WEBHOOK_URL": self._receiver.url(HOOK),
            "WEBHOOK_SECRET": self._secret, "SMTP_URL": f"smtp://127.0.0.1:{self._mail_port}",
            "OUTBOUND_CA_FILE": str(self._receiver.ca_file), "OUTBOUND_NETWORKS": "127.0.0.0/8,::1/128",
            "TLS_CERT": str(self._receiver.chain), "TLS_KEY": str(self._receiver.chain),
            **(shared if self._issuer else {}),
        }  # fmt: skip
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("DOORWARD")}
        return inherited | {f"DOORWARD__{name}": value for name, value in given.items()}

    @contextlib.contextmanager
    def node(self, name: str, variables: Mapping[str, str] | None = None) -> Iterator[Doorward]:
        port, directory = free_port(), self._directory / name
        directory.mkdir()
        url = f"https://localhost:{port}"
        issuer = self._issuer or url
        argv = command("--data-dir", directory / "data", "serve", "--port", port, "--issuer", issuer)
        trust = ssl.create_default_context(cafile=self._receiver.ca_file)
        with running(argv, "Ctrl-C", cwd=directory, env={**self._variables(name), **(variables or {})}) as program:
            self._issuer = issuer
            with httpx2.Client(base_url=url, verify=trust, trust_env=False, timeout=30) as http:
                made = Doorward(issuer, directory / "data", http, self._admin_key, program=program)
                link = made.directory / "setup-link"
                if link.exists():
                    made.setup_token = link.read_text().strip().partition("#token=")[2]
                    made.set_up()
                    self._admin_key = made.admin_key
                yield made


@pytest.fixture(scope="module")
def nodes(
    postgresql: Any, receiver: Receiver, postman: tuple[Postman, int], tmp_path_factory: pytest.TempPathFactory
) -> Nodes:
    return Nodes(tmp_path_factory.mktemp("nodes"), postgresql.create(), receiver, postman[1])


@pytest.fixture(scope="module")
def three(nodes: Nodes) -> Iterator[list[Doorward]]:
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(nodes.node(f"node{number}")) for number in range(NODES)]


def until(condition: Callable[[], object], what: str) -> None:
    deadline, pause = time.monotonic() + DEADLINE, threading.Event()
    while not condition():
        assert time.monotonic() < deadline, what
        pause.wait(0.05)


def states(doorward: Doorward) -> dict[str, str]:
    return {item["name"]: item["state"] for item in doorward.v1("GET", "/nodes").json()["items"]}


def leaked(doorward: Doorward, number: int) -> list[str]:
    """The addresses of owners, one of each key that leaked."""
    api, owners = doorward.an_api()["identifier"], []
    for _ in range(number):
        account = doorward.an_account()["id"]
        name = f"owner-{secrets.token_hex(4)}"
        owners.append(f"{name}@example.com")
        user = doorward.create("/users", username=name, email=owners[-1], email_verified=True)
        doorward.create("/memberships", user=user["id"], account=account, role="owner")
        key = doorward.a_key(api=api, account=account)["key"]
        assert doorward.http.post("/leaks/burn", json={"token": key}).status_code == 202
    return owners


@pytest.mark.slow
def test_every_node_sees_the_others_and_answers_for_them(three):
    for one in three:
        until(lambda one=one: states(one) == {f"node{n}": "ready" for n in range(NODES)}, "a node was not seen")
    client = three[0].a_client()
    verifier = three[1].a_verifier(api=client["apis"][0]["api"])
    token = three[1].token(client)
    assert three[2].introspect(verifier, token)["active"]
    assert three[0].post("revoke", client, token=token).status_code == 200
    until(lambda: not any(one.introspect(verifier, token)["active"] for one in three), "it was not revoked everywhere")


@pytest.mark.slow
def test_a_verifier_follows_the_feed_at_one_node_and_hears_what_another_one_did(three):
    client = three[0].a_client()
    verifier = three[0].a_verifier(api=client["apis"][0]["api"])
    token = three[0].token(client)
    with three[2].http.stream("GET", "/revocations/stream?since=1:0", auth=auth_of(verifier)) as stream:
        assert three[1].post("revoke", client, token=token).status_code == 200
        lines = iter(stream.iter_lines())
        until(lambda: '"kind":"token"' in next(lines), "it was not heard")


@pytest.mark.slow
def test_each_letter_and_each_message_is_sent_once_whoever_looks(three, receiver, postman):
    began = len(receiver.at(HOOK))
    owners = leaked(three[0], KEYS)
    messages = receiver.wait_for(began + KEYS, HOOK)[began:]
    until(lambda: all(postman[0].letters[owner] for owner in owners), "not every owner was written to")
    # By then each node has looked again.
    last = time.monotonic()
    until(lambda: time.monotonic() - last > 3, "the time stood still")
    assert {postman[0].letters[owner] for owner in owners} == {1}
    assert Counter(one.headers["webhook-id"] for one in messages).most_common(1)[0][1] == 1
    assert len(receiver.at(HOOK)) == began + KEYS


@pytest.mark.slow
def test_signing_keys_were_made_once_and_rotate_once_though_all_nodes_look(three):
    found = three[0].v1("GET", "/audit?type=SigningKeyCreated&limit=200").json()["items"]
    keys = three[1].v1("GET", "/signing-keys?limit=200").json()["items"]
    assert len(found) == len(keys) == len({(key["purpose"], key["algorithm"], key["state"]) for key in keys})
    reply = three[2].v1("POST", "/signing-keys/rotate", {"purpose": "token", "algorithm": "ES256", "force": True})
    assert reply.status_code == 200, reply.text

    def spares() -> int:
        keys = three[0].v1("GET", "/signing-keys?limit=200").json()["items"]
        return sum((k["purpose"], k["algorithm"], k["state"]) == ("token", "ES256", "pending") for k in keys)

    until(lambda: spares() == 1, "no spare was made")
    last = time.monotonic()
    until(lambda: time.monotonic() - last > 2, "the time stood still")
    assert spares() == 1
    assert len(three[1].v1("GET", "/audit?type=SigningKeyCreated&limit=200").json()["items"]) == len(found) + 1


@pytest.mark.slow
def test_a_node_whose_clock_is_not_that_of_the_others_is_not_ready(nodes, three, tmp_path):
    clock = FakedClock(tmp_path)
    with nodes.node("skewed", clock.variables) as skewed:
        assert skewed.http.get("/readyz").status_code == 200
        clock.jump("+90")
        until(lambda: skewed.http.get("/readyz").status_code == 503, "nobody noticed the clock")
        assert skewed.http.get("/readyz").json() == {"status": "the clock is not that of the other nodes"}
        told = {item["name"]: item["clock_skew"] for item in three[0].v1("GET", "/nodes").json()["items"]}
        assert 80 < told["skewed"] < 100
        assert all(abs(skew) < 10 for name, skew in told.items() if name != "skewed")
        assert {one.http.get("/readyz").status_code for one in three} == {200}
        clock.jump("+0")
        until(lambda: skewed.http.get("/readyz").status_code == 200, "the clock was never right again")
        assert "the clock is" in skewed.program.output


@pytest.mark.slow
def test_what_a_node_was_sending_when_it_died_another_one_sends(nodes, three, receiver):
    """The last of this file: of the nodes none lives on but one that comes after them."""
    held, is_over = threading.Event(), threading.Event()

    def hang(_: Any) -> None:
        held.set()
        is_over.wait(DEADLINE)

    began, receiver.answer = len(receiver.at(HOOK)), hang
    try:
        leaked(three[0], 1)
        assert held.wait(DEADLINE), "nobody sent anything"
        for one in three:
            os.kill(one.program.pid, signal.SIGKILL)
    finally:
        receiver.answer = None
        is_over.set()
    with nodes.node(NEWCOMER) as newcomer:
        receiver.wait_for(began + 2, HOOK)
        first, second = receiver.at(HOOK)[began:]
        assert first.headers["webhook-id"] == second.headers["webhook-id"]
        until(lambda: set(states(newcomer).values()) == {"ready", "lost"}, "the dead were not noticed")
        assert states(newcomer)[NEWCOMER] == "ready"
