"""Settings of who may ask for gateways, and where: an address never proves it (decision 15)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import BaseSettings


def listen_address(value: str) -> tuple[str, int]:
    """Raises ValueError."""
    host, _, port = value.rpartition(":")
    if not host or not port.isdecimal() or not 1 <= int(port) <= 65535:
        raise ValueError("ADDRESS:PORT is expected")
    return host, int(port)


def _checked(value: str) -> str:
    listen_address(value)
    return value


ListenAddress = Annotated[str, AfterValidator(_checked)]


class CheckSettings(BaseSettings):
    check_listen: str | None = Field(
        None,
        pattern=r"^(unix:/.+|[^/\s]+:[0-9]{1,5})$",
        description="unix:/FILE or a loopback ADDRESS:PORT where gateways ask in plain HTTP; nothing else is served.",
    )
    check_grpc_listen: str | None = Field(
        None,
        pattern=r"^[^/\s]+:[0-9]{1,5}$",
        description="A loopback ADDRESS:PORT where Envoy asks by gRPC; wants the extra doorward[envoy].",
    )
    check_tls_listen: ListenAddress | None = Field(
        None, description="Such as 0.0.0.0:8446: gateways elsewhere ask there, each with a client certificate."
    )
    check_client_ca_file: Path | None = Field(None, description="Who signs those certificates (PEM); reloaded live.")
    check_secret: SecretStr | None = Field(
        None,
        description="What gateways elsewhere send as X-Check-Secret, 32 characters at least; none: they cannot ask.",
    )
    check_secret_file: Path | None = Field(None, description="A file that holds check_secret.")
