"""Gateways as `doorward gateway config` writes them, each a process on the server's core, and what stands behind them.

They serve HTTPS under a certificate of the bench's own; their access logs go nowhere.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import shutil
import subprocess
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path

import machine
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from processes import COMMAND, PATIENCE, Child, free_port, pinned, wait_for

FILES = {"nginx": "doorward.conf", "caddy": "Caddyfile", "haproxy": "haproxy.cfg"}
KINDS = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
BIND = "127.0.0.1"


def program(name: str) -> str | None:
    """Debian keeps some where only root looks."""
    return shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")


def certificate(place: Path) -> Path:
    """Chain and key in one file, for an hour."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    now, hour = datetime.datetime.now(datetime.UTC), datetime.timedelta(hours=1)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now - hour, now + hour)
    names = x509.SubjectAlternativeName([x509.DNSName("localhost")])
    made = builder.add_extension(names, critical=True).sign(key, hashes.SHA256())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (place / "gateway.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM) + private)
    return place / "gateway.pem"


@dataclass(frozen=True)
class Place:
    """Where gateways of one kind of answer stand: whom they ask, and what is behind them."""

    directory: Path
    certificate: Path
    check_url: str
    upstream: int


@contextlib.contextmanager
def standing(name: str, place: Place) -> Generator[tuple[Child, str]]:
    """The gateway and its URL, as it is generated."""
    directory, port = place.directory / name, free_port()
    directory.mkdir(parents=True)
    file = directory / FILES[name]
    words = ["--check", place.check_url, "--upstream", f"http://{BIND}:{place.upstream}", "--plaintext", "off"]
    words += ["--listen", f"{BIND}:{port}", "--tls-cert", str(place.certificate), "--tls-key", str(place.certificate)]
    subprocess.run([COMMAND, "gateway", "config", name, *words, "-o", file], check=True, capture_output=True)
    _adapt(file, name)
    with running(_command(name, file, directory), directory, port) as child:
        yield child, f"https://{BIND}:{port}"


@contextlib.contextmanager
def running(command: list[str | Path], directory: Path, port: int) -> Generator[Child]:
    environment = {"PATH": os.environ["PATH"], "HOME": str(directory), "XDG_DATA_HOME": str(directory)}
    process = subprocess.Popen(
        pinned(machine.SERVER_CORE, command), env=environment, text=True, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_for(port)
        yield Child(process)
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE)
        process.kill()
        process.wait()


def _adapt(file: Path, name: str) -> None:
    """No log, and no change of user where the bench runs as somebody who may not; else it is left as it is."""
    text = file.read_text().replace("/var/log/nginx/doorward.log doorward", "off")
    text = text.replace("/var/log/nginx/doorward-error.log", "/dev/null")
    if os.geteuid() != 0:
        text = text.replace("    user haproxy\n    group haproxy\n", "")
    if name == "haproxy":
        text = text.replace("global\n", "global\n    nbthread 1\n", 1)
    file.write_text(text)


def _command(name: str, file: Path, directory: Path) -> list[str | Path]:
    binary = program(name)
    assert binary is not None
    if name == "nginx":
        return nginx(binary, directory, f"include {file};")
    if name == "caddy":
        return [binary, "run", "--config", file, "--adapter", "caddyfile"]
    return [binary, "-db", "-f", file]


def nginx(binary: str, directory: Path, http: str) -> list[str | Path]:
    temporary = "".join(f"{kind}_temp_path {directory}/{kind}; " for kind in KINDS)
    user = "user root; " if os.geteuid() == 0 else ""
    (directory / "main.conf").write_text(
        f"{user}daemon off; worker_processes 1; error_log stderr crit; pid {directory}/nginx.pid; events {{}}\n"
        f"http {{ access_log off; keepalive_requests 10000000; {temporary} {http} }}\n"
    )
    return [binary, "-e", "stderr", "-p", directory, "-c", directory / "main.conf"]


@dataclass(frozen=True)
class Behind:
    """One nginx: the service, and what answers as Doorward did once, always the same."""

    child: Child
    service: int
    constant_url: str


@contextlib.contextmanager
def behind(directory: Path, said: Mapping[str, str]) -> Generator[Behind]:
    """`said` are the header fields of Doorward's yes."""
    binary = program("nginx")
    if binary is None:
        raise SystemExit("nginx is missing, which stands for the service behind gateways: apt-get install nginx")
    directory.mkdir(parents=True)
    service, constant = free_port(), free_port()
    fields = " ".join(f"add_header {name} '{value}';" for name, value in said.items())
    http = (
        f"server {{ listen {BIND}:{service}; location / {{ return 200 ok; }} }}\n"
        f"server {{ listen {BIND}:{constant}; location / {{ {fields} return 200 ''; }} }}\n"
    )
    with running(nginx(binary, directory, http), directory, service) as child:
        yield Behind(child, service, f"http://{BIND}:{constant}")
