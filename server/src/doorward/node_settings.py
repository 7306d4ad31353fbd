"""Settings of a node: what it is called, and how it ends."""

from __future__ import annotations

import hashlib
import re
import socket
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings

NAME_LIMIT = 100


class NodeSettings(BaseSettings):
    """Those of `Settings` that nodes of one deployment do not share."""

    node_name: str = Field(
        "",
        pattern=r"^([A-Za-z0-9][A-Za-z0-9._-]{0,99})?$",
        description="What /v1/nodes calls this server; by default by its host, port and data directory.",
    )
    drain_seconds: float = Field(
        0,
        ge=0,
        le=300,
        description="So long after SIGTERM it serves on, with 503 at /readyz, for load balancers to notice.",
    )


def name_of(given: str, port: int, data_dir: Path) -> str:
    """`web1-8443-3fa9`: the same after a restart, and another one for another server of the same machine."""
    if given:
        return given
    host = re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname()).strip("-._") or "node"
    where = hashlib.sha256(str(data_dir.absolute()).encode()).hexdigest()[:4]
    return f"{host[: NAME_LIMIT - 12]}-{port}-{where}"
