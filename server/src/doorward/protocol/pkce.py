"""Proof Key for Code Exchange, RFC 7636, by S256 alone and for every client (RFC 9700 §2.1.1).

code_challenge=BASE64URL(SHA-256(code_verifier))&code_challenge_method=S256     then     code_verifier=...
"""

from __future__ import annotations

import hashlib
import hmac
import re

from doorward_verify import jwt

METHOD = "S256"
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")


def is_challenge(text: str | None) -> bool:
    """§4.2: 43 characters of base64url."""
    return text is not None and _CHALLENGE.fullmatch(text) is not None


def matches(verifier: str | None, challenge: str) -> bool:
    """§4.6; what is no code_verifier by §4.1 matches nothing."""
    if verifier is None or not _VERIFIER.fullmatch(verifier):
        return False
    made = jwt.b64url_encode(hashlib.sha256(verifier.encode("ascii")).digest())
    return hmac.compare_digest(made.encode(), challenge.encode())
