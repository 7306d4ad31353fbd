"""What may not be said of where limits are counted: no secret and no count goes in the clear (decision 19c)."""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from doorward.settings import Refusal, Settings, is_loopback

DATABASE = re.compile(r"/?|/[0-9]{1,4}")


def _limits(settings: Settings) -> Refusal | None:
    text = settings.secret("limits_url")
    if (text is None or _is_limits_url(text)) and (text is None or find_spec("redis") is not None):
        return None
    return Refusal(
        "limits_url names no Valkey or Redis that is reached by TLS or on this machine, or its client is not installed",
        (
            "write rediss://user:password@host:6379; on this machine redis://127.0.0.1:6379 or unix:///run/valkey.sock",
            'install the client: pip install "doorward[valkey]"',
            "leave it out: rates are counted in the database",
        ),
    )


def _is_limits_url(text: str) -> bool:
    """The client would take anything else from a query: to verify no certificate, too."""
    try:
        parts = urlsplit(text)
        has_place = parts.port is None or parts.port > 0
    except ValueError:
        return False
    if not has_place or "?" in text or "#" in text:
        return False
    if parts.scheme == "unix":
        return parts.path.startswith("/") and not parts.netloc.rpartition("@")[2]
    is_safe = parts.scheme == "rediss" or (parts.scheme == "redis" and is_loopback(parts.hostname or ""))
    return is_safe and bool(parts.hostname) and DATABASE.fullmatch(parts.path) is not None


def _limits_trust(settings: Settings) -> Refusal | None:
    file = settings.limits_ca_file
    text = settings.secret("limits_url") or ""
    if file is None or (text.startswith("rediss:") and is_certificates(file)):
        return None
    return Refusal(
        "the certificates to trust where rates are counted cannot be read, or nothing is reached by TLS there",
        ("name a file of certificates in PEM", "write limits_url with rediss://", "leave limits_ca_file out"),
    )


def is_certificates(file: Path) -> bool:
    try:
        return bool(ssl.create_default_context(cafile=file).get_ca_certs())
    except (OSError, ValueError):
        return False


CHECKS: tuple[Callable[[Settings], Refusal | None], ...] = (_limits, _limits_trust)
