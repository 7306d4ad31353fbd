"""What commands print: aligned fields, tables, JSON and environment lines on stdout; notes on stderr.

Colour only on a terminal, and as NO_COLOR, CLICOLOR and CLICOLOR_FORCE ask.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

STATES = {
    "active": "32", "good": "32", "pending": "33", "suspended": "33", "disabled": "33", "expired": "33",
    "decoy": "33", "flagged": "33", "revoked": "31", "bad": "31",
}  # fmt: skip
BOLD, FAINT = "1", "2"
SHOWN_ONCE = "shown this once; Doorward keeps only a digest of it"
Fields = Iterable[tuple[str, str | Sequence[str] | None]]


def printable(text: str) -> str:
    """What came from elsewhere moves no cursor and hides nothing."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def coloured() -> bool:
    if os.environ.get("CLICOLOR_FORCE", "") not in ("", "0"):
        return True
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("CLICOLOR") != "0"


def styled(text: str, code: str | None) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if code and coloured() else text


def say(text: str = "") -> None:
    print(text)


def note(text: str) -> None:
    print(text, file=sys.stderr)


def heading(text: str) -> None:
    say(styled(printable(text), BOLD))


def fields(rows: Fields) -> None:
    """Names in one column, values in the next; several values stand under each other."""
    shown = [(name, [value] if isinstance(value, str) and value else list(value or ())) for name, value in rows]
    shown = [(name, values) for name, values in shown if values]
    width = max((len(name) for name, _ in shown), default=0)
    for name, values in shown:
        for number, value in enumerate(values):
            label = (name if number == 0 else "").ljust(width)
            say(f"  {styled(label, FAINT)}  {styled(printable(value), STATES.get(value))}".rstrip())


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    cells = [[printable(cell) or "-" for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in (header, *cells)) for column in range(len(header))]
    last = len(header) - 1
    for number, row in enumerate((header, *cells)):
        padded = [cell if i == last else cell.ljust(widths[i]) for i, cell in enumerate(row)]
        say("  ".join(styled(text, FAINT if number == 0 else STATES.get(text.rstrip())) for text in padded))


def show_json(value: Any) -> None:
    """The API's object, indented; escaped where it holds what a terminal would obey."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    say(text if text.replace("\n", "").isprintable() else json.dumps(value, indent=2))


def json_line(value: Any) -> None:
    print(json.dumps(value, separators=(",", ":")), flush=True)


def env(variables: Mapping[str, str | None]) -> None:
    """Lines for `eval`, `.env` and `set -a; . file`; what is not set is left out."""
    for name, value in variables.items():
        if value is not None:
            say(f"{name}={shlex.quote(value)}")
