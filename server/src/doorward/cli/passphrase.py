"""A passphrase: asked for on a terminal, or `-` for standard input, or `@file` (decision 19)."""

from __future__ import annotations

import sys

from doorward.cli.credential_input import read
from doorward.cli.failure import USAGE, Failure
from doorward.cli.output import note

OPTION_HELP = "- for standard input, or @FILE; without it you are asked."


def new(given: str | None) -> str:
    """Typed twice; long enough not to be tried out."""
    from doorward.secrets_export import SHORTEST

    chosen = _given(given) if given is not None else _typed_twice()
    if len(chosen) < SHORTEST:
        raise Failure(
            f"the passphrase is shorter than {SHORTEST} characters: five words make a good one", exit_code=USAGE
        )
    return chosen


def known(given: str | None) -> str:
    return _given(given) if given is not None else _typed("Passphrase: ")


def _given(given: str) -> str:
    if given != "-" and not given.startswith("@"):
        raise Failure("a passphrase on the command line shows in `ps`: give - or @FILE", exit_code=USAGE)
    return read(given, "passphrase")


def _typed_twice() -> str:
    note("Whoever has the file and this passphrase can read and forge everything. Without it the file is useless.")
    chosen = _typed("Passphrase: ")
    if _typed("Once more: ") != chosen:
        raise Failure("the two are not the same", exit_code=USAGE)
    return chosen


def _typed(question: str) -> str:
    import getpass

    if not sys.stdin.isatty():
        raise Failure("there is no terminal to ask for the passphrase: give --passphrase - or @FILE", exit_code=USAGE)
    return getpass.getpass(question)
