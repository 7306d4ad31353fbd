"""The revocation feed of a real server: who is told what, without a gap, and for how long."""

import json
import threading
from contextlib import contextmanager

import httpx2
import pytest
from tests.deployment import deployed, served

from doorward.protocol.moment import Position
from doorward_verify import jwt

DEADLINE = 20


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def doorward(request, tmp_path_factory):
    flags = ["--workers", "2"]
    if request.param == "postgresql":
        flags += ["--database", request.getfixturevalue("postgresql").create()]
    with served(tmp_path_factory.mktemp("feed"), *flags) as running:
        yield running


def ask(doorward, verifier, **query):
    auth = (verifier["client_id"], verifier["client_secret"])
    return doorward.http.get("/revocations", params=query, auth=auth)


def revoke(doorward, key):
    reply = doorward.v1("POST", f"/keys/{key['id']}/revoke")
    assert reply.status_code == 200, reply.text


class Listener(threading.Thread):
    """One subscriber: what he was told, event by event."""

    def __init__(self, doorward, verifier, since):
        super().__init__(daemon=True)
        auth = (verifier["client_id"], verifier["client_secret"])
        self._request = doorward.http.stream(
            "GET", "/revocations/stream", auth=auth, headers={"last-event-id": since}, timeout=DEADLINE
        )
        self.told, self.over, self.node = [], False, ""
        self.leaving = False
        self._news = threading.Condition()
        self.start()

    def run(self):
        try:
            with self._request as reply:
                assert reply.status_code == 200, reply.read()
                # Which worker it is stands in every request id (decision 23).
                self.node = reply.headers["x-request-id"][12:14]
                self._listen(reply)
        except httpx2.HTTPError:
            pass
        with self._news:
            self.over = True
            self._news.notify_all()

    def _listen(self, reply):
        event = {}
        for line in reply.iter_lines():
            if self.leaving:
                return
            if line:
                name, _, value = line.partition(": ")
                event[name] = value
            elif event:
                with self._news:
                    self.told.append(event)
                    self._news.notify_all()
                event = {}

    def of(self, kind):
        return [json.loads(event["data"]) for event in self.told if event["event"] == kind]

    def until(self, condition):
        with self._news:
            assert self._news.wait_for(condition, DEADLINE), self.told


@contextmanager
def listening(doorward, verifier, since=None):
    listener = Listener(doorward, verifier, since or ask(doorward, verifier).json()["pos"])
    try:
        listener.until(lambda: listener.told)
        yield listener
    finally:
        listener.leaving = True


def entries_of(listener):
    return [json.loads(event["data"]) for event in listener.told if event["event"] == "entry"]


def test_every_revocation_reaches_its_audience_and_no_other(doorward):
    api, account = doorward.an_api(), doorward.an_account()
    here = {"api": api["identifier"], "account": account["id"]}
    verifier, other = doorward.a_verifier(api=api["identifier"]), doorward.a_verifier()
    api_key, client = doorward.a_key(**here), doorward.a_client(**here)
    token = doorward.token(client)
    jti = jwt.parse(token).claims["jti"]
    with listening(doorward, verifier) as listener, listening(doorward, other) as stranger:
        assert doorward.v1("POST", f"/keys/{api_key['id']}/revoke").status_code == 200
        assert doorward.post("revoke", client, token=token).status_code == 200
        assert doorward.v1("POST", "/revocations", {"grant": client["apis"][0]["grant_id"]}).status_code == 200
        assert doorward.v1("PATCH", f"/clients/{client['client_id']}", {"state": "disabled"}).status_code == 200
        assert doorward.v1("POST", f"/accounts/{account['id']}/suspend").status_code == 200
        assert doorward.v1("POST", f"/accounts/{account['id']}/resume").status_code == 200
        listener.until(lambda: len(entries_of(listener)) >= 6)
    told = [(one["kind"], one["value"], one["effect"]) for one in entries_of(listener)]
    assert told == [
        ("api_key", api_key["id"], "dead"),
        ("token", jti, "dead"),
        ("grant", client["apis"][0]["grant_id"], "dead"),
        ("client", client["client_id"], "dead"),
        ("account", account["id"], "dead"),
        ("account", account["id"], "changed"),
    ]
    assert entries_of(stranger) == []


