"""`doorward nodes`: the servers over one database, each of their workers by itself."""

from __future__ import annotations

from typing import Annotated

import typer

from doorward.cli import lists, output
from doorward.cli.admin_api import Object, run, segment
from doorward.cli.durations import full, relative
from doorward.cli.options import Cursor, Json, Limit, noun

app = noun(
    "Servers of this deployment, as they see each other.",
    """
doorward nodes list
doorward nodes list --name web1 --json
doorward nodes show web1-8443-3fa9.1
""",
)
HEADER = ("ID", "STATE", "VERSION", "SCHEMA", "STARTED", "SEEN", "POSITION", "LAG", "VERIFIERS", "CLOCK")


@app.command("list")
def list_(
    context: typer.Context,
    name: Annotated[str | None, typer.Option(metavar="NODE", help="Only the workers of this one.")] = None,
    json: Json = False,
    limit: Limit = lists.LIMIT,
    cursor: Cursor = None,
) -> None:
    """List the workers of every node. Who was not seen for 10 seconds is lost, and forgotten after an hour."""
    lists.show(context, "/nodes", HEADER, _row, json=json, limit=limit, cursor=cursor, name=name)


@app.command()
def show(
    context: typer.Context,
    id_: Annotated[str, typer.Argument(metavar="ID", help="See `doorward nodes list`.")],
    json: Json = False,
) -> None:
    """Show one worker of a node."""
    found = run(context, lambda api: api.get(f"/nodes/{segment(id_)}"))
    if json:
        output.show_json(found)
        return
    output.heading(f"{found['id']} is {found['state']}")
    output.fields(
        (
            ("Version", f"{found['version']} (schema {found['schema_revision']})"),
            ("Started", full(found["started_at"])),
            ("Seen", full(found["seen_at"])),
            ("Journal", f"{found['position']}, behind by {_lag(found)}"),
            ("Verifiers", str(found["connected_verifiers"])),
            ("Clock", f"{found['clock_skew']:+.3f} s from the database's"),
        )
    )


def _lag(node: Object) -> str:
    return f"{node['lag_events']} ({node['lag_seconds']} s)" if node["lag_events"] else "0"


def _row(node: Object) -> tuple[str, ...]:
    started, seen = relative(node["started_at"]), relative(node["seen_at"])
    verifiers, clock = str(node["connected_verifiers"]), f"{node['clock_skew']:+.1f} s"
    ends = (node["position"], _lag(node), verifiers, clock)
    return node["id"], node["state"], node["version"], node["schema_revision"], started, seen, *ends
