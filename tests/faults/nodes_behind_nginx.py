"""Three nodes of one deployment behind nginx, each of which may be killed at any time: it is started again.

nginx is set up as docs/nodes.md says, and writes down every answer that it gave.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import httpx2
from tests.deployment import free_port

NODES = 3
READY_WITHIN, LOOK = 60.0, 0.02
DOCUMENT = Path(__file__).parents[2] / "docs/nodes.md"
# What a node prints for whoever started it is told by the cluster itself.
OWN_BANNER = ("Ctrl-C", "serves")
LEDGER = (
    'log_format ledger escape=json \'{"at":$msec,"method":"$request_method","path":"$uri","status":$status,'
    '"asked":"$upstream_status","id":"$sent_http_x_request_id","replay":"$upstream_http_idempotent_replay"}\';'
)


@dataclass
class Node:
    """`started` says how long each of its starts took until it was ready; one that could not start is tried again."""

    name: str
    argv: Sequence[str]
    directory: Path
    port: int
    trust: ssl.SSLContext
    variables: Mapping[str, str]
    tell: Callable[[str], None]
    started: list[float] = field(default_factory=list)
    _process: subprocess.Popen[str] | None = None
    _began: float = 0.0

    def spawn(self) -> None:
        """By the main thread: with the thread that made it a process loses its parent, and so its life."""
        self._began = time.monotonic()
        # A group of its own: with its workers it dies as a machine would.
        guard = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
        self._process = subprocess.Popen(
            [*guard, *self.argv], cwd=self.directory, env=dict(self.variables), text=True, errors="replace",
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        assert self._process.stdout is not None
        threading.Thread(target=self._listen, args=(self._process.stdout,), daemon=True).start()

    def wait(self, is_over: threading.Event) -> None:
        """Until it is ready, or nobody needs it any more."""
        deadline = time.monotonic() + READY_WITHIN
        with httpx2.Client(verify=self.trust, trust_env=False, timeout=5) as http:
            while not self._is_ready(http):
                if is_over.is_set():
                    return
                if time.monotonic() > deadline:
                    raise RuntimeError(f"{self.name} never became ready")
                if self._process is not None and self._process.poll() is not None:
                    # The database may be away just now: whoever looks after services starts it again.
                    self.spawn()
                time.sleep(LOOK)
        self.started.append(time.monotonic() - self._began)

    def _is_ready(self, http: httpx2.Client) -> bool:
        with contextlib.suppress(httpx2.TransportError):
            return http.get(f"https://localhost:{self.port}/readyz").status_code == 200
        return False

    def _listen(self, said: IO[str]) -> None:
        with said:
            for line in said:
                if not any(word in line for word in OWN_BANNER):
                    self.tell(line)

    def kill(self) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


def storm(nodes: Sequence[Node], every: float, is_over: threading.Event, told: Callable[[], None]) -> None:
    """One node after the other is killed, and started again; at no time is more than one away."""
    for victim in itertools.cycle(nodes):
        if is_over.wait(every):
            return
        victim.kill()
        told()
        victim.spawn()
        victim.wait(is_over)


def advised(nodes: Sequence[int], listen: int, chain: Path, authority: Path) -> str:
    """The configuration of docs/nodes.md, with the addresses and files of this machine in it and nothing else."""
    found = re.search(r"```nginx\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    assert found, "docs/nodes.md says nothing of nginx"
    text = found[1]
    names = {
        "listen 443 ssl;": f"listen 127.0.0.1:{listen} ssl; listen [::1]:{listen} ssl;",
        "server_name auth.example.com;": "server_name localhost;",
        "/etc/nginx/auth.example.com.pem": str(chain),
        "/etc/nginx/nodes-ca.pem": str(authority),
        "proxy_ssl_name auth.internal;": "proxy_ssl_name localhost;",
        **{f"auth{number + 1}.internal:8443": f"127.0.0.1:{port}" for number, port in enumerate(nodes)},
    }
    for name, here in names.items():
        assert name in text, f"docs/nodes.md has no {name}"
        text = text.replace(name, here)
    assert not re.search(r"\.internal|example\.com", text), "docs/nodes.md names what is not on this machine"
    return text


@contextlib.contextmanager
def nginx(directory: Path, configuration: str, ledger: Path, port: int) -> Iterator[None]:
    """Once it takes connections."""
    from tests.gateways.proxies import program

    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "".join(f"{kind}_temp_path {directory}/{kind};" for kind in kinds)
    user = "user root;" if os.geteuid() == 0 else ""
    file = directory / "nginx.conf"
    file.write_text(
        f"{user} daemon off; worker_processes 1; pid {directory}/nginx.pid; error_log {directory}/error.log;\n"
        f"events {{}}\nhttp {{ {temporary}\n{LEDGER}\naccess_log {ledger} ledger;\n{configuration} }}\n"
    )
    guard = ["setpriv", "--pdeathsig", "TERM"] if shutil.which("setpriv") else []
    argv = [*guard, program("nginx"), "-e", str(directory / "error.log"), "-p", str(directory), "-c", str(file)]
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL)
    try:
        _wait_for(port)
        yield
    finally:
        # Whoever is still answered gets the whole answer, and stands in the ledger.
        process.send_signal(signal.SIGQUIT)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.terminate()
            process.wait()


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + READY_WITHIN
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(LOOK)
        else:
            return


def ports() -> list[int]:
    found: set[int] = set()
    while len(found) < NODES:
        found.add(free_port())
    return sorted(found)
