"""`doorward serve`: checks, prepares, listens, and says in a few lines what to do next."""

import shlex
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from doorward import __version__
from doorward.cli import pasted
from doorward.cli.failure import Failure
from doorward.cli.options import verb
from doorward.cli.pasted import DEFAULT_DATA_DIR, short

if TYPE_CHECKING:
    import socket
    import ssl

    from doorward.data_directory import DataDirectory
    from doorward.settings import Refusal, Settings
    from doorward.web.server import Application, Worker


Directory = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Database, keys and certificates (./doorward-data).")
]
Config = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Settings file (default: ./doorward.toml, if there is one).")
]
Host = Annotated[str | None, typer.Option(metavar="ADDRESS", help="Address to listen on (default: localhost).")]
Port = Annotated[int | None, typer.Option(metavar="PORT", help="Port to listen on (default: 8443).")]
Issuer = Annotated[
    str | None,
    typer.Option(metavar="URL", help="Public https address, the issuer of every token; needed behind a proxy."),
]
Database = Annotated[
    str | None,
    typer.Option(metavar="URL", help="sqlite:///FILE or postgresql://... (default: SQLite in the data directory)."),
]
Certificate = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="Certificate chain (PEM), reloaded when it changes (default: from the local CA)."
    ),
]
Key = Annotated[Path | None, typer.Option(metavar="FILE", help="Its private key (PEM).")]
NoTls = Annotated[bool, typer.Option("--no-tls", help="Plain HTTP; refused beyond loopback.")]
Proxies = Annotated[
    list[str] | None, typer.Option(metavar="CIDR", help="Believe X-Forwarded-Proto and -For from there. Repeatable.")
]
HostNames = Annotated[
    list[str] | None, typer.Option(metavar="NAME", help="One more name of the local certificate. Repeatable.")
]
Workers = Annotated[int | None, typer.Option(metavar="N", help="Processes (default: 1).")]


def serve(
    context: typer.Context,
    data_dir: Directory = None,
    config: Config = None,
    host: Host = None,
    port: Port = None,
    issuer: Issuer = None,
    database: Database = None,
    tls_cert: Certificate = None,
    tls_key: Key = None,
    no_tls: NoTls = False,
    behind_proxy: Proxies = None,
    host_name: HostNames = None,
    workers: Workers = None,
) -> None:
    """Start the server. With no flags: on this machine, over HTTPS, in ./doorward-data.

    Every flag is also DOORWARD__NAME in the environment and in doorward.toml; flags win.
    """
    root = context.find_root().params
    flags = {
        "data_dir": data_dir or root.get("data_dir"),
        "host": host,
        "port": port,
        "issuer": issuer,
        "database": database,
        "workers": workers,
        "tls_cert": tls_cert,
        "tls_key": tls_key,
        "no_tls": no_tls or None,
        "behind_proxy": tuple(behind_proxy or ()),
        "host_names": tuple(host_name or ()),
    }
    raise typer.Exit(_run(flags, config or root.get("config")))


def _run(flags: dict[str, object], config: Path | None) -> int:
    from doorward.refusals import check
    from doorward.settings import StartRefused, load
    from doorward.store.writer import Unavailable

    try:
        settings = load(flags, config)
        refusals = check(settings)
        if refusals:
            raise StartRefused(*refusals)
        return _start(settings, config)
    except StartRefused as refused:
        typer.echo(refusal_text(refused.refusals), err=True)
        return 2
    except Unavailable as problem:
        raise Failure(f"the database cannot be used ({problem})") from None


def _start(settings: "Settings", config: Path | None) -> int:

    from doorward.check_settings import listen_address
    from doorward.data_directory import DataDirectory
    from doorward.web import application, check_listener, check_tls, logs, supervisor
    from doorward.web.sockets import bind

    logs.configure()
    data = DataDirectory.open(settings)
    data.serving()
    tls = _tls(settings, data)
    sockets, others = bind(settings.host, settings.port), check_listener.listen(settings.check_listen)
    plaintext = bind(*listen_address(settings.plaintext_listen)) if settings.plaintext_listen else []
    certified = bind(*listen_address(settings.check_tls_listen)) if settings.check_tls_listen else []
    openings = check_tls.listen(certified, *tls, settings.check_client_ca_file) if tls else ()
    prepared = application.prepare(settings, data)
    data.remember(settings)
    text = banner(settings, data, _setup_link(settings, data, prepared.setup_token), config)
    worker = replace(_worker(settings, data, sockets, tls), plaintext=plaintext, others=others, openings=openings)
    worker = replace(worker, drain_seconds=settings.drain_seconds)
    return supervisor.run(worker, settings.workers, lambda: print(text, flush=True))


def _tls(settings: "Settings", data: "DataDirectory") -> "tuple[Path, Path | None] | None":
    if settings.no_tls:
        return None
    return (settings.tls_cert, settings.tls_key) if settings.tls_cert else (data.certificate(settings), None)


