"""A private Valkey or Redis for tests: Debian's program, an unprivileged user, a Unix socket, and TLS on a free port.

It keeps nothing on disk: what it knew is gone when it ends.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.deployment import Program, free_port
from tests.postgresql import guarded

from doorward import local_ca

MISSING = "valkey-server and redis-server are missing: `apt-get install redis-server`"
READY = "Ready to accept connections"


def _user() -> dict[str, Any]:
    if os.getuid() != 0:
        return {}
    entry = pwd.getpwnam("nobody")
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


@dataclass
class Valkey:
    """`url` is its socket, `tls_url` its port; whoever trusts `ca_file` knows it as localhost."""

    binary: str
    directory: Path
    port: int = field(default_factory=free_port)
    _program: Program | None = None

    @property
    def url(self) -> str:
        return f"unix://{self.directory}/socket"

    @property
    def tls_url(self) -> str:
        return f"rediss://localhost:{self.port}"

    @property
    def certificate(self) -> Path:
        return self.directory / "server.pem"

    @property
    def ca_file(self) -> Path:
        return self.directory / "ca.pem"

    def start(self) -> None:
        """Returns when connections are accepted."""
        options = {
            "bind": "127.0.0.1", "port": 0, "tls-port": self.port, "unixsocket": self.directory / "socket",
            "unixsocketperm": 777, "tls-cert-file": self.certificate, "tls-key-file": self.certificate,
            "tls-ca-cert-file": self.ca_file, "tls-auth-clients": "no", "save": "", "appendonly": "no",
            "dir": self.directory, "maxmemory": "64mb", "maxmemory-policy": "noeviction",
        }  # fmt: skip
        argv = [self.binary, *(word for name, value in options.items() for word in (f"--{name}", str(value)))]
        self._program = Program(argv, cwd=self.directory, **_user())
        self._program.wait_for(READY)

    def stop(self) -> None:
        """As a crash."""
        assert self._program is not None
        if not self._program.has_ended:
            os.kill(self._program.pid, signal.SIGKILL)
        self._program.stop()


def _certificates(directory: Path) -> None:
    now = datetime.now(UTC)
    authority, key = local_ca.new_authority((), now)
    (directory / "ca.pem").write_bytes(authority)
    (directory / "server.pem").write_bytes(local_ca.issue(authority, key, ["localhost"], now))


@contextlib.contextmanager
def private_valkey() -> Iterator[Valkey]:
    binary = shutil.which("valkey-server") or shutil.which("redis-server")
    if binary is None:
        raise RuntimeError(MISSING)
    with guarded("doorward-valkey-") as directory:
        _certificates(directory)
        for path in (directory, *directory.iterdir()):
            shutil.chown(path, *(_user().get(name, -1) for name in ("user", "group")))
        directory.chmod(0o755)
        server = Valkey(binary, directory)
        server.start()
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture(scope="session")
def valkey() -> Iterator[Valkey]:
    """Tests that end it start it again."""
    with private_valkey() as server:
        yield server
