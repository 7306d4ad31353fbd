"""`doorward gateway`: configurations for the proxies that ask Doorward, and a doctor who attacks a running one."""

from __future__ import annotations

import re
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from doorward.cli import gateway_config, gateway_routes, output
from doorward.cli.credential_input import read
from doorward.cli.failure import USAGE, Failure
from doorward.cli.options import Json, noun

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator

    from doorward.cli.gateway_attacks import Patient
    from doorward.cli.gateway_doctor import Finding
    from doorward.cli.gateway_wire import Door, Echo

app = noun(
    "Gateways that ask Doorward: nginx, Caddy, HAProxy and others.",
    """
doorward gateway config nginx --service billing -o doorward.conf
doorward gateway config envoy --check unix:/run/doorward/check.sock
doorward gateway doctor https://api.example.com --path /invoices --key @key
""",
)
app.add_typer(gateway_routes.app, name="routes")
OFF = "off"
SYSTEM_CA = "/etc/ssl/certs/ca-certificates.crt"


class Gateway(StrEnum):
    nginx = "nginx"
    caddy = "caddy"
    haproxy = "haproxy"
    traefik = "traefik"
    envoy = "envoy"
    k8s = "k8s"


Named = Annotated[Gateway, typer.Argument(metavar="GATEWAY", help="nginx, caddy, haproxy, traefik, envoy or k8s.")]
Behind = Annotated[str, typer.Option("--service", metavar="NAME", help="Of what is behind it, as routes name it.")]
Listen = Annotated[str, typer.Option(metavar="ADDRESS", help="Where it serves HTTPS.")]
Plaintext = Annotated[str, typer.Option(metavar="ADDRESS", help="Where it refuses plain HTTP; off leaves that out.")]
Upstream = Annotated[str, typer.Option(metavar="URL", help="Where requests go that may pass.")]
Check = Annotated[
    str, typer.Option(metavar="URL", help="Doorward's check_listen: unix:/FILE or http://127.0.0.1:PORT.")
]
CheckSecret = Annotated[
    str | None, typer.Option(metavar="-|@FILE", help="For a gateway elsewhere: Doorward's check_secret.")
]
CheckCert = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="The gateway's own certificate (PEM), for Doorward's check_tls_listen."),
]
CheckKey = Annotated[str | None, typer.Option(metavar="FILE", help="The private key of that (PEM).")]
Certificate = Annotated[str, typer.Option(metavar="FILE", help="Its certificate chain (PEM).")]
Key = Annotated[str, typer.Option(metavar="FILE", help="Its private key (PEM).")]
Trusted = Annotated[str, typer.Option(metavar="FILE", help="Whom it trusts where it connects over TLS (PEM).")]
Out = Annotated[Path | None, typer.Option("-o", "--output", metavar="FILE", help="Write it there.")]


@app.command()
def config(
    gateway: Named,
    service: Behind = "api",
    listen: Listen = "0.0.0.0:443",
    plaintext: Plaintext = "0.0.0.0:80",
    upstream: Upstream = "http://127.0.0.1:8000",
    check: Check = "unix:/run/doorward/check.sock",
    check_secret: CheckSecret = None,
    check_cert: CheckCert = None,
    check_key: CheckKey = None,
    tls_cert: Certificate = "/etc/ssl/api.pem",
    tls_key: Key = "/etc/ssl/api.key",
    ca_file: Trusted = SYSTEM_CA,
    out: Out = None,
) -> None:
    """Write a configuration that asks about every request, and fails closed."""
    wanted = gateway_config.Wanted(
        gateway_config.behind(service),
        gateway_config.hop(upstream, "--upstream"),
        gateway_config.hop(check, "--check"),
        gateway_config.listener(listen, "--listen"),
        None if plaintext == OFF else gateway_config.listener(plaintext, "--plaintext"),
        gateway_config.plain_file(tls_cert, "--tls-cert"),
        gateway_config.plain_file(tls_key, "--tls-key"),
        gateway_config.plain_file(ca_file, "--ca-file"),
        gateway_config.secret(read(check_secret, "secret")) if check_secret else "",
        gateway_config.plain_file(check_cert, "--check-cert") if check_cert else "",
        gateway_config.plain_file(check_key, "--check-key") if check_key else "",
    )
    _warn(wanted)
    directory = Path() if out is None else out.parent
    written = gateway_config.write(gateway, wanted, directory.absolute())
    if out is None:
        output.say(written.text.rstrip("\n"))
        for name in written.beside:
            output.note(f"{name} belongs beside it: -o FILE writes both.")
        return
    for path, text in ((out, written.text), *((directory / name, text) for name, text in written.beside.items())):
        _keep(path, text, private=bool(wanted.secret))
        output.note(f"Wrote {path}")


def _warn(wanted: gateway_config.Wanted) -> None:
    for name, hop in (("--upstream", wanted.upstream), ("--check", wanted.check)):
        if gateway_config.beyond_loopback(hop):
            output.note(
                f"warning: {name} is plain HTTP beyond this machine: whoever is in between reads and changes it"
            )
    if (
        not wanted.check.socket
        and not (wanted.secret or wanted.check_certificate)
        and (wanted.check.tls or gateway_config.beyond_loopback(wanted.check))
    ):
        output.note(
            "warning: Doorward answers a gateway elsewhere only with a secret or a certificate: --check-secret @FILE"
        )


