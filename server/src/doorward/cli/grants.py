"""`doorward grants`: what clients were allowed by users and administrators, and its end."""

from __future__ import annotations

from typing import Annotated

import typer

from doorward.cli import lists, output
from doorward.cli.admin_api import Object, run, segment
from doorward.cli.durations import full
from doorward.cli.options import ApiFilter, Cursor, Json, Limit, noun
from doorward.cli.revoke import end

app = noun(
    "What clients were allowed.",
    """
doorward grants list --user ada
doorward grants revoke grant_8sK2vQ0pXw4mTn1Z
""",
)
Id = Annotated[str, typer.Argument(metavar="GRANT_ID", help="See `doorward grants list`.")]


@app.command("list")
def list_(
    context: typer.Context,
    user: Annotated[str | None, typer.Option(metavar="USER", help="Only what this user allowed.")] = None,
    client: Annotated[str | None, typer.Option(metavar="ID", help="Only what this client was allowed.")] = None,
    api: ApiFilter = None,
    json: Json = False,
    limit: Limit = lists.LIMIT,
    cursor: Cursor = None,
) -> None:
    """List grants."""
    header = ("ID", "CLIENT", "USER", "API", "SCOPE", "STATE")
    query = {"user": user, "client": client, "api": api}
    lists.show(context, "/grants", header, _row, json=json, limit=limit, cursor=cursor, **query)


@app.command()
def show(context: typer.Context, grant_id: Id, json: Json = False) -> None:
    """Show a grant."""
    found = run(context, lambda api: api.get(f"/grants/{segment(grant_id)}"))
    if json:
        output.show_json(found)
        return
    output.heading(f"What {found['client']} was allowed")
    output.fields(
        (
            ("id", found["id"]),
            ("by", found["user"] or "an administrator"),
            ("at", found["api"] or "the server's own userinfo"),
            ("scope", found["scope"]),
            ("for account", found["account"]),
            ("last used", full(found["last_used_at"]) if found["uses"] else None),
            ("state", _state(found)),
            ("created", full(found["created_at"])),
        )
    )


@app.command()
def revoke(context: typer.Context, grant_id: Id, json: Json = False) -> None:
    """End a grant and every token of it."""
    end(context, {"grant": grant_id}, json)


def _row(grant: Object) -> tuple[str, ...]:
    user, api = grant["user"] or "-", grant["api"] or "-"
    return grant["id"], grant["client"], user, api, grant["scope"], _state(grant)


def _state(grant: Object) -> str:
    return "live" if grant["revoked_at"] is None else "revoked"
