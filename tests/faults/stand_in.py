"""Stands in for `doorward` where the stories run on many nodes: the same words, and the stories do not notice.

doorward --data-dir DIR serve --port PORT ...      three nodes behind nginx at that port, and a storm among them
doorward --data-dir DIR apis create ...            the same command over HTTPS, through nginx, with an admin key

STAND_IN in the environment is a JSON object: where to keep what happened, the PostgreSQL for a database for each
`serve`, and every how many seconds a node is killed.
"""

from __future__ import annotations

import json
import os
import signal
import ssl
import sys
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.faults import ledger

VARIABLE = "STAND_IN"
# What `served` waits for, and what a story of a command does.
ANNOUNCEMENT = "It serves. Ctrl-C ends it."
OWN_FLAGS = ("--data-dir", "--port", "--issuer", "--database")
FOUND = "stand-in.json"


@dataclass(frozen=True)
class Given:
    """`server` is the URL of a database of PostgreSQL; `kept` a directory for the ledgers."""

    kept: str
    server: str
    every: float

    @property
    def variable(self) -> dict[str, str]:
        return {VARIABLE: json.dumps(asdict(self))}


@dataclass(frozen=True)
class Words:
    """The flags that mean one server; `others` are each node's, too."""

    flags: dict[str, str]
    others: list[str]


def split(words: Sequence[str]) -> Words:
    flags, others, rest = {}, [], iter(words)
    for word in rest:
        if word in OWN_FLAGS:
            flags[word] = next(rest)
        else:
            others.append(word)
    return Words(flags, others)


def main(words: Sequence[str], given: Given) -> int:
    asked = split(words)
    if "serve" in asked.others:
        return serve(asked, given)
    _command(words, asked)
    raise AssertionError("it was replaced by the command")


def _command(words: Sequence[str], asked: Words) -> None:
    from tests.deployment import INSTALLED

    found = Path(asked.flags.get("--data-dir", "")) / FOUND
    if "--data-dir" not in asked.flags or not found.is_file():
        os.execv(INSTALLED, [INSTALLED, *words])
    url = json.loads(found.read_text())["url"]
    trust = {"DOORWARD_CA_FILE": str(found.with_name("ca.pem")), "DOORWARD_ADMIN_KEY": _admin_key(found, url)}
    os.execve(INSTALLED, [INSTALLED, "--url", url, *asked.others], {**os.environ, **trust})


def _admin_key(found: Path, url: str) -> str:
    """Of the first administrator, whom the first command makes."""
    import httpx2

    kept = found.with_name("stand-in.key")
    if not kept.is_file():
        token = found.with_name("setup-link").read_text().strip().partition("#token=")[2]
        trust = ssl.create_default_context(cafile=found.with_name("ca.pem"))
        reply = httpx2.post(f"{url}/setup", json={"token": token}, verify=trust, trust_env=False)
        kept.write_text(reply.raise_for_status().json()["key"])
    return kept.read_text()


def serve(asked: Words, given: Given) -> int:
    """Until it is told to end; then `kept` has what happened."""
    from tests.faults import nodes_behind_nginx as behind

    data, port = Path(asked.flags["--data-dir"]).absolute(), int(asked.flags["--port"])
    data.mkdir(parents=True, exist_ok=True)
    own = Path(given.kept) / f"on-{port}"
    own.mkdir()
    url = f"https://localhost:{port}"
    issuer = asked.flags.get("--issuer", url)
    _authority(data)
    kills: list[float] = []
    nodes = _nodes(asked, data, own, issuer, _database(given.server, port))

    def report() -> None:
        told = {"database": _name(port), "kills": len(kills), "started": [one.started for one in nodes]}
        # Somebody reads it meanwhile.
        (own / "report.new").write_text(json.dumps(told))
        (own / "report.new").replace(own / "report.json")

    def killed() -> None:
        kills.append(0)
        report()

    is_over = _until_told()
    configuration = behind.advised([one.port for one in nodes], port, data / "server.pem", data / "ca.pem")
    with ExitStack() as stack:
        for node in nodes:
            stack.callback(node.kill)
        _start(nodes, is_over)
        stack.enter_context(behind.nginx(own, configuration, own / "ledger", port))
        (data / "setup-link").write_text((own / "node0/data/setup-link").read_text())
        (data / FOUND).write_text(json.dumps({"url": url}))
        report()
        print(ANNOUNCEMENT, flush=True)
        _until_set_up(own / "ledger", is_over)
        behind.storm(nodes, given.every, is_over, killed)
        report()
    return 0


def _start(nodes: Sequence[Any], is_over: threading.Event) -> None:
    """The first one makes the secrets, which all have."""
    for some in (nodes[:1], nodes[1:]):
        for one in some:
            one.spawn()
        for one in some:
            one.wait(is_over)


def _until_set_up(file: Path, is_over: threading.Event) -> None:
    """The link of the first administrator works once: its answer may not be lost."""
    while not is_over.wait(0.05):
        if any((one.path, one.status) == ("/setup", 201) for one in ledger.read(file)):
            return


def _nodes(asked: Words, data: Path, own: Path, issuer: str, database: str) -> list[Any]:
    from tests.deployment import INSTALLED
    from tests.faults.nodes_behind_nginx import Node, ports

    secrets = own / "node0/data"
    files = {"MASTER_KEY_FILE": secrets / "master.key", "PEPPER_FILE": secrets / "pepper"}
    shared = {f"DOORWARD__{name}": str(file) for name, file in files.items()}
    trust = ssl.create_default_context(cafile=data / "ca.pem")
    made = []
    for number, port in enumerate(ports()):
        name = f"node{number}"
        directory = own / name
        directory.mkdir()
        argv = [
            INSTALLED, "--data-dir", str(directory / "data"), *asked.others, "--port", str(port), "--issuer", issuer,
            "--database", database, "--tls-cert", str(data / "server.pem"), "--tls-key", str(data / "server.pem"),
            "--behind-proxy", "127.0.0.1/32",
        ]  # fmt: skip
        variables = {**os.environ, "DOORWARD__NODE_NAME": name, **(shared if number else {})}
        made.append(Node(name, argv, directory, port, trust, variables, lambda line: print(line, end="", flush=True)))
    return made


def _authority(data: Path) -> None:
    from doorward import local_ca

    now = datetime.now(UTC)
    authority, key = local_ca.new_authority([], now)
    (data / "ca.pem").write_bytes(authority)
    (data / "server.pem").write_bytes(local_ca.issue(authority, key, ["localhost", "127.0.0.1", "::1"], now))


def _name(port: int) -> str:
    return f"stories_{port}"


def _database(server: str, port: int) -> str:
    import psycopg

    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {_name(port)}".encode())
    return server.replace("/postgres?", f"/{_name(port)}?")


def _until_told() -> threading.Event:
    is_over = threading.Event()

    def end(number: int, frame: FrameType | None) -> None:
        is_over.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    return is_over


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], Given(**json.loads(os.environ[VARIABLE]))))
