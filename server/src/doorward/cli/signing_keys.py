"""`doorward signing-keys`: the published halves of the keys that sign tokens."""

from __future__ import annotations

import typer

from doorward.cli import lists
from doorward.cli.admin_api import Object
from doorward.cli.durations import clock
from doorward.cli.options import Cursor, Json, Limit, noun

app = noun("Keys that sign tokens.", "doorward signing-keys list --json")


@app.callback()
def _group() -> None:
    """Keys that sign tokens."""


@app.command("list")
def list_(context: typer.Context, json: Json = False, limit: Limit = lists.LIMIT, cursor: Cursor = None) -> None:
    """List the signing keys that are published."""
    header = ("KID", "ALGORITHM", "STATE", "CREATED")
    lists.show(context, "/signing-keys", header, _row, json=json, limit=limit, cursor=cursor)


def _row(key: Object) -> tuple[str, ...]:
    return key["kid"], key["algorithm"], key["state"], clock(key["created_at"])