def _worker(
    settings: "Settings",
    data: "DataDirectory",
    sockets: "list[socket.socket]",
    tls: "tuple[Path, Path | None] | None",
) -> "Worker":
    from doorward.web.application import running
    from doorward.web.server import Worker
    from doorward.web.tls import server_context, watch

    def application(node: int) -> "Application":
        return running(settings, data, node=node)

    if tls is None:
        return Worker(application, sockets, behind_proxy=settings.behind_proxy)
    context = load_tls(server_context, *tls)
    renew = None if settings.tls_cert else lambda: data.certificate(settings)
    return Worker(
        application, sockets, context, settings.behind_proxy, beside=lambda: watch(context, *tls, renew=renew)
    )


def load_tls(
    make: "Callable[[Path, Path | None], ssl.SSLContext]", certificate: Path, key: Path | None
) -> "ssl.SSLContext":
    from doorward.settings import Refusal, StartRefused

    try:
        return make(certificate, key)
    except (OSError, ValueError):
        ways = (
            "give a certificate chain and the key that belongs to it, both PEM",
            "give the key without a passphrase",
            "leave both out: the local CA makes a certificate",
        )
        raise StartRefused(Refusal(f"{certificate} and its key cannot be used for TLS", ways)) from None


def _setup_link(settings: "Settings", data: "DataDirectory", token: str | None) -> str | None:
    """The link itself on a terminal; elsewhere it would stay in a log, so only the path of a private file."""
    data.remove_setup_link()
    if token is None:
        return None
    link = f"{settings.issuer}/setup#token={token}"
    return link if sys.stdout.isatty() else str(data.write_setup_link(link))


def refusal_text(refusals: "Iterable[Refusal]") -> str:
    lines = []
    for refusal in refusals:
        lines += [f"doorward did not start: {refusal.sentence}.", "Any one of these is a way out:"]
        lines += [f"  {number}. {way}" for number, way in enumerate(refusal.ways_out, 1)]
    return "\n".join(lines)


def banner(settings: "Settings", data: "DataDirectory", link: str | None, config: Path | None = None) -> str:
    from doorward.secrets_export import is_nagged

    rows: list[tuple[str, list[str]]] = [(f"Doorward {__version__} serves {settings.issuer}", [])]
    rows.append(("Data", [f"{short(data.path)}  (private: keys and database; doorward backup FILE)"]))
    if is_nagged(data, settings):
        rows[-1][1].append("master key and pepper are in no backup: doorward config export-secrets FILE")
    if data.ca_file:
        ca = short(data.ca_file)
        rows.append(("Trust", [f"{ca}  (own local CA; nothing is installed by itself)"]))
        rows[-1][1].append(f"curl --cacert {shlex.quote(ca)} {settings.issuer}/healthz")
    if link:
        note = "(the first administrator: works once, for 30 minutes)"
        rows.append(("Set up", [link, note] if "#token=" in link else [f"open the link in {link}", note]))
    if settings.check_listen:
        rows.append(("Check", [f"{settings.check_listen}  (for gateways of this machine: doorward gateway config)"]))
    if settings.check_tls_listen:
        rows.append(("Check", [f"https://{settings.check_tls_listen}  (for gateways that have a client certificate)"]))
    rows.append(("Next", ["in another terminal:", *next_commands(settings, config)]))
    rows.append(("Stop", ["Ctrl-C; what is in flight is finished first"]))
    return _tree(rows)


def _tree(rows: "list[tuple[str, list[str]]]") -> str:
    (title, _), *branches = rows
    lines = [title]
    for number, (name, texts) in enumerate(branches):
        last = number == len(branches) - 1
        for index, text in enumerate(texts):
            stem = ("└─ " if last else "├─ ") if index == 0 else ("   " if last else "│  ")
            lines.append(f"{stem}{name if index == 0 else '':<8}{text}".rstrip())
    return "\n".join(lines)


def next_commands(settings: "Settings", config: Path | None) -> list[str]:
    away = settings.data_dir.absolute() != DEFAULT_DATA_DIR.absolute()
    command = pasted.command({"data_dir": settings.data_dir if away else None, "config": config})
    api = "https://api.example.com"
    return [
        f'{command} apis create {api} --name Invoices --scope "invoices:read=Read your invoices"',
        f'{command} accounts create acme --name "Acme Inc"',
        f"{command} keys create --account acme --api {api} --scope invoices:read --expires-in 90d",
    ]


EXAMPLES = """
doorward serve
doorward serve --host 0.0.0.0 --issuer https://auth.example.com \\
  --tls-cert chain.pem --tls-key key.pem
doorward serve --host 0.0.0.0 --issuer https://auth.example.com \\
  --behind-proxy 10.0.0.0/8
"""

app = verb(serve, EXAMPLES)
