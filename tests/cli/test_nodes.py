"""`doorward nodes`: who serves, as a table and one by one."""

from __future__ import annotations

import time

import httpx2
import pytest

NOW = int(time.time())
HEADER = ["ID", "STATE", "VERSION", "SCHEMA", "STARTED", "SEEN", "POSITION", "LAG", "VERIFIERS", "CLOCK"]
NODE = {
    "id": "web1.1", "name": "web1", "worker": 1, "state": "ready", "version": "1.2.3", "schema_revision": "0042",
    "started_at": NOW - 2 * 86_400, "seen_at": NOW - 2, "position": "1:1042", "lag_events": 0, "lag_seconds": 0,
    "connected_verifiers": 12, "clock_skew": -0.125,
}  # fmt: skip
LATE = {**NODE, "id": "web2.1", "name": "web2", "state": "lost", "lag_events": 7, "lag_seconds": 3, "clock_skew": 61.5}


def test_workers_are_listed_with_how_far_they_are(run, server):
    asked = server(httpx2.Response(200, json={"items": [NODE, LATE], "next_cursor": None}))
    ran = run("nodes", "list", "--name", "web1")
    assert ran.code == 0, ran.err
    assert asked[0].url.params["name"] == "web1"
    header, first, second = ran.out.splitlines()
    assert header.split() == HEADER
    for text in ("web1.1", "ready", "1.2.3", "0042", "2 days ago", "1:1042", "12", "-0.1 s"):
        assert text in first
    for text in ("web2.1", "lost", "7 (3 s)", "+61.5 s"):
        assert text in second


def test_one_worker_is_shown(run, server):
    asked = server(httpx2.Response(200, json=LATE), httpx2.Response(200, json=LATE))
    ran = run("nodes", "show", "web2.1")
    assert asked[0].url.path == "/v1/nodes/web2.1"
    assert ran.out.startswith("web2.1 is lost")
    assert "1:1042, behind by 7 (3 s)" in ran.out
    assert run("nodes", "show", "web2.1", "--json").json == LATE


@pytest.mark.parametrize("words", [("list",), ("list", "--json")])
def test_where_no_server_runs_there_is_no_node(acme, words):
    ran = acme("nodes", *words)
    assert ran.code == 0
    assert ran.json["items"] == [] if "--json" in words else "There are no nodes here." in ran.err
