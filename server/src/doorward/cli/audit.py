"""`doorward audit`: what happened, who did it, in which request; the newest first, as it happens, or as a file."""

from __future__ import annotations

import contextlib
import json as jsonlib
import time
from typing import Annotated

import typer

from doorward.cli import audit_export, lists, output
from doorward.cli.admin_api import PAGE_LIMIT, AdminApi, Object, run
from doorward.cli.durations import moment
from doorward.cli.failure import USAGE, Failure
from doorward.cli.options import Cursor, Json, Limit, noun

app = noun(
    "The audit log.",
    """
doorward audit list --type ApiKeyRevoked
doorward audit tail --json | jq .entity_id
doorward audit export --since 2026-11-01 november.jsonl
""",
)

POLL = 0.5
BEGINNING = 10
# A stream cannot wait for its widest cell: most of them fit.
WIDTHS = (6, 19, 17, 26, 23, 0)
Kind = Annotated[str | None, typer.Option("--type", metavar="TYPE", help="Only this type, such as ApiKeyCreated.")]
Time = Annotated[str | None, typer.Option(metavar="TIME", help="2026-11-24, 2026-11-24T21:04 (UTC), or 30d ago.")]
Entity = Annotated[str | None, typer.Option(metavar="ID", help="Only what touched this entity.")]


@app.command("list")
def list_(
    context: typer.Context,
    type_: Kind = None,
    entity: Entity = None,
    json: Json = False,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> None:
    """List what happened, the newest first."""
    header = ("SEQ", "AT", "TYPE", "ENTITY", "BY", "MORE")
    query = {"type": type_, "entity": entity, "order": "desc"}
    lists.show(context, "/audit", header, _row, json=json, limit=limit, cursor=cursor, **query)


@app.command()
def tail(context: typer.Context, type_: Kind = None, entity: Entity = None, json: Json = False) -> None:
    """Follow what happens, until Ctrl-C. With --json, one line each."""

    def show(entry: Object) -> None:
        if json:
            output.json_line(entry)
        else:
            cells = zip(_row(entry), WIDTHS, strict=True)
            print("  ".join(output.printable(cell).ljust(width) for cell, width in cells).rstrip(), flush=True)

    async def follow(api: AdminApi) -> None:
        import asyncio

        newest = await api.get("/audit", order="desc", limit=BEGINNING, type=type_, entity=entity)
        entries = newest["items"][::-1]
        after = 0
        while True:
            for entry in entries:
                show(entry)
                after = entry["seq"]
            if len(entries) < PAGE_LIMIT:
                await asyncio.sleep(POLL)
            page = await api.get("/audit", after=after, limit=PAGE_LIMIT, type=type_, entity=entity)
            entries = page["items"]

    # Ctrl-C is how it ends, and no cancellation.
    with contextlib.suppress(KeyboardInterrupt):
        run(context, follow)


@app.command()
def export(
    context: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="JSON lines, the oldest first; - is stdout.")],
    since: Time = None,
    until: Time = None,
    type_: Kind = None,
    entity: Entity = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a file that ends somewhere.")] = False,
) -> None:
    """Write what happened to a file, however much that is."""
    query = {"since": moment(since), "until": moment(until), "type": type_, "entity": entity}
    if resume and file == "-":
        raise Failure("a stream has no end to go on from: name a file with --resume", exit_code=USAGE)
    with audit_export.opened(file, resume=resume) as (output_file, after), audit_export.progress() as advance:
        count = run(context, lambda api: audit_export.export(api, output_file, after, advance, **query))
    output.note(f"Exported {count} {'entry' if count == 1 else 'entries'}.")


def _row(entry: Object) -> tuple[str, ...]:
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(entry["at"]))
    more = " ".join(f"{name}={_plain(value)}" for name, value in entry["data"].items())
    return str(entry["seq"]), at, entry["type"], entry["entity_id"], entry["actor"], more


def _plain(value: object) -> str:
    return value if isinstance(value, str) else jsonlib.dumps(value)