def test_entries_are_a_chain_and_a_stream_goes_on_where_it_was(doorward):
    api = doorward.an_api()
    verifier = doorward.a_verifier(api=api["identifier"])
    start = ask(doorward, verifier).json()["pos"]
    keys = [doorward.a_key(api=api["identifier"]) for _ in range(4)]
    for key in keys[:2]:
        revoke(doorward, key)
    with listening(doorward, verifier, start) as first:
        first.until(lambda: len(entries_of(first)) == 2)
        before = entries_of(first)  # it goes on listening
    for key in keys[2:]:
        revoke(doorward, key)
    with listening(doorward, verifier, before[-1]["pos"]) as second:
        second.until(lambda: len(entries_of(second)) == 2)
    chain = [*before, *entries_of(second)]
    assert [one["value"] for one in chain] == [key["id"] for key in keys]
    assert [one["prev"] for one in chain] == [start, *(one["pos"] for one in chain[:-1])]
    behind = ask(doorward, verifier, since=start).json()["entries"]
    assert [one["pos"] for one in behind] == [one["pos"] for one in chain]


@contextmanager
def at_each_worker(doorward, verifier, since):
    """A listener at every worker: connections go to whichever accepts them."""
    found = {}
    try:
        for _ in range(50):
            listener = Listener(doorward, verifier, since)
            listener.until(lambda listener=listener: listener.told)
            listener.leaving = found.setdefault(listener.node, listener) is not listener
            if len(found) == 2:
                break
        assert sorted(found) == ["01", "02"]
        yield [found[node] for node in sorted(found)]
    finally:
        for listener in found.values():
            listener.leaving = True


def test_what_one_worker_revokes_all_tell_in_one_chain_and_any_can_go_on_with_it(doorward):
    api = doorward.an_api()
    verifier = doorward.a_verifier(api=api["identifier"])
    keys = [doorward.a_key(api=api["identifier"])["id"] for _ in range(12)]
    start = ask(doorward, verifier).json()["pos"]
    doorward.at_once(6, lambda number: doorward.v1("POST", f"/keys/{keys[number]}/revoke"))
    with at_each_worker(doorward, verifier, start) as listeners:
        doorward.at_once(6, lambda number: doorward.v1("POST", f"/keys/{keys[6 + number]}/revoke"))
        for listener in listeners:
            listener.until(lambda listener=listener: len(entries_of(listener)) == 12)
    chains = [entries_of(listener) for listener in listeners]
    assert chains[0] == chains[1]
    assert sorted(one["value"] for one in chains[0]) == sorted(keys)
    assert [one["prev"] for one in chains[0]] == [start, *(one["pos"] for one in chains[0][:-1])]
    middle = chains[0][6]["pos"]
    with at_each_worker(doorward, verifier, middle) as listeners:
        for listener in listeners:
            listener.until(lambda listener=listener: len(entries_of(listener)) == 5)
            assert entries_of(listener) == chains[0][7:]


def test_a_snapshot_holds_what_a_verifier_must_know_to_begin(doorward):
    api = doorward.an_api()
    verifier, key = doorward.a_verifier(api=api["identifier"]), doorward.a_key(api=api["identifier"])
    assert ask(doorward, verifier).json()["entries"] == []
    doorward.v1("POST", f"/keys/{key['id']}/revoke")
    reply = ask(doorward, verifier)
    assert reply.headers["cache-control"] == "no-store"
    (entry,) = reply.json()["entries"]
    assert {name: entry[name] for name in ("pos", "prev", "kind", "value", "effect")} == {
        "pos": reply.json()["pos"], "prev": "1:0", "kind": "api_key", "value": key["id"], "effect": "dead",
    }  # fmt: skip


def test_a_heartbeat_is_signed_by_a_key_of_the_feed_alone(doorward):
    api = doorward.an_api()
    verifier = doorward.a_verifier(api=api["identifier"])
    since = ask(doorward, verifier).json()["pos"]
    with listening(doorward, verifier, since) as listener:
        listener.until(lambda: sum(event["event"] == "heartbeat" for event in listener.told) >= 2)
    beats = [event["data"] for event in listener.told if event["event"] == "heartbeat"]
    feed_keys = jwt.keys_from_jwks(doorward.http.get("/revocations/jwks").json())
    token_keys = jwt.keys_from_jwks(doorward.http.get("/.well-known/jwks.json").json())
    assert feed_keys.keys().isdisjoint(token_keys)
    for text in beats:
        header, payload, signature, signing_input = jwt.unpack(text)
        jwt.authenticate(header, signature, signing_input, feed_keys)
        claims = jwt.read_claims(payload)
        assert (header.typ, claims["iss"], claims["aud"]) == ("feed+jwt", doorward.issuer, api["identifier"])
        assert claims["last"] == since
        assert Position.parse(claims["pos"]) >= Position.parse(since)


def test_who_waits_is_woken(doorward):
    api = doorward.an_api()
    verifier, key = doorward.a_verifier(api=api["identifier"]), doorward.a_key(api=api["identifier"])
    since = ask(doorward, verifier).json()["pos"]
    threading.Timer(0.3, lambda: doorward.v1("POST", f"/keys/{key['id']}/revoke")).start()
    assert [one["value"] for one in ask(doorward, verifier, since=since, wait=15).json()["entries"]] == [key["id"]]


