"""Options and arguments that several commands share, and how their texts become values."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from enum import Enum, StrEnum
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from doorward.cli.failure import CANCELLED, USAGE, Failure

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 80}


class Output(StrEnum):
    text = "text"
    json = "json"
    env = "env"


class TokenFormat(StrEnum):
    jwt = "jwt"
    opaque = "opaque"


class Algorithm(StrEnum):
    ES256 = "ES256"
    RS256 = "RS256"


class Transport(StrEnum):
    bearer = "bearer"
    header = "header"
    basic = "basic"
    query = "query"
    body = "body"


class Browsers(StrEnum):
    allow = "allow"
    flag = "flag"
    refuse = "refuse"


class AuthMethod(StrEnum):
    basic = "client_secret_basic"
    post = "client_secret_post"
    none = "none"


Json = Annotated[bool, typer.Option("--json", help="Print the API's object.")]
Shown = Annotated[
    Output, typer.Option("-o", "--output", metavar="FORMAT", help="text, json, or env for `eval` and .env files.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Limit = Annotated[int, typer.Option(min=1, max=10_000, metavar="N", help="Entries at most.")]
Cursor = Annotated[str | None, typer.Option(metavar="CURSOR", help="With --json: `next_cursor` of the page before.")]
Account = Annotated[str | None, typer.Option(metavar="ID", help="Only of this account.")]
ApiFilter = Annotated[str | None, typer.Option("--api", metavar="API", help="Only for this api (URI, name or id).")]


def noun(help_: str, examples: str, group: type[TyperGroup] = TyperGroup) -> typer.Typer:
    """A group of verbs; rich is left out, since it costs more than the rest of the start."""
    return typer.Typer(
        cls=group, help=help_, epilog=_verbatim(examples), no_args_is_help=True, rich_markup_mode=None,
        pretty_exceptions_enable=False, context_settings=CONTEXT, add_completion=False,
    )  # fmt: skip


def verb(command: Callable[..., None], examples: str) -> typer.Typer:
    """A command that stands alone."""
    app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)
    app.command(epilog=_verbatim(examples), context_settings=CONTEXT)(command)
    return app


def _verbatim(examples: str) -> str:
    lines = "\n".join(f"  {line}" for line in examples.strip().splitlines())
    return f"\b\nExamples:\n{lines}"


def wants_json(json: bool, output: Output) -> bool:
    if json and output is Output.env:
        raise Failure("give --json or -o env, not both", exit_code=USAGE)
    return json or output is Output.json


def given(**values: Any) -> dict[str, Any]:
    """A body: what was not given is left to the API's default."""
    return {
        name: value.value if isinstance(value, Enum) else value for name, value in values.items() if value is not None
    }


def scope(words: Iterable[str] | None) -> str | None:
    """`--scope "a b" --scope c` is one scope of three names."""
    return None if words is None else " ".join(dict.fromkeys(name for word in words for name in word.split()))


def pairs(words: Iterable[str] | None, option: str, example: str) -> dict[str, str] | None:
    """`--scope "invoices:read=Read your invoices"` and its like."""
    if words is None:
        return None
    found: dict[str, str] = {}
    for word in words:
        name, separator, value = word.partition("=")
        if not name.strip() or not separator or not value.strip():
            raise Failure(f'{option} {word!r} is not NAME=VALUE, such as {option} "{example}"', exit_code=USAGE)
        if name.strip() in found:
            raise Failure(f"{option} names {name.strip()} twice", exit_code=USAGE)
        found[name.strip()] = value.strip()
    return found


def metadata(words: Iterable[str] | None) -> dict[str, str] | None:
    return pairs(words, "--metadata", "plan=gold")


def confirm(question: str, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise Failure(f"{question} Without a terminal, say so with --yes", exit_code=USAGE)
    if not typer.confirm(question, err=True):
        raise typer.Exit(CANCELLED)
