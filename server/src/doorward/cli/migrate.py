"""`doorward migrate`: brings the database's schema to this version's, as a start would, or moves it to PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from doorward.cli import output
from doorward.cli.admin_api import choose, local_settings, open_data_directory, refusals_told, run
from doorward.cli.failure import USAGE, Failure
from doorward.cli.options import Json, verb
from doorward.cli.target import Local

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from doorward.cli.admin_api import AdminApi

Answer = TypeVar("Answer")

To = Annotated[
    str | None,
    typer.Option(
        metavar="URL|-|@FILE",
        help="Move the SQLite database to this PostgreSQL database (postgresql://user@host/name).",
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and change nothing.")]


def migrate(context: typer.Context, to: To = None, dry_run: DryRun = False, json: Json = False) -> None:
    """Bring the database to this version, or move it to PostgreSQL.

    A start brings it to this version too. Servers of the version before go on answering meanwhile.

    Servers go on while their database is moved; for its last moment, a second or so, what writes is answered 503.
    """
    chosen = choose(context, start_here=to is None)
    if not isinstance(chosen, Local):
        raise Failure("a database is migrated where it lies: --data-dir or --config names it", exit_code=USAGE)
    if to is not None:
        from doorward.cli.move import move

        move(chosen, to, dry_run=dry_run, as_json=json)
    elif dry_run:
        _tell_pending(chosen, json)
    else:
        _upgrade(context, chosen, json)


def _upgrade(context: typer.Context, chosen: Local, as_json: bool) -> None:
    from doorward.store import schema
    from doorward.web.opening import tidy

    before = _look(chosen, schema.revision)

    async def open_once(api: AdminApi) -> None:  # noqa: ARG001  opening it is all
        return None

    run(context, open_once, making=True, start_here=True)
    with refusals_told():
        tidy(*open_data_directory(chosen))
    now = _look(chosen, schema.revision)
    if as_json:
        output.show_json({"before": before, "now": now})
    elif before == now:
        newer = "" if now == schema.HEAD else ", which is newer than this version and fits it"
        output.say(f"The database is at {now} already{newer}.")
    else:
        output.say(f"The database is at {now} now; it was {'at ' + before if before else 'empty'}.")


def _tell_pending(chosen: Local, as_json: bool) -> None:
    from doorward.store import schema

    due = _look(chosen, schema.pending)
    due = schema.pending(None) if due is None else due
    if as_json:
        output.show_json({"pending": [{"revision": name, "what": what} for name, what in due]})
    elif due:
        output.table(("REVISION", "WHAT"), due)
        output.say("These would run, in one transaction. Nothing was changed.")
    else:
        output.say("Nothing would be done: the database suits this version.")


def _look(chosen: Local, query: Callable[[Connection], Answer]) -> Answer | None:
    """None where there is no database yet."""
    from doorward.data_directory import database_path
    from doorward.store import schema

    with refusals_told():
        settings = local_settings(chosen)
        file = database_path(settings.database)
        if file is not None and not file.is_file():
            return None
        try:
            return schema.looked(settings.database, query)
        except schema.SchemaTooNew as newer:
            raise Failure(
                f"the database was upgraded to {newer} by a newer version of Doorward",
                "use that version",
                exit_code=USAGE,
            ) from None


app = verb(
    migrate,
    """
doorward --data-dir /var/lib/doorward migrate
doorward --data-dir /var/lib/doorward migrate --to @url-file --dry-run
""",
)
