"""Limits on the command line: `--rate burst=100/minute`, `--quota monthly=100000/month`, and how they are shown."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Any

import typer

from doorward.cli.admin_api import Object
from doorward.cli.durations import span
from doorward.cli.failure import USAGE, Failure

_FORM = re.compile(r"([^=/]+)=([0-9_]+)/(second|minute|hour|day|month)(?:/(key|account|api))?")

Rate = Annotated[
    list[str] | None,
    typer.Option("--rate", metavar="NAME=N/PER", help="At most so often, such as burst=100/minute. Repeatable."),
]
Quota = Annotated[
    list[str] | None,
    typer.Option("--quota", metavar="NAME=N/PER", help="Refilled by the calendar: monthly=100000/month. Repeatable."),
]
NoLimits = Annotated[bool, typer.Option("--no-limits", help="Take all its rates and quotas away.")]

EACH = {
    "key": ", for each key", "account": ", for each account", "api": ", for all together",
    "credential": ", for each credential", "address": ", for each address", "route": ", for all together",
}  # fmt: skip


def limits(rates: list[str] | None, quotas: list[str] | None, none: bool = False) -> list[dict[str, Any]] | None:
    """All limits of a key, account or api from now on; None where nothing was said of them."""
    if none and (rates or quotas):
        raise Failure("give --no-limits, or --rate and --quota, not both", exit_code=USAGE)
    if none:
        return []
    if rates is None and quotas is None:
        return None
    return [*_parsed(rates or (), "rate"), *_parsed(quotas or (), "quota")]


def _parsed(words: Iterable[str], kind: str) -> Iterable[dict[str, Any]]:
    for word in words:
        found = _FORM.fullmatch(word)
        if found is None:
            example = {"rate": "burst=100/minute", "quota": "monthly=100000/month"}[kind]
            raise Failure(
                f"--{kind} {word!r} is not NAME=N/PER, such as --{kind} {example}; of an api /key, /account or /api "
                "may follow, to say who each has it",
                exit_code=USAGE,
            )
        name, amount, per, each = found.groups()
        of = {"name": name, "amount": int(amount.replace("_", "")), "per": per, "type": kind}
        yield of if each is None else {**of, "each": each}


def lines(limits: Iterable[Object]) -> list[str]:
    """One for each limit as it was set."""
    return [f"{_heading(limit)}{_burst(limit)}{_each(limit)}" for limit in limits]


def states(limits: Iterable[Object]) -> list[str]:
    """One for each limit, with what is left of it."""
    return [f"{_heading(limit)}: {limit['remaining']:,} left{_reset(limit)}" for limit in limits]


def _heading(limit: Object) -> str:
    return f"{limit['name']}: {limit['amount']:,} a {limit['per']}{' (quota)' if limit['type'] == 'quota' else ''}"


def _burst(limit: Object) -> str:
    return f", at most {limit['burst']:,} at once" if limit.get("burst") else ""


def _each(limit: Object) -> str:
    return EACH.get(str(limit.get("each")), "")


def _reset(limit: Object) -> str:
    return f", all again in {span(limit['resets_in'])}" if limit["remaining"] < limit["amount"] else ""