@pytest.mark.parametrize(("since", "status"), [("2:1", 410), ("1:999999999", 410), ("x", 400), ("1:1:1", 400)])
def test_a_position_that_cannot_be_followed_is_refused(doorward, since, status):
    refused = ask(doorward, doorward.a_verifier(), since=since)
    assert refused.status_code == status
    assert refused.json()["reason"] == ("feed_gone" if status == 410 else "request_malformed")


def test_who_waits_in_vain_is_told_so(doorward):
    verifier = doorward.a_verifier()
    since = ask(doorward, verifier).json()["pos"]
    reply = ask(doorward, verifier, since=since, wait=1)
    assert (reply.status_code, reply.json()["entries"]) == (200, [])


def test_a_stream_says_that_it_is_not_to_be_kept_nor_held_back(doorward):
    verifier = doorward.a_verifier()
    auth, since = (verifier["client_id"], verifier["client_secret"]), ask(doorward, verifier).json()["pos"]
    with doorward.http.stream("GET", "/revocations/stream", params={"since": since}, auth=auth) as reply:
        named = {name: reply.headers[name] for name in ("content-type", "cache-control", "x-accel-buffering")}
    assert named == {"content-type": "text/event-stream", "cache-control": "no-store", "x-accel-buffering": "no"}


@pytest.mark.parametrize("path", ["/revocations", "/revocations/stream"])
def test_nothing_but_get_is_allowed(doorward, path):
    for method in ("POST", "HEAD", "DELETE"):
        reply = doorward.http.request(method, path)
        assert (reply.status_code, reply.headers["allow"]) == (405, "GET")


def test_subscribers_and_what_they_are_told_are_counted(doorward):
    def counted(name):
        text = doorward.http.get("/metrics", headers={"authorization": f"Bearer {doorward.admin_key}"}).text
        return sum(float(line.split()[1]) for line in text.splitlines() if line.startswith(name))

    api = doorward.an_api()
    verifier, key = doorward.a_verifier(api=api["identifier"]), doorward.a_key(api=api["identifier"])
    entries = counted('doorward_feed_events_total{event="entry"}')
    with listening(doorward, verifier) as listener:
        doorward.v1("POST", f"/keys/{key['id']}/revoke")
        listener.until(lambda: entries_of(listener))
        # Those of other tests are gone by their next heartbeat.
        listener.until(lambda: counted("doorward_feed_subscribers ") == 1)
        listener.until(lambda: counted('doorward_feed_events_total{event="entry"}') > entries)


def test_the_feed_is_for_verifiers(doorward):
    assert doorward.http.get("/revocations").status_code == 401
    assert ask(doorward, doorward.a_client()).status_code == 401
    assert doorward.http.get("/revocations/stream").status_code == 401


def test_the_streams_of_a_revoked_verifier_end(doorward):
    verifier = doorward.a_verifier()
    with listening(doorward, verifier) as listener:
        doorward.v1("POST", f"/verifiers/{verifier['client_id']}/revoke")
        listener.until(lambda: listener.over)
    assert ask(doorward, verifier).status_code == 401


def test_who_waits_as_a_verifier_that_is_revoked_is_refused(doorward):
    verifier = doorward.a_verifier()
    since = ask(doorward, verifier).json()["pos"]
    threading.Timer(0.3, lambda: doorward.v1("POST", f"/verifiers/{verifier['client_id']}/revoke")).start()
    reply = ask(doorward, verifier, since=since, wait=25)
    assert (reply.status_code, reply.json()["reason"]) == (401, "credential_revoked")


def test_what_came_too_long_ago_cannot_be_followed(tmp_path):
    with deployed(tmp_path) as doorward:
        api = doorward.an_api()
        verifier, key = doorward.a_verifier(api=api["identifier"]), doorward.a_key(api=api["identifier"])
        before = ask(doorward, verifier).json()["pos"]
        doorward.v1("POST", f"/keys/{key['id']}/revoke")
        after = ask(doorward, verifier).json()["pos"]
        doorward.sql("UPDATE journal SET at = at - 1000")
        assert ask(doorward, verifier, since=before).json()["reason"] == "feed_gone"
        auth = (verifier["client_id"], verifier["client_secret"])
        stream = doorward.http.get("/revocations/stream", headers={"last-event-id": before}, auth=auth)
        assert (stream.status_code, stream.json()["reason"]) == (410, "feed_gone")
        # Nothing came behind it, however long ago that was.
        assert ask(doorward, verifier, since=after).json() == {"pos": after, "entries": []}
