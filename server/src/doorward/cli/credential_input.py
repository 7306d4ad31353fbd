"""A secret given to a command: `-` for standard input, `@file`, or, with a warning, the text itself (decision 19)."""

from __future__ import annotations

import sys
from pathlib import Path

from doorward.cli.failure import USAGE, Failure
from doorward.cli.output import note

LIMIT = 64 * 1024
ARGUMENT = "KEY|-|@FILE"


def read(argument: str, noun: str = "key") -> str:
    if argument == "-":
        text = _from_terminal(noun) if sys.stdin.isatty() else sys.stdin.read(LIMIT)
    elif argument.startswith("@"):
        text = _from_file(argument[1:])
    else:
        note(f"warning: a {noun} on the command line shows in `ps` and stays in the history; give - or @FILE instead")
        text = argument
    text = text.strip()
    if not text:
        raise Failure(f"there is no {noun} to read", exit_code=USAGE)
    return text


def _from_terminal(noun: str) -> str:
    import getpass

    return getpass.getpass(f"Paste the {noun} (it is not shown): ")


def _from_file(name: str) -> str:
    try:
        with Path(name).open(encoding="utf-8") as file:
            return file.read(LIMIT)
    except OSError as error:
        raise Failure(f"{name} cannot be read: {(error.strerror or 'unknown').lower()}", exit_code=USAGE) from None
    except UnicodeDecodeError:
        raise Failure(f"{name} is not text", exit_code=USAGE) from None
