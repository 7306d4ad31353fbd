"""TLS of the server: 1.2 and newer, AEAD ciphers only (RFC 9325 §4.2), certificates replaced live."""

import asyncio
import logging
import ssl
from collections.abc import Callable
from pathlib import Path

CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL"
POLL_INTERVAL = 1.0
RENEW_INTERVAL = 3600.0

log = logging.getLogger("doorward.tls")


def server_context(certificate: Path, key: Path | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.set_alpn_protocols(["http/1.1"])
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.load_cert_chain(certificate, key)
    return context


async def watch(
    context: ssl.SSLContext,
    certificate: Path,
    key: Path | None = None,
    renew: Callable[[], object] | None = None,
) -> None:
    """Polls, because it works on every file system; `renew` replaces our own certificate in time."""
    seen = state(certificate, key)
    loop = asyncio.get_running_loop()
    renew_at = loop.time() + RENEW_INTERVAL
    while True:
        await asyncio.sleep(POLL_INTERVAL)
        if renew is not None and loop.time() >= renew_at:
            renew_at = loop.time() + RENEW_INTERVAL
            _try_to(renew)
        now = state(certificate, key)
        if now != seen:
            seen = now
            reload(context, certificate, key)


def reload(context: ssl.SSLContext, certificate: Path, key: Path | None = None) -> bool:
    """Tries a bad pair elsewhere: a failed load would leave the live context without a key."""
    try:
        server_context(certificate, key)
        context.load_cert_chain(certificate, key)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        log.error("the new certificate %s is not usable, the old one stays: %s", certificate, type(error).__name__)
        return False
    log.warning("the certificate %s was replaced", certificate)
    return True


def _try_to(renew: Callable[[], object]) -> None:
    try:
        renew()
    except Exception:
        log.exception("the certificate could not be renewed")


def state(*files: Path | None) -> tuple[tuple[int, int, int] | None, ...]:
    return tuple(_file_state(file) for file in files if file is not None)


def _file_state(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
