"""The verifier behind a real `doorward serve`: what is revoked there is refused here, and nobody is asked."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.deployment import Doorward, free_port, served

from doorward_verify import DoorwardError, InvalidRequest, InvalidToken, Verified, Verifier
from doorward_verify.arrival import Arrival

DEADLINE = 30.0

Json = dict[str, Any]


@pytest.fixture(scope="module")
def doorward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doorward]:
    """One worker, so that what it counted is written down at one time."""
    with served(tmp_path_factory.mktemp("feed"), "--workers", 1) as running:
        yield running


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        pause.wait(0.005)


def verifier_of(doorward: Doorward, api: str, **options: Any) -> Verifier:
    given = doorward.a_verifier(api=api)
    return Verifier(
        doorward.issuer, audience=api, verifier_id=given["client_id"], verifier_secret=given["client_secret"],
        ca_file=str(doorward.directory / "ca.pem"), **options,
    )  # fmt: skip


class Checking:
    """An api with an account, and a verifier that has heard of neither before."""

    def __init__(self, doorward: Doorward, **api: Any) -> None:
        self.doorward = doorward
        self.api = doorward.an_api(**api)["identifier"]
        self.account = doorward.an_account()["id"]
        self.given = {"api": self.api, "account": self.account}
        self.verifier = verifier_of(doorward, self.api)

    def a_key(self) -> Json:
        return self.doorward.a_key(**self.given)

    def a_client(self) -> Json:
        return self.doorward.a_client(**self.given)

    def refuses(self, text: str) -> bool:
        try:
            self.verifier.check(text)
        except InvalidToken:
            return True
        return False


@pytest.fixture
def checking(doorward: Doorward) -> Iterator[Checking]:
    made = Checking(doorward)
    yield made
    made.verifier.close()


def introspections(doorward: Doorward, asker: Json) -> int:
    """How many there were. What the worker counted is written down each second: a question of a kind that only we ask
    is counted after them.
    """

    def counted(endpoint: str, status: int) -> int:
        page = doorward.http.get("/metrics", headers={"authorization": f"Bearer {doorward.admin_key}"}).text
        found = re.search(rf'doorward_http_requests_total\{{endpoint="{endpoint}",status="{status}"\}} (\d+)', page)
        return int(found[1]) if found else 0

    before = counted("/revocations", 400)
    reply = doorward.http.get("/revocations?wait=1", auth=(asker["client_id"], asker["client_secret"]))
    assert reply.status_code == 400
    until(lambda: counted("/revocations", 400) > before)
    return counted("/oauth/introspect", 200)


def test_a_revoked_token_is_refused_though_the_server_was_never_asked_about_any(
    doorward: Doorward, checking: Checking
) -> None:
    asker = doorward.a_verifier(api=checking.api)
    before = introspections(doorward, asker)
    client, other = checking.a_client(), checking.a_client()
    tokens, others = [doorward.token(client) for _ in range(10)], [doorward.token(other) for _ in range(10)]
    for text in tokens + others:
        assert checking.verifier.check(text).account == checking.account
    for text in tokens[:5]:
        assert doorward.post("revoke", client, token=text).status_code == 200
    until(lambda: all(checking.refuses(text) for text in tokens[:5]))
    for text in tokens[5:] + others:
        assert not checking.verifier.check(text).stale
    assert introspections(doorward, asker) == before
    checking.verifier.check(checking.a_key()["key"])
    assert introspections(doorward, asker) == before + 1


@pytest.mark.parametrize("what", ["key", "token", "grant", "client", "account"])
def test_whatever_is_ended_is_refused_and_nothing_else(doorward: Doorward, checking: Checking, what: str) -> None:
    client, key = checking.a_client(), checking.a_key()
    token, bystander = doorward.token(client), doorward.token(checking.a_client())
    for text in (token, bystander, key["key"]):
        assert checking.verifier.check(text)
    ends: dict[str, tuple[str, str, Json | None]] = {
        "key": ("POST", f"/keys/{key['id']}/revoke", None),
        "token": ("POST", "/revocations", {"token": token}),
        "grant": ("POST", "/revocations", {"grant": client["apis"][0]["grant_id"]}),
        "client": ("PATCH", f"/clients/{client['client_id']}", {"state": "disabled"}),
        "account": ("POST", f"/accounts/{checking.account}/suspend", None),
    }
    reply = doorward.v1(*ends[what])
    assert reply.status_code == 200, reply.text
    dead = {"key": [key["key"]], "account": [token, bystander, key["key"]]}.get(what, [token])
    until(lambda: all(checking.refuses(text) for text in dead))
    for text in {token, bystander, key["key"]} - set(dead):
        assert checking.verifier.check(text)
    if what == "account":
        assert doorward.v1("POST", f"/accounts/{checking.account}/resume").status_code == 200
        until(lambda: not checking.refuses(key["key"]))
        assert checking.refuses(token)
        until(lambda: not checking.refuses(doorward.token(client)))


def test_an_opaque_token_and_a_changed_key_are_asked_again(doorward: Doorward) -> None:
    checking = Checking(doorward, token_format="opaque")
    client, key = checking.a_client(), checking.a_key()
    token = doorward.token(client)
    assert checking.verifier.check(token).credential == "opaque"
    assert checking.verifier.check(key["key"]).scope == {"invoices:read"}
    assert doorward.post("revoke", client, token=token).status_code == 200
    until(lambda: checking.refuses(token))
    reply = doorward.v1("PATCH", f"/keys/{key['id']}", {"scope": "invoices:write"})
    assert reply.status_code == 200, reply.text
    until(lambda: checking.verifier.check(key["key"]).scope == {"invoices:write"})
    checking.verifier.close()


def test_a_verifier_that_is_revoked_hears_nothing_more_and_decides_nothing(doorward: Doorward) -> None:
    api = doorward.an_api()["identifier"]
    given = doorward.a_verifier(api=api)
    verifier = Verifier(
        doorward.issuer, audience=api, verifier_id=given["client_id"], verifier_secret=given["client_secret"],
        ca_file=str(doorward.directory / "ca.pem"),
    )  # fmt: skip
    token = doorward.token(doorward.a_client(api=api))
    assert verifier.check(token)
    assert doorward.v1("POST", f"/verifiers/{given['client_id']}/revoke").status_code == 200

    def reason() -> str:
        try:
            verifier.check(token)
        except DoorwardError as error:
            return error.reason
        return ""

    until(lambda: reason() == "verifier_refused")
    verifier.close()


def test_what_is_revoked_while_a_service_hears_nothing_is_refused_once_it_hears_again(tmp_path: Path) -> None:
    """The server goes, and comes back: in between, tokens and known keys are accepted and said to be stale."""
    port = free_port()
    with served(tmp_path, port=port) as doorward:
        checking = Checking(doorward)
        client, key = checking.a_client(), checking.a_key()
        texts = [doorward.token(client), key["key"]]
        for text in texts:
            assert checking.verifier.check(text)
        admin_key = doorward.admin_key

    def all_stale() -> bool:
        found: list[Verified] = [checking.verifier.check(text) for text in texts]
        return all(one.stale for one in found)

    until(all_stale)
    # Its own feed is not there yet: what is ended first is not told, but found.
    with served(tmp_path, port=port) as doorward:
        doorward.admin_key = admin_key
        assert doorward.v1("POST", f"/keys/{key['id']}/revoke").status_code == 200
        assert doorward.post("revoke", client, token=texts[0]).status_code == 200
        until(lambda: all(checking.refuses(text) for text in texts))
        until(lambda: checking.verifier.state == "synced")
        assert all(checking.refuses(text) for text in texts)
        assert checking.verifier.check(doorward.token(client))
        checking.verifier.close()


def test_what_was_used_here_is_shown_there_when_the_verifier_is_closed(doorward: Doorward) -> None:
    here = Checking(doorward)
    api_key, client = here.a_key(), here.a_client()
    token = doorward.token(client)
    for _ in range(5):
        here.verifier.check(api_key["key"])
        here.verifier.check(token)
    here.verifier.close()

    def uses() -> list[int]:
        key = doorward.v1("GET", f"/keys/{api_key['id']}").json()
        (granted,) = doorward.v1("GET", f"/clients/{client['client_id']}").json()["apis"]
        return [key["uses"], granted["uses"]]

    until(lambda: uses() == [5, 5])


def test_a_verifier_hears_that_the_overlap_of_a_rotated_key_is_over(doorward: Doorward, checking: Checking) -> None:
    old = checking.a_key()
    assert checking.verifier.check(old["key"]).key_id == old["id"]
    new = doorward.create(f"/keys/{old['id']}/rotate", overlap=0)
    assert checking.verifier.check(old["key"]).key_id == old["id"]
    assert checking.verifier.check(new["key"]).key_id == old["id"]
    until(lambda: checking.refuses(old["key"]))
    assert checking.verifier.check(new["key"]).key_id == old["id"]


def test_a_verifier_that_knows_the_old_secret_refuses_it_when_its_overlap_is_over_and_asks_nobody(
    doorward: Doorward, checking: Checking
) -> None:
    """What it was told of the secret says when that ends; the feed told it to ask anew once that was known."""
    old = checking.a_key()
    assert checking.verifier.check(old["key"]).key_id == old["id"]
    new = doorward.create(f"/keys/{old['id']}/rotate", starts="now", overlap=4)
    ends_at = new["secrets"][0]["expires_at"]
    until(lambda: checking.verifier.check(old["key"]).expires_at == ends_at)
    until(lambda: checking.refuses(old["key"]))
    assert ends_at <= time.time() < ends_at + 5
    assert checking.verifier.check(new["key"]).claims["secret_id"] == new["prefix"][-12:]


def test_a_verifier_hears_that_a_rotation_was_cancelled(doorward: Doorward, checking: Checking) -> None:
    old = checking.a_key()
    new = doorward.create(f"/keys/{old['id']}/rotate", starts="now", overlap=3600)
    for one in (old, new):
        assert checking.verifier.check(one["key"]).key_id == old["id"]
    assert doorward.v1("POST", f"/keys/{old['id']}/cancel-rotation").status_code == 200
    until(lambda: checking.refuses(new["key"]))
    until(lambda: checking.verifier.check(old["key"]).expires_at == old["expires_at"])


def test_what_a_service_saw_is_shown_by_secret_with_where_and_what(doorward: Doorward) -> None:
    here = Checking(doorward)
    old = here.a_key()
    new = doorward.create(f"/keys/{old['id']}/rotate", starts="now", overlap=3600)
    here.verifier.check(new["key"], "192.0.2.1", user_agent="new/1")
    for _ in range(3):
        here.verifier.check(old["key"], "192.0.2.7", user_agent="old/1")
    here.verifier.close()

    def secrets() -> list[list[Any]]:
        shown = doorward.v1("GET", f"/keys/{old['id']}").json()["secrets"]
        return [
            [one["uses"], one["uses_since_superseded"], one["last_address"], one["last_user_agent"]] for one in shown
        ]

    until(lambda: secrets() == [[3, 3, "192.0.2.7", "old/1"], [1, 0, "192.0.2.1", "new/1"]])
    assert doorward.v1("GET", f"/keys/{old['id']}/usage").json()["counts"] == {"active": 4}


def test_an_inactive_key_is_refused_until_it_is_active_again(doorward: Doorward, checking: Checking) -> None:
    key = checking.a_key()
    assert checking.verifier.check(key["key"]).key_id == key["id"]
    assert doorward.v1("POST", f"/keys/{key['id']}/deactivate").status_code == 200
    until(lambda: checking.refuses(key["key"]))
    assert doorward.v1("POST", f"/keys/{key['id']}/activate").status_code == 200
    until(lambda: not checking.refuses(key["key"]))


def test_a_verifier_that_knows_a_key_hears_that_it_was_bound_to_networks(
    doorward: Doorward, checking: Checking
) -> None:
    key = checking.a_key()
    assert checking.verifier.check(key["key"]).key_id == key["id"]
    assert doorward.v1("PATCH", f"/keys/{key['id']}", {"networks": ["192.0.2.0/24"]}).status_code == 200
    until(lambda: checking.refuses(key["key"]))
    assert checking.verifier.check(key["key"], "192.0.2.9").key_id == key["id"]
    for address in ("198.51.100.9", None):
        with pytest.raises(InvalidToken, match="may not be used from this address"):
            checking.verifier.check(key["key"], address)


def test_a_verifier_hears_how_keys_may_arrive_and_tells_where_they_were_seen(
    doorward: Doorward, checking: Checking
) -> None:
    key, in_url = checking.a_key(), Arrival("query")
    with pytest.raises(InvalidRequest, match="bearer or header alone"):
        checking.verifier.check(key["key"], arrival=in_url)
    assert doorward.v1("PATCH", f"/apis/{api_id(doorward, checking.api)}", {"transports": ["query"]}).status_code == 200
    until(lambda: takes(checking.verifier, key["key"], in_url))
    assert not takes(checking.verifier, key["key"], Arrival("bearer"))
    assert takes(checking.verifier, key["key"], Arrival("query", from_browser=True))
    checking.verifier.close()  # what is to be told is told then
    until(lambda: None not in seen(doorward, key))


def api_id(doorward: Doorward, identifier: str) -> str:
    return str(doorward.v1("GET", f"/apis?identifier={identifier}").json()["items"][0]["id"])


def takes(verifier: Verifier, text: str, arrival: Arrival) -> bool:
    try:
        return verifier.check(text, arrival=arrival).credential == "api_key"
    except InvalidRequest:
        return False


def seen(doorward: Doorward, key: Json) -> tuple[int | None, int | None]:
    found = doorward.v1("GET", f"/keys/{key['id']}").json()
    return found["seen_in_url_at"], found["seen_in_browser_at"]
