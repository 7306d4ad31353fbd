"""What a secret looks like in any text, and the text without it.

dw_live_8sK2vQ0pXw4m...  ->  dw_live_8sK2vQ0pXw4m[redacted]     the id is public, and says which secret it was
eyJhbGciOi...            ->  [jwt redacted]
"""

from __future__ import annotations

import re

MARK = "[redacted]"
# What a log cut off is masked too: of a secret cut even shorter, more than 100 of its 190 bits stay unknown.
_SECRET = re.compile(r"(_(?:live|test)_[0-9A-Za-z]{12})[0-9A-Za-z]{15,}")
# Base64url of `{"` and of the white space that may stand around it; encrypted ones have five parts.
_JWT = re.compile(r"\be(?:y[A-L]|w[kow])[0-9A-Za-z_-]{8,}(?:\.[0-9A-Za-z_-]*)+")
# Client credentials as RFC 7617 sends them: the secret is in there, under Base64.
_BASIC = re.compile(r"(\bbasic\s+)[0-9A-Za-z+/]{16,}={0,2}", re.IGNORECASE)


def redact(text: str) -> str:
    """The text with every secret of the format, of whatever brand, and every JWT masked."""
    text = _SECRET.sub(rf"\1{MARK}", text)
    return _BASIC.sub(rf"\1{MARK}", _JWT.sub("[jwt redacted]", text))
