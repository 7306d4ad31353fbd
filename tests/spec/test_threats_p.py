"""Signing keys at a real server: they take their turns, a stolen one ends at once, clocks jump (T210 to T213)."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.deployment import Doorward, free_port, served

from doorward_verify import InvalidToken, Verifier

DEADLINE = 30.0
DAY = 86_400
INACTIVE = {"active": False}


def until(true: Callable[[], bool]) -> None:
    deadline, pause = time.monotonic() + DEADLINE, threading.Event()
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        pause.wait(0.02)


def keys(doorward: Doorward, **where: str) -> list[dict[str, Any]]:
    found = doorward.v1("GET", "/signing-keys?limit=100").json()["items"]
    return [key for key in found if all(key[name] == value for name, value in where.items())]


def kid(doorward: Doorward, state: str = "active", purpose: str = "token", algorithm: str = "ES256") -> str:
    (found,) = keys(doorward, state=state, purpose=purpose, algorithm=algorithm)
    return str(found["kid"])


def published(doorward: Doorward, path: str = "/.well-known/jwks.json") -> set[str]:
    return {key["kid"] for key in doorward.http.get(path).json()["keys"]}


def kid_of(token: str) -> str:
    head = token.split(".")[0]
    return str(json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))["kid"])


def verifier_of(doorward: Doorward, api: str, **options: Any) -> Verifier:
    given = doorward.a_verifier(api=api)
    return Verifier(
        doorward.issuer, audience=api, verifier_id=given["client_id"], verifier_secret=given["client_secret"],
        ca_file=str(doorward.directory / "ca.pem"), **options,
    )  # fmt: skip


def refuses(verifier: Verifier, token: str) -> bool:
    try:
        verifier.check(token)
    except InvalidToken:
        return True
    return False


@pytest.fixture(scope="module")
def doorward(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with served(tmp_path_factory.mktemp("keys"), "--workers", 2) as running:
        yield running


def test_t210_a_spare_of_each_use_is_published_before_it_signs(doorward: Doorward) -> None:
    for algorithm in ("ES256", "RS256"):
        assert {kid(doorward, state, "token", algorithm) for state in ("active", "pending")} <= published(doorward)
    feed = {kid(doorward, state, "feed") for state in ("active", "pending")}
    assert feed <= published(doorward, "/revocations/jwks")
    assert feed.isdisjoint(published(doorward))


def test_t210_a_spare_does_not_sign_before_verifiers_know_it(doorward: Doorward) -> None:
    reply = doorward.v1("POST", "/signing-keys/rotate", {})
    assert (reply.status_code, reply.json()["reason"]) == (409, "signing_key_unknown_yet")
    assert "seconds" in reply.json()["detail"]
    reply = doorward.v1("POST", f"/signing-keys/{kid(doorward)}/retire", {})
    assert (reply.status_code, reply.json()["reason"]) == (409, "signing_key_unknown_yet")


def test_t210_keys_take_their_turns_by_themselves_and_no_token_is_refused(tmp_path: Path) -> None:
    """Thirty days pass while nobody looks: the spare signs, the old key stays until nothing it signed can live."""
    port = free_port()
    with served(tmp_path, port=port) as doorward:
        admin_key, api = doorward.admin_key, doorward.an_api()["identifier"]
        client, before = doorward.a_client(api=api), kid(doorward)
        spare = kid(doorward, "pending")
        old = doorward.token(client)
        assert kid_of(old) == before
    doorward.sql("UPDATE signing_keys SET created_at = created_at - :day, activated_at = activated_at - :day", day=DAY)
    with served(tmp_path, port=port) as doorward:
        doorward.admin_key = admin_key
        assert kid(doorward) == before
    doorward.sql("UPDATE signing_keys SET activated_at = activated_at - :days", days=29 * DAY)
    with served(tmp_path, "--workers", 2, port=port) as doorward:
        doorward.admin_key = admin_key
        verifier = verifier_of(doorward, api)
        until(lambda: kid(doorward) == spare and len(keys(doorward, state="pending")) == 4)
        new = doorward.token(client)
        assert kid_of(new) == spare
        for token in (old, new):
            assert verifier.check(token)
            assert doorward.introspect(client, token)["active"] is True
        assert {before, spare, kid(doorward, "pending")} <= published(doorward)
        verifier.close()
    doorward.sql("UPDATE signing_keys SET retired_at = retired_at - 3660 WHERE state = 'retired'")
    with served(tmp_path, port=port) as doorward:
        doorward.admin_key = admin_key
        until(lambda: before not in published(doorward))
        assert kid(doorward) == spare
        assert doorward.introspect(client, old) == INACTIVE


def test_t210_and_f14_a_rotation_under_load_fails_no_check(tmp_path: Path) -> None:
    port = free_port()
    with served(tmp_path, port=port) as doorward:
        admin_key, client = doorward.admin_key, doorward.a_client()
        api = client["apis"][0]["api"]
    # Every verifier that keeps to max-age has read the spares by now.
    doorward.sql("UPDATE signing_keys SET created_at = created_at - 420")
    with served(tmp_path, "--workers", 2, port=port) as doorward:
        doorward.admin_key = admin_key
        verifiers = [verifier_of(doorward, api), verifier_of(doorward, api, revocation="introspect")]
        before, done, signed_by = kid(doorward), threading.Event(), []

        def load(_: int) -> list[str]:
            failed = []
            while not done.is_set() or len(set(signed_by)) < 2:
                token = doorward.token(client)
                signed_by.append(kid_of(token))
                failed += [kid_of(token) for verifier in verifiers if refuses(verifier, token)]
            return failed

        def rotate() -> None:
            until(lambda: len(signed_by) > 50)
            reply = doorward.v1("POST", "/signing-keys/rotate", {"algorithm": "ES256"})
            assert reply.status_code == 200, reply.text
            until(lambda: len(signed_by) > 100)
            done.set()

        failures = doorward.at_once(4, lambda number: load(number) if number else rotate())
        assert [failed for failed in failures if failed] == []
        assert set(signed_by) == {before, kid(doorward)}
        for verifier in verifiers:
            verifier.close()


@pytest.mark.parametrize("revocation", ["feed", "introspect"])
def test_t211_all_that_a_withdrawn_key_signed_is_refused_everywhere(doorward: Doorward, revocation: Any) -> None:
    """The same event ends it at every verifier and at the server, and its spare signs at once."""
    client = doorward.a_client()
    verifier = verifier_of(doorward, client["apis"][0]["api"], revocation=revocation)
    token, stolen, spare = doorward.token(client), kid(doorward), kid(doorward, "pending")
    assert kid_of(token) == stolen
    assert verifier.check(token)
    reply = doorward.v1("POST", "/revocations", {"signing_key": stolen})
    assert reply.json() == {"kind": "signing_key", "id": stolen, "changed": True}
    until(lambda: refuses(verifier, token))
    until(lambda: all(doorward.introspect(client, token) == INACTIVE for _ in range(8)))
    until(lambda: all(stolen not in published(doorward) for _ in range(8)))
    until(lambda: all(kid_of(doorward.token(client)) == spare for _ in range(8)))
    assert verifier.check(doorward.token(client))
    assert refuses(verifier, token)
    assert doorward.v1("POST", "/revocations", {"signing_key": stolen}).json()["changed"] is False
    until(lambda: len(keys(doorward, state="pending")) == 4)
    verifier.close()


def test_t211_the_worker_that_withdrew_a_key_refuses_what_it_signed_at_once(on_sqlite: Doorward) -> None:
    client = on_sqlite.a_client()
    token = on_sqlite.token(client)
    assert on_sqlite.introspect(client, token)["active"] is True
    assert on_sqlite.v1("POST", "/revocations", {"signing_key": kid_of(token)}).status_code == 200
    assert on_sqlite.introspect(client, token) == INACTIVE
    assert kid_of(on_sqlite.token(client)) != kid_of(token)


def test_t211_a_withdrawn_key_of_the_feed_speaks_no_more_and_the_feed_goes_on(doorward: Doorward) -> None:
    client = doorward.a_client()
    verifier = verifier_of(doorward, client["apis"][0]["api"])
    assert verifier.check(doorward.token(client))
    until(lambda: verifier.state == "synced")
    stolen, spare = kid(doorward, purpose="feed"), kid(doorward, "pending", "feed")
    assert doorward.v1("POST", "/revocations", {"signing_key": stolen}).status_code == 200
    until(lambda: published(doorward, "/revocations/jwks").isdisjoint({stolen}))
    assert kid(doorward, purpose="feed") == spare
    # Entries come, and heartbeats that are believed come with them.
    for _ in range(3):
        token = doorward.token(client)
        assert verifier.check(token)
        assert doorward.post("revoke", client, token=token).status_code == 200
        until(lambda token=token: refuses(verifier, token))  # type: ignore[misc]
        until(lambda: verifier.state == "synced")
    verifier.close()


def test_t211_what_is_no_key_cannot_be_withdrawn(doorward: Doorward) -> None:
    assert doorward.v1("POST", "/revocations", {"signing_key": "signing_unknown"}).status_code == 404
    assert doorward.v1("POST", "/signing-keys/signing_unknown/retire", {}).status_code == 404
    assert doorward.v1("POST", "/signing-keys/rotate", {"purpose": "feed", "algorithm": "RS256"}).status_code == 422
    assert doorward.v1("POST", "/signing-keys/rotate", {"algorithm": "none"}).status_code == 422


def test_t211_only_who_may_turns_keys(doorward: Doorward) -> None:
    reader = doorward.an_admin_key("signing-keys:read")
    for path in ("/signing-keys/rotate", f"/signing-keys/{kid(doorward)}/retire"):
        reply = doorward.v1("POST", path, {"force": True}, key=reader)
        assert (reply.status_code, reply.json()["reason"]) == (403, "insufficient_scope")


def test_t212_a_clock_that_is_an_hour_behind_issues_nothing_older_than_before(tmp_path: Path) -> None:
    """As the server finds it after a restart: its journal is an hour ahead of the clock."""
    port = free_port()
    with served(tmp_path, port=port) as doorward:
        client = doorward.a_client()
        doorward.token(client)
    doorward.sql("UPDATE journal SET at = at + 3600")
    ((newest,),) = doorward.sql("SELECT max(at) FROM journal")
    states = doorward.sql("SELECT id, state FROM signing_keys ORDER BY id")
    with served(tmp_path, port=port) as doorward:
        payload = doorward.token(client).split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        assert newest - 60 <= claims["iat"] <= newest
    assert doorward.sql("SELECT id, state FROM signing_keys ORDER BY id") == states


@pytest.mark.sqlite
def test_t213_private_halves_are_in_no_answer_and_in_no_row_in_clear(tmp_path: Path) -> None:
    with served(tmp_path) as doorward:
        assert doorward.v1("POST", "/signing-keys/rotate", {"force": True}).status_code == 200
        until(lambda: len(keys(doorward, state="pending")) == 4)
        documents = [doorward.v1("GET", "/signing-keys").json()["items"],
                     doorward.http.get("/.well-known/jwks.json").json()["keys"]]  # fmt: skip
        for key in [key.get("public_jwk", key) for document in documents for key in document]:
            assert set(key) <= {"kty", "crv", "x", "y", "n", "e", "kid", "alg", "use"}
    held = doorward.sql("SELECT state, private_key FROM signing_keys")
    assert {state for state, _ in held} == {"active", "pending", "retired"}
    for state, box in held:
        # PKCS #8 in DER begins with a SEQUENCE, and names its kind of key.
        assert (box == b"") is (state == "retired")
        assert b"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01" not in box
        assert b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01" not in box
    assert (tmp_path / "data" / "master.key").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "data" / "doorward.db").stat().st_mode & 0o777 == 0o600
