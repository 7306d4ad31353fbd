"""Where a verifier finds its issuer and credentials: what the service passes, else the environment (decision 14).

DOORWARD_ISSUER  DOORWARD_VERIFIER_ID  DOORWARD_VERIFIER_SECRET or DOORWARD_VERIFIER_SECRET_FILE  DOORWARD_CA_FILE
"""

from __future__ import annotations

import os
from pathlib import Path

from doorward_verify.errors import Misconfigured

NO_ISSUER = "no issuer: pass one, or set DOORWARD_ISSUER"
HALF = "a verifier has an id and a secret: set both DOORWARD_VERIFIER_ID and DOORWARD_VERIFIER_SECRET, or neither"
NO_CREDENTIALS = (
    "no verifier credentials, so a revocation would go unnoticed. Either set DOORWARD_VERIFIER_ID and "
    "DOORWARD_VERIFIER_SECRET (`doorward verifiers create --api URI -o env` prints them), or say "
    'revocation="off": JWTs are then accepted until they expire, and API keys are refused'
)


def issuer(passed: str | None) -> str:
    found = passed or os.environ.get("DOORWARD_ISSUER")
    if not found:
        raise Misconfigured(NO_ISSUER)
    return found


def credentials(passed_id: str | None, passed_secret: str | None, *, needed: bool) -> tuple[str, str] | None:
    """The verifier's id and secret; raises Misconfigured when they are needed and missing, or given by half."""
    name = passed_id or os.environ.get("DOORWARD_VERIFIER_ID") or ""
    secret = passed_secret or os.environ.get("DOORWARD_VERIFIER_SECRET") or _secret_file()
    if name and secret:
        return name, secret
    if name or secret:
        raise Misconfigured(HALF)
    if needed:
        raise Misconfigured(NO_CREDENTIALS)
    return None


def _secret_file() -> str:
    path = os.environ.get("DOORWARD_VERIFIER_SECRET_FILE")
    if not path:
        return ""
    try:
        return Path(path).read_text("utf-8").strip()
    except (OSError, ValueError) as problem:
        raise Misconfigured(f"DOORWARD_VERIFIER_SECRET_FILE cannot be read: {path}") from problem


def ca_file(passed: str | None) -> str | None:
    return passed or os.environ.get("DOORWARD_CA_FILE") or None