def _keep(path: Path, text: str, *, private: bool) -> None:
    """A file with the secret is its owner's alone, from its first byte on."""
    path.touch(mode=0o600 if private else 0o644)
    if private:
        path.chmod(0o600)
    path.write_text(text, "utf-8")


@app.command()
def doctor(
    url: Annotated[str, typer.Argument(metavar="URL", help="The gateway, such as https://api.example.com.")],
    path: Annotated[str, typer.Option(metavar="PATH", help="Needs a credential, and answers GET.")],
    key: Annotated[str | None, typer.Option(metavar="-|@FILE", help="A key that opens it.")] = None,
    ended_key: Annotated[str | None, typer.Option(metavar="-|@FILE", help="A revoked or expired one.")] = None,
    denied: Annotated[str | None, typer.Option(metavar="'METHOD PATH'", help="What the key does not open.")] = None,
    public: Annotated[str, typer.Option(metavar="PATH", help="A public path, to break out of.")] = "",
    echo: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Stand in for the service there, to see what reaches it.")
    ] = None,
    plaintext: Annotated[str | None, typer.Option(metavar="URL", help="Its plaintext port, to be refused at.")] = None,
    ca_file: Annotated[Path | None, typer.Option(metavar="FILE", help="Whom to trust instead of the system's.")] = None,
    json: Json = False,
) -> None:
    """Attack a running gateway of your own. Exit code 1 says that there is a hole."""
    from doorward.cli.gateway_attacks import Patient

    _check_path(path, "--path")
    if public:
        _check_path(public, "--public")
    door = _door(url, ca_file)
    patient = Patient(
        door.authority, path, read(key) if key else "", read(ended_key) if ended_key else "", _denied(denied), public
    )
    other = None if plaintext is None else _door(plaintext, ca_file)
    with _echo(echo) as standing:
        found = list(_examined(door, other, patient, standing))
    holes = sum(one.verdict == "HOLE" for one in found)
    if json:
        cases = [
            {"case": one.case, "verdict": one.verdict.lower(), "found": one.found, "fix": one.fix} for one in found
        ]
        output.show_json({"url": url, "holes": holes, "cases": cases})
    else:
        _tell(found, holes)
    if not patient.key:
        output.note("without --key nothing shows that anybody passes at all")
    if holes:
        raise typer.Exit(1)


def _examined(door: Door, plaintext: Door | None, patient: Patient, echo: Echo | None) -> Iterator[Finding]:
    from doorward.cli import gateway_doctor

    yield from gateway_doctor.examine(door, patient, echo, _progress)
    if plaintext is not None:
        yield from gateway_doctor.plaintext(plaintext, patient)
    _progress("")


def _progress(name: str) -> None:
    """One line, for a person alone."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{output.printable(name)[:70]}", end="", file=sys.stderr, flush=True)


def _tell(found: list[Finding], holes: int) -> None:
    output.table(("VERDICT", "CASE", "FOUND"), [(one.verdict, one.case, one.found) for one in found])
    for fix in dict.fromkeys(one.fix for one in found if one.fix):
        output.say(f"fix: {fix}")
    skipped = sum(one.verdict == "skipped" for one in found)
    output.note(f"{len(found) - skipped} cases, {holes} holes" + (f"; {skipped} need --echo" if skipped else ""))


def _door(url: str, ca_file: Path | None) -> Door:
    from doorward.cli.gateway_wire import Door

    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if host is None or parts.scheme not in ("http", "https"):
        raise Failure(f"{url} is no http(s):// address", exit_code=USAGE)
    if parts.scheme == "http":
        return Door(host, port or 80)
    return Door(host, port or 443, _trust(ca_file))


def _trust(ca_file: Path | None) -> ssl.SSLContext:
    import ssl

    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError):
        raise Failure(f"{ca_file} cannot be read as certificates (PEM)", exit_code=USAGE) from None


def _check_path(path: str, option: str) -> None:
    if not re.fullmatch(r"(/[A-Za-z0-9._~-]+)+", path):
        raise Failure(f"{option} is a plain path of one segment or more, such as /invoices", exit_code=USAGE)


def _denied(text: str | None) -> tuple[str, str] | None:
    if text is None:
        return None
    method, _, path = text.partition(" ")
    if not method.isalpha() or not path.startswith("/"):
        raise Failure("--denied is a method and a path, such as 'POST /invoices'", exit_code=USAGE)
    return method.upper(), path


def _echo(address: str | None) -> Echo:
    from contextlib import nullcontext

    from doorward.cli.gateway_wire import Echo

    if address is None:
        return nullcontext()  # type: ignore[return-value]
    listener = gateway_config.listener(address, "--echo")
    try:
        return Echo(listener.host.strip("[]"), listener.port)
    except OSError as fault:
        raise Failure(
            f"nobody can listen on {address}: {(fault.strerror or '').lower()}; stop the service first"
        ) from None
