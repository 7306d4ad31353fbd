"""What somebody found, in a file: GitHub's JSON list, or a secret or the SHA-256 of one on each line."""

from __future__ import annotations

import json
import re

from doorward.cli import credential_input
from doorward.cli.admin_api import Object
from doorward.cli.failure import USAGE, Failure

_DIGEST = re.compile(r"[0-9a-fA-F]{64}|[0-9A-Za-z_-]{43}")


def read(argument: str) -> list[Object]:
    text = credential_input.read(argument if argument == "-" else f"@{argument}", "report")
    return (
        _listed(text) if text.startswith("[") else [_line(line.strip()) for line in text.splitlines() if line.strip()]
    )


def _listed(text: str) -> list[Object]:
    try:
        reports = [(one["token"], one.get("url") or one.get("location") or "") for one in json.loads(text)]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise Failure("the file is no list of objects with a token", exit_code=USAGE) from None
    return [{"token": token, "location": place} for token, place in reports]


def _line(line: str) -> Object:
    return {"token_sha256": line} if _DIGEST.fullmatch(line) else {"token": line}
