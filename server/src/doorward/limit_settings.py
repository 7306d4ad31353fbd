"""Settings of limits: where they are counted, how exactly, and what holds when they cannot be."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings


class LimitSettings(BaseSettings):
    limits_url: SecretStr | None = Field(
        None,
        description="rediss://user:password@HOST or unix:///SOCKET, where rates are counted; default: the database.",
    )
    limits_url_file: Path | None = Field(None, description="A file that holds limits_url.")
    limits_ca_file: Path | None = Field(None, description="Whom to trust instead of the system's authorities (PEM).")
    limit_precision: float = Field(
        0.01,
        ge=0,
        le=0.1,
        description="Share of a rate that all workers together may hold; 0: every use is counted before its answer.",
    )
    on_limiter_failure: Literal["refuse", "allow"] = Field(
        "refuse", description="Of a check whose limits cannot be counted; allow lets it pass, and counts it as such."
    )
