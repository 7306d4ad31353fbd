"""What may not be said of gateways: routes that cannot work, and ways to ask that strangers could use."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from doorward import gateway_settings
from doorward.protocol.route_policy import BadRoute
from doorward.settings import Refusal, Settings, is_loopback


def _routes(settings: Settings) -> Refusal | None:
    ways = (
        "correct the table [[gateway.routes]] of this path in doorward.toml",
        "leave the table out: what no route names is refused",
        "let the api say it: `doorward apis update --routes FILE`",
    )
    for one in settings.gateway.routes:
        try:
            gateway_settings.table([one])
        except BadRoute as bad:
            return Refusal(f"the route {one.path} cannot work: {bad.member} {bad.must}", ways)
    taken = gateway_settings.table(settings.gateway.routes).taken
    return Refusal(f"two routes say something of the same: {taken[0].second.path}", ways) if taken else None


def _check_listen(settings: Settings) -> Refusal | None:
    where = settings.check_listen
    if where is None or where.startswith("unix:/"):
        return None
    host, _, port = where.rpartition(":")
    if is_loopback(host) and 0 < int(port) < 65536:
        return None
    return Refusal(
        "check_listen is open to others than this machine: whoever asked there would be taken for a gateway",
        (
            "use a Unix socket: unix:/run/doorward/check.sock",
            "use a loopback address: 127.0.0.1:8444",
            "leave it out, and let gateways elsewhere show check_secret over TLS",
        ),
    )


def _check_grpc(settings: Settings) -> Refusal | None:
    where = settings.check_grpc_listen
    host, _, port = (where or "").rpartition(":")
    if where is None or (is_loopback(host) and 0 < int(port) < 65536 and find_spec("grpc") is not None):
        return None
    return Refusal(
        "check_grpc_listen wants a loopback address, and gRPC to be installed",
        (
            "use a loopback address: 127.0.0.1:8445",
            'install it: pip install "doorward[envoy]"',
            "leave it out, and let Envoy ask at check_listen over HTTP",
        ),
    )


def _check_tls(settings: Settings) -> Refusal | None:
    listens, authority = settings.check_tls_listen is not None, settings.check_client_ca_file
    if not listens and authority is None:
        return None
    if listens and authority is not None and not settings.no_tls:
        return _everybodys(authority)
    return Refusal(
        "check_tls_listen and check_client_ca_file go together, and with TLS: else nobody, or anybody, were a gateway",
        (
            "give both, and leave no_tls out",
            "leave both out, and let gateways elsewhere show check_secret over TLS",
            "leave both out, and let gateways of this machine ask at check_listen",
        ),
    )


# An organisation has a few authorities; more are a system's, from which everybody can have a certificate.
AUTHORITIES = 20


def _everybodys(authority: Path) -> Refusal | None:
    try:
        number = authority.read_bytes().count(b"-----BEGIN ")
    except OSError:
        return None  # told where it is loaded, with what to do
    if number <= AUTHORITIES:
        return None
    return Refusal(
        "check_client_ca_file names the world's authorities: whoever has a certificate of one were taken for a gateway",
        (
            "name a file with the one authority that signs the certificates of your gateways",
            "make one for them alone, such as with step or openssl",
            "leave it and check_tls_listen out, and let gateways elsewhere show check_secret",
        ),
    )


def _check_secret(settings: Settings) -> Refusal | None:
    secret = settings.secret("check_secret")
    if secret is None or (len(secret) >= 32 and secret.isascii() and secret.isprintable() and len(set(secret)) >= 10):
        return None
    return Refusal(
        "check_secret can be guessed: whoever does is taken for a gateway",
        (
            "make one of 32 characters or more: openssl rand -base64 32",
            "let gateways on this machine ask at check_listen instead",
            "leave it out: then no gateway elsewhere can ask",
        ),
    )


CHECKS: tuple[Callable[[Settings], Refusal | None], ...] = (
    _routes,
    _check_listen,
    _check_grpc,
    _check_tls,
    _check_secret,
)
