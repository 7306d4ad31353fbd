"""`/check/plaintext`: what a gateway's own plaintext port received ends, and nothing else does (decision 16)."""

from __future__ import annotations

import itertools
import json
import socket
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from tests.deployment import Doorward, free_port, served
from tests.spec.gateway_calls import SECRET
from tests.spec.test_plaintext import LIMIT, is_good, leak_of, made_up, metrics, until

CALLERS = (f"192.0.2.{number}" for number in itertools.count(1))


class Gated(NamedTuple):
    """A deployment, and where its gateways ask; proxies of this machine are believed. Its own port is open, too."""

    doorward: Doorward
    listener: int
    port: int

    def told(self, target: str = "", *fields: str, method: str = "GET", caller: str = "192.0.2.99") -> bytes:
        """By a gateway of this machine."""
        return said(self.listener, f"{method} /check/plaintext{target} HTTP/1.1", f"x-forwarded-for: {caller}", *fields)


def said(port: int, *lines: str) -> bytes:
    with socket.create_connection(("127.0.0.1", port), 30) as sock:
        sock.sendall("\r\n".join((*lines, "host: api.example.com", "connection: close", "", "")).encode("latin-1"))
        return b"".join(iter(lambda: sock.recv(65536), b""))


@pytest.fixture(scope="module")
def gated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gated]:
    listener, port = free_port(), free_port()
    variables = {
        "DOORWARD__CHECK_LISTEN": f"127.0.0.1:{listener}", "DOORWARD__CHECK_SECRET": SECRET,
        "DOORWARD__PLAINTEXT_LISTEN": f"127.0.0.1:{port}", "DOORWARD__ISSUER": "https://auth.example.com",
        "DOORWARD__HOST_NAMES": "localhost",
    }  # fmt: skip
    flags = ("--behind-proxy", "127.0.0.0/8", "--behind-proxy", "::1/128")
    with served(tmp_path_factory.mktemp("gated"), *flags, variables=variables) as doorward:
        yield Gated(doorward, listener, port)


@pytest.fixture
def caller() -> str:
    """Each has a limit of its own."""
    return next(CALLERS)


def refused(answered: bytes) -> bool:
    head, _, body = answered.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 403 ")
    assert b"cache-control: no-store" in head
    return json.loads(body)["reason"] == "plaintext"


@pytest.mark.parametrize("way", ["a header", "a twin", "the query", "the path", "the told target", "any method"])
def test_a_key_ends_wherever_it_stood(gated: Gated, caller: str, way: str) -> None:
    key, other = gated.doorward.a_key(), gated.doorward.a_key()
    text = key["key"]
    sent = {
        "a header": ("", f"authorization: Bearer {text}"),
        "a twin": ("", f"x_api_key: {text}"),
        "the query": (f"?api_key={text}",),
        "the path": (f"/../forward/{text}",),
        "the told target": ("", f"x-forwarded-uri: /hooks/{text}?a=b"),
        "any method": ("/invoices", f"x-api-key: {text}"),
    }[way]
    assert refused(gated.told(*sent, method="PROPFIND" if way == "any method" else "GET", caller=caller))
    assert not is_good(gated.doorward, key)
    assert is_good(gated.doorward, other)
    leak = leak_of(gated.doorward, text)
    assert (leak["origin"], leak["outcome"]) == ("plaintext", "revoked")
    assert leak["locations"] == [f"plain http from {caller}"]


def test_without_the_listener_or_the_secret_nobody_is_believed(gated: Gated) -> None:
    key = gated.doorward.a_key()
    shown = {"x-api-key": key["key"], "x-forwarded-proto": "http", "x-forwarded-for": "192.0.2.200"}
    for secret in ({}, {"x-check-secret": "x"}, {"x_check_secret": SECRET}):
        reply = gated.doorward.http.get("/check/plaintext", headers={**shown, **secret})
        assert (reply.status_code, reply.json()["reason"]) == (403, "gateway_unauthenticated")
    assert is_good(gated.doorward, key)


def test_with_the_secret_it_is_a_gateway_wherever_it_asks_from(gated: Gated, caller: str) -> None:
    """Also one that is a believed proxy, and says of the request, as it must, that it came over plain HTTP."""
    key = gated.doorward.a_key()
    shown = {"x-api-key": key["key"], "x-forwarded-proto": "http", "x-forwarded-for": caller}
    reply = gated.doorward.http.get("/check/plaintext", headers={**shown, "x-check-secret": SECRET})
    assert (reply.status_code, reply.json()["reason"]) == (403, "plaintext")
    assert not is_good(gated.doorward, key)
    assert leak_of(gated.doorward, key["key"])["locations"] == [f"plain http from {caller}"]


def test_that_a_request_came_in_the_clear_is_no_proof_at_the_other_paths(gated: Gated) -> None:
    """A gateway that is asked at its TLS port hands on what clients say there."""
    key = gated.doorward.a_key()
    fields = [
        f"x-api-key: {key['key']}", "x-forwarded-method: GET", "x-forwarded-uri: /invoices",
        "x-forwarded-proto: http", "x-forwarded-host: api.example.com", "x-original-method: GET",
        "x-original-url: http://api.example.com/invoices",
    ]  # fmt: skip
    for path in ("/check/forward", "/check/nginx", "/check/envoy/../plaintext", "/check/envoy/plaintext"):
        said(gated.listener, f"GET {path} HTTP/1.1", *fields)
    assert is_good(gated.doorward, key)


def test_its_answer_is_the_ports_whatever_was_sent(gated: Gated, caller: str) -> None:
    ended, good = gated.doorward.a_key(), gated.doorward.a_key()
    gated.doorward.v1("POST", f"/keys/{ended['id']}/revoke")
    answers = [said(gated.port, "GET /invoices HTTP/1.1"), gated.told()]
    answers += [gated.told("", f"x-api-key: {text}", caller=caller) for text in (good["key"], ended["key"], made_up())]
    found = []
    for answer in answers:
        assert refused(answer)
        head, _, body = answer.partition(b"\r\n\r\n")
        names = [line.partition(b":")[0] for line in head.split(b"\r\n")]
        found.append((names, {**json.loads(body), "request_id": ""}, len(answer)))
    assert all(one == found[0] for one in found)


def test_whoever_guesses_through_it_gets_no_more_than_a_few_guesses(gated: Gated, caller: str) -> None:
    key = gated.doorward.a_key()
    for _ in range(LIMIT):
        assert refused(gated.told("", f"x-api-key: {made_up()}", caller=caller))
    assert refused(gated.told("", f"x-api-key: {key['key']}", caller=caller))
    assert is_good(gated.doorward, key)
    assert refused(gated.told("", f"x-api-key: {key['key']}", caller=next(CALLERS)))
    assert not is_good(gated.doorward, key)


def test_it_is_counted_with_what_came_to_the_port(gated: Gated, caller: str) -> None:
    def counted() -> float:
        lines = metrics(gated.doorward).splitlines()
        line = next((one for one in lines if 'plaintext_requests_total{outcome="nothing"}' in one), "x 0")
        return float(line.split()[-1])

    before = counted()
    assert refused(gated.told(caller=caller))
    until(lambda: counted() > before)
