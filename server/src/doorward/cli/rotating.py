"""The options of every command that rotates a secret, and the body that they make."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from doorward.cli import durations
from doorward.cli.durations import seconds
from doorward.cli.failure import USAGE, Failure
from doorward.cli.options import given


class Starts(StrEnum):
    first_use = "first-use"
    now = "now"


Overlap = Annotated[
    str | None, typer.Option(metavar="SPAN", help="How long the old secret stays good: 1d, or 0 for not at all.")
]
StartsAt = Annotated[Starts, typer.Option("--starts", help="When the overlap begins.")]
Deadline = Annotated[str | None, typer.Option(metavar="SPAN", help="When it begins at the latest (default: 30d).")]


def body(overlap: str | None, starts: Starts, deadline: str | None, argv: list[str] | None) -> dict[str, Any]:
    """With a command the old secret must outlive the moment: if the command fails, it is all that is left."""
    if argv is not None and starts is Starts.now and durations.overlap(overlap) == 0:
        raise Failure("--to-command needs an overlap: if it failed, no secret would be left", exit_code=USAGE)
    return given(
        overlap=durations.overlap(overlap), starts=starts.replace("-", "_"),
        deadline=None if deadline is None else seconds(deadline),
    )  # fmt: skip
