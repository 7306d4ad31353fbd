"""Checks API keys and access tokens at a service: JWTs locally, keys and opaque tokens by digest."""

from typing import TYPE_CHECKING

from doorward_verify.errors import (
    CredentialMissing,
    DoorwardError,
    InsufficientScope,
    InvalidRequest,
    InvalidToken,
    KeyUnknown,
    Misconfigured,
    Unavailable,
)
from doorward_verify.scope import MalformedScope, Scope
from doorward_verify.verified import Verified

if TYPE_CHECKING:
    from doorward_verify.verifier import Verifier

__all__ = [
    "CredentialMissing",
    "DoorwardError",
    "InsufficientScope",
    "InvalidRequest",
    "InvalidToken",
    "KeyUnknown",
    "MalformedScope",
    "Misconfigured",
    "Scope",
    "Unavailable",
    "Verified",
    "Verifier",
]


def __getattr__(name: str) -> object:
    """Verifier brings the network with it, so it is imported by those who use it."""
    if name != "Verifier":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from doorward_verify.verifier import Verifier

    return Verifier
