"""Where a verifier or client finds issuer and credentials: what is passed, else the environment (decision 14).

DOORWARD_ISSUER  DOORWARD_VERIFIER_ID  DOORWARD_VERIFIER_SECRET or DOORWARD_VERIFIER_SECRET_FILE  DOORWARD_CA_FILE
                 DOORWARD_LEGACY_KEYS=1 for apis that imported keys
                 DOORWARD_CLIENT_ID    DOORWARD_CLIENT_SECRET or DOORWARD_CLIENT_SECRET_FILE
"""

from __future__ import annotations

import os
from pathlib import Path

from doorward_verify.errors import Misconfigured
from doorward_verify.outbound import split

NO_ISSUER = "no issuer: pass one, or set DOORWARD_ISSUER"
HALF = "a verifier has an id and a secret: set both DOORWARD_VERIFIER_ID and DOORWARD_VERIFIER_SECRET, or neither"
NO_CREDENTIALS = (
    "no verifier credentials, so a revocation would go unnoticed. Either set DOORWARD_VERIFIER_ID and "
    "DOORWARD_VERIFIER_SECRET (`doorward verifiers create --api URI -o env` prints them), or say "
    'revocation="off": JWTs are then accepted until they expire, and API keys are refused'
)
NO_CLIENT = (
    "no client credentials: set DOORWARD_CLIENT_ID and DOORWARD_CLIENT_SECRET (`doorward clients create ... -o env` "
    "prints them), or pass both"
)


def issuer(passed: str | None) -> str:
    found = passed or os.environ.get("DOORWARD_ISSUER")
    if not found:
        raise Misconfigured(NO_ISSUER)
    return found


def credentials(passed_id: str | None, passed_secret: str | None, *, needed: bool) -> tuple[str, str] | None:
    """The verifier's id and secret; raises Misconfigured when they are needed and missing, or given by half."""
    name = passed_id or os.environ.get("DOORWARD_VERIFIER_ID") or ""
    secret = passed_secret or _secret("DOORWARD_VERIFIER_SECRET")
    if name and secret:
        return name, secret
    if name or secret:
        raise Misconfigured(HALF)
    if needed:
        raise Misconfigured(NO_CREDENTIALS)
    return None


def legacy_keys(passed: bool | None) -> bool:
    return os.environ.get("DOORWARD_LEGACY_KEYS") == "1" if passed is None else passed


def client(passed_id: str | None, passed_secret: str | None) -> tuple[str, str]:
    """A client's id and secret; raises Misconfigured when one is missing."""
    name = passed_id or os.environ.get("DOORWARD_CLIENT_ID")
    secret = passed_secret or _secret("DOORWARD_CLIENT_SECRET")
    if not name or not secret:
        raise Misconfigured(NO_CLIENT)
    return name, secret


def _secret(variable: str) -> str:
    """The variable, or what is in the file that its `_FILE` names."""
    found, path = os.environ.get(variable), os.environ.get(f"{variable}_FILE")
    if found or not path:
        return found or ""
    try:
        return Path(path).read_text("utf-8").strip()
    except (OSError, ValueError) as problem:
        raise Misconfigured(f"{variable}_FILE cannot be read: {path}") from problem


def https(what: str, url: str) -> str:
    """The URL; raises Misconfigured when a secret or token could be overheard on the way to it."""
    try:
        split(url)
    except ValueError as problem:
        raise Misconfigured(f"the {what} {url!r} is not an https URL: {problem}") from problem
    return url


def ca_file(passed: str | None) -> str | None:
    return passed or os.environ.get("DOORWARD_CA_FILE") or None
