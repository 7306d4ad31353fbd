"""What a secret looks like in any text, and the text without it.

dw_live_8sK2vQ0pXw4m...  ->  dw_live_8sK2vQ0pXw4m[redacted]     the id is public, and says which secret it was
eyJhbGciOi...            ->  [jwt redacted]

Time is linear in the length of the text, whatever it is: strangers write much of what is logged.
"""

from __future__ import annotations

import re

MARK = "[redacted]"
JWT_MARK = "[jwt redacted]"
# What a log cut off is masked too: of a secret cut even shorter, more than 100 of its 190 bits stay unknown.
_SECRET = re.compile(r"(_(?:live|test)_[0-9A-Za-z]{12})[0-9A-Za-z]{15,}")
# Words with dots in them, each looked at once: an expression for a JWT alone would begin anew at every hyphen.
_DOTTED = re.compile(r"(?<![0-9A-Za-z_.-])[0-9A-Za-z_-]*+(?:\.[0-9A-Za-z_-]*+)++")
# How a JWT begins: base64url of `{"` and of the white space that may stand around it; encrypted ones have five parts.
_JWT = re.compile(r"\be(?:y[A-L]|w[kow])")
_SHORTEST = 11
# Client credentials as RFC 7617 sends them: the secret is in there, under Base64.
_BASIC = re.compile(r"(\bbasic\s+)[0-9A-Za-z+/]{16,}={0,2}", re.IGNORECASE)


def redact(text: str) -> str:
    """The text with every secret of the format, of whatever brand, and every JWT masked."""
    if "_live_" in text or "_test_" in text:
        text = _SECRET.sub(rf"\1{MARK}", text)
    if _JWT.search(text):
        text = _DOTTED.sub(_without_jwt, text)
    return _BASIC.sub(rf"\1{MARK}", text)


def _without_jwt(dotted: re.Match[str]) -> str:
    """From where one begins: what follows is a part of it."""
    begins = 0
    *parts, _ = dotted[0].split(".")
    for part in parts:
        found = _JWT.search(part)
        if found and len(part) - found.start() >= _SHORTEST:
            return dotted[0][: begins + found.start()] + JWT_MARK
        begins += len(part) + 1
    return dotted[0]
