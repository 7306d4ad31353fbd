"""F14, T227: signing keys are rotated under load and withdrawn: what is valid is accepted, and nothing else.

A rotation waits for minutes until every verifier has read the new key. Here it is forced, and the service is a process
of its own for each rotation, so that it has read it.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from tests.deployment import Doorward, Json, served
from tests.faults.checking import DEADLINE, GOOD, STALE, Checker, a_verifier, checking

from doorward_verify import jwt

LABEL = "jwt"
SHORT, LONG = 3, 10
TOKENS = 10
WITHDRAWN = frozenset({"signing_key_unknown", "credential_revoked"})


class Load(threading.Thread):
    """Asks for tokens all the time, and has each of them checked; `tokens` are those of each signing key."""

    def __init__(self, doorward: Doorward, client: Json, checker: Checker) -> None:
        super().__init__(daemon=True)
        self._doorward, self._client, self._checker = doorward, client, checker
        self.tokens: dict[str, list[str]] = {}
        self.is_over = threading.Event()
        self._number = 0

    def run(self) -> None:
        while not self.is_over.is_set():
            self.one()

    def one(self) -> None:
        text = self._doorward.token(self._client)
        name = f"token {self._number}"
        self._number += 1
        self._checker.watch(name, text)
        self.tokens.setdefault(str(jwt.unpack(text)[0].kid), []).append(name)

    def until(self, number_of_keys: int) -> None:
        """That many keys have signed, and the newest of them several tokens."""
        deadline = time.monotonic() + DEADLINE
        while len(self.tokens) < number_of_keys or len(self.tokens[[*self.tokens][-1]]) < TOKENS:
            assert time.monotonic() < deadline, f"only {[*self.tokens]} signed"
            self.is_over.wait(0.01)


def rotate(doorward: Doorward) -> None:
    """The spare of the one before is made in the background."""
    deadline = time.monotonic() + DEADLINE
    while (reply := doorward.v1("POST", "/signing-keys/rotate", {"force": True})).status_code == 409:
        assert time.monotonic() < deadline, reply.text
    assert reply.status_code == 200, reply.text


def a_spare_is_there(doorward: Doorward) -> None:
    deadline = time.monotonic() + DEADLINE
    while True:
        keys = doorward.v1("GET", "/signing-keys").json()["items"]
        if {one["algorithm"] for one in keys if (one["purpose"], one["state"]) == ("token", "pending")} >= {"ES256"}:
            return
        assert time.monotonic() < deadline, "no spare key was ever made"


def one_rotation(doorward: Doorward, api: str, client: Json) -> list[float]:
    """After how many seconds each token of the withdrawn key was refused."""
    a_spare_is_there(doorward)
    with checking(doorward, {LABEL: a_verifier(doorward, api)}) as checker:
        load = Load(doorward, client, checker)
        load.start()
        load.until(1)
        checker.until(LABEL, load.tokens[next(iter(load.tokens))][0], GOOD)
        rotate(doorward)
        load.until(2)
        load.is_over.set()
        load.join()
        old, new = load.tokens
        for name in (*load.tokens[old], *load.tokens[new]):
            checker.until(LABEL, name, GOOD)
            assert {one.outcome for one in checker.history(LABEL, name)} <= {GOOD, STALE}
        reply = doorward.v1("POST", "/revocations", {"signing_key": old})
        withdrawn_at = time.monotonic()
        assert reply.status_code == 200, reply.text
        found = [checker.until(LABEL, name, WITHDRAWN) for name in load.tokens[old]]
        for name in load.tokens[new]:
            assert {one.outcome for one in checker.history(LABEL, name)} <= {GOOD, STALE}
    return [max(0.0, one.at - withdrawn_at) for one in found]


@pytest.mark.slow
def test_no_valid_token_is_refused_and_none_of_a_withdrawn_key_accepted(tmp_path: Path, is_long, figure):
    took: list[float] = []
    with served(tmp_path, "--workers", 2) as doorward:
        api = doorward.an_api()["identifier"]
        client = doorward.a_client(api=api)
        for _ in range(LONG if is_long else SHORT):
            took += one_rotation(doorward, api, client)
    figure("a withdrawn signing key, until its tokens are refused", "s", took, most=1)
