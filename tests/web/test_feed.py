"""The revocation feed of a real server: who is told what, without a gap, and for how long."""

import json
import threading
from contextlib import contextmanager

import httpx2
import pytest
from tests.deployment import served

from doorward_verify import jwt

DEADLINE = 20


@pytest.fixture(scope="module")
def doorward(tmp_path_factory):
    with served(tmp_path_factory.mktemp("feed"), "--workers", "2") as running:
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
        self.told, self.over = [], False
        self._news = threading.Condition()
        self.start()

    def run(self):
        try:
            with self._request as reply:
                assert reply.status_code == 200, reply.read()
                self._listen(reply)
        except httpx2.HTTPError:
            pass
        with self._news:
            self.over = True
            self._news.notify_all()

    def _listen(self, reply):
        event = {}
        for line in reply.iter_lines():
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
    listener.until(lambda: listener.told)
    yield listener


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


def test_a_heartbeat_is_signed_by_a_key_of_the_feed_alone(doorward):
    api = doorward.an_api()
    verifier = doorward.a_verifier(api=api["identifier"])
    with listening(doorward, verifier) as listener:
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


def test_a_shutdown_ends_every_stream(tmp_path):
    with served(tmp_path) as doorward:
        verifier = doorward.a_verifier()
        since = ask(doorward, verifier).json()["pos"]
        listeners = [Listener(doorward, verifier, since) for _ in range(20)]
        for listener in listeners:
            listener.until(lambda listener=listener: listener.told)
        assert doorward.program.stop() == 0
        for listener in listeners:
            listener.until(lambda listener=listener: listener.over)
