"""Nodes over one database see each other in /v1/nodes, refuse each other's local CA, and leave when they are told."""

from __future__ import annotations

import contextlib
import os
import signal
import ssl
import subprocess
import threading
import time
from pathlib import Path

import httpx2
import pytest
from tests.deployment import auth_of, command, free_port, served

DEADLINE = 60.0
STREAM = "/revocations/stream?since=1:0"


def until(look, holds):
    """What was found, once it holds."""
    deadline = time.monotonic() + DEADLINE
    while not holds(found := look()):
        assert time.monotonic() < deadline, found
        threading.Event().wait(0.1)
    return found


def nodes(doorward, **query):
    reply = doorward.v1("GET", "/nodes?" + "&".join(f"{name}={value}" for name, value in query.items()))
    assert reply.status_code == 200, reply.text
    return {item["id"]: item for item in reply.json()["items"]}


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def database(request, tmp_path_factory):
    directory = tmp_path_factory.mktemp("database")
    if request.param == "postgresql":
        return request.getfixturevalue("postgresql").create()
    return f"sqlite:///{directory / 'doorward.db'}"


@pytest.fixture(scope="module")
def doorward(database, tmp_path_factory):
    directory = tmp_path_factory.mktemp("first")
    with served(
        directory, "--workers", 2, "--database", database, variables={"DOORWARD__NODE_NAME": "first"}
    ) as doorward:
        yield doorward


def secrets_of(doorward):
    """Many nodes share master key and pepper (decision 22)."""
    return {
        "DOORWARD__MASTER_KEY_FILE": str(doorward.directory / "master.key"),
        "DOORWARD__PEPPER_FILE": str(doorward.directory / "pepper"),
    }


def certificate_of(doorward):
    return ["--tls-cert", doorward.directory / "server.pem", "--tls-key", doorward.directory / "server.pem"]


def test_each_worker_of_a_node_is_seen(doorward):
    found = until(
        lambda: nodes(doorward, name="first"), lambda found: [n["state"] for n in found.values()] == ["ready"] * 2
    )
    assert sorted(found) == ["first.1", "first.2"]
    one = found["first.1"]
    assert (one["name"], one["worker"], one["connected_verifiers"]) == ("first", 1, 0)
    assert one["started_at"] <= one["seen_at"]
    assert one["position"].startswith("1:")
    assert abs(one["clock_skew"]) < 10
    reply = doorward.v1("GET", "/nodes/first.1")
    assert reply.status_code == 200
    assert {**reply.json(), "seen_at": 0, "position": ""}.keys() == one.keys()
    assert doorward.v1("GET", "/nodes/nobody.1").status_code == 404


def test_only_who_may_read_nodes_sees_them(doorward):
    assert doorward.v1("GET", "/nodes", key=doorward.an_admin_key("apis:read")).status_code == 403
    assert doorward.v1("GET", "/nodes", key=doorward.an_admin_key("nodes:read")).status_code == 200


def test_a_node_tells_how_many_verifiers_it_has_and_how_far_it_heard(doorward):
    verifier = doorward.a_verifier()
    with doorward.http.stream("GET", STREAM, auth=auth_of(verifier)) as stream:
        assert stream.status_code == 200
        until(lambda: sum(one["connected_verifiers"] for one in nodes(doorward).values()), lambda found: found == 1)
        heard = max(int(one["position"].partition(":")[2]) for one in nodes(doorward).values())
        doorward.an_account()
        until(
            lambda: [(int(one["position"].partition(":")[2]), one["lag_events"]) for one in nodes(doorward).values()],
            lambda found: all(seq > heard and lag == 0 for seq, lag in found),
        )
    until(lambda: sum(one["connected_verifiers"] for one in nodes(doorward).values()), lambda found: found == 0)


def test_the_metrics_of_a_node_say_the_same(doorward):
    def figures():
        text = doorward.http.get("/metrics", headers={"authorization": f"Bearer {doorward.admin_key}"}).text
        return dict(line.split(" ") for line in text.splitlines() if not line.startswith("#") and "{" not in line)

    found = until(figures, lambda found: float(found.get("doorward_ready_workers", 0)) == 2)
    assert float(found["doorward_journal_lag_events"]) >= 0
    assert float(found["doorward_journal_lag_seconds"]) >= 0
    assert abs(float(found["doorward_clock_skew_seconds"])) < 10
    assert float(found["doorward_loop_lag_seconds"]) >= 0


def test_a_killed_worker_is_started_again_in_the_place_of_the_dead_one(doorward):
    before = until(lambda: nodes(doorward, name="first"), lambda found: len(found) == 2)
    pid = doorward.program.pid
    children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    os.kill(children[0], signal.SIGKILL)

    def again(found):
        changed = [id_ for id_ in found if found[id_]["started_at"] > before[id_]["started_at"]]
        return len(changed) == 1 and {one["state"] for one in found.values()} == {"ready"}

    def look():
        # A connection to the dead one may be tried once more.
        with contextlib.suppress(httpx2.TransportError):
            return nodes(doorward, name="first")
        return {}

    until(look, again)


def test_a_local_authority_is_refused_beside_another_node(doorward, database, tmp_path):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DOORWARD")}
    argv = command("--data-dir", tmp_path / "data", "serve", "--port", free_port(), "--database", database)
    for certificate in ([], certificate_of(doorward)):
        done = subprocess.run(
            [*argv, *map(str, certificate)], env=environment | secrets_of(doorward), cwd=tmp_path,
            capture_output=True, text=True, timeout=DEADLINE, check=False,
        )  # fmt: skip
        assert done.returncode == 2, done.stderr
        assert "first serves the same database, and a local CA is for one node" in done.stderr
    assert {one["name"] for one in nodes(doorward).values()} == {"first"}


def test_a_node_that_is_told_to_end_is_first_not_ready_then_gone(doorward, database):
    """Of the same data directory, and so of the same local CA."""
    variables = {"DOORWARD__NODE_NAME": "leaving", "DOORWARD__DRAIN_SECONDS": "6"}
    with served(doorward.directory.parent, "--database", database, variables=variables) as leaving:
        verifier = doorward.a_verifier()
        trust = ssl.create_default_context(cafile=leaving.directory / "ca.pem")
        with contextlib.ExitStack() as stack:
            kept = stack.enter_context(httpx2.Client(base_url=leaving.issuer, verify=trust, trust_env=False))
            assert kept.get("/readyz").status_code == 200
            stream = stack.enter_context(kept.stream("GET", STREAM, auth=auth_of(verifier), timeout=30))
            assert stream.status_code == 200
            os.kill(leaving.program.pid, signal.SIGTERM)
            reply = until(lambda: leaving.http.get("/readyz"), lambda reply: reply.status_code == 503)
            assert reply.json() == {"status": "draining"}
            # It still serves, whoever comes, and asks everybody to come on another connection.
            healthy = leaving.http.get("/healthz")
            assert (healthy.status_code, healthy.headers["connection"]) == (200, "close")
            until(lambda: nodes(doorward).get("leaving.1", {}).get("state"), lambda state: state == "draining")
            for _ in stream.iter_raw():
                pass
            until(lambda: leaving.program.has_ended, bool)
        assert leaving.program.stop() == 0
        assert "leaving.1" not in nodes(doorward)
