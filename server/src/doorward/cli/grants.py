"""`doorward grants`: what clients were allowed, and its end."""

from __future__ import annotations

from typing import Annotated

import typer

from doorward.cli.options import Json, noun
from doorward.cli.revoke import end

app = noun("What clients were allowed.", "doorward grants revoke grant_8sK2vQ0pXw4mTn1Z")


@app.callback()
def grants() -> None:
    """What clients were allowed."""


@app.command()
def revoke(
    context: typer.Context,
    grant_id: Annotated[str, typer.Argument(metavar="GRANT_ID", help="See `doorward clients show`.")],
    json: Json = False,
) -> None:
    """End a grant and every token of it."""
    end(context, {"grant": grant_id}, json)
