"""`doorward migrate`: brings the database's schema to this version's; a start would do the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from doorward.cli import output
from doorward.cli.admin_api import choose, local_settings, refusals_told, run
from doorward.cli.failure import USAGE, Failure
from doorward.cli.options import Json, verb
from doorward.cli.target import Local

if TYPE_CHECKING:
    from doorward.cli.admin_api import AdminApi


def migrate(context: typer.Context, json: Json = False) -> None:
    """Bring the database to this version. A start does it too.

    It runs beside servers of the version before: they go on answering.
    """
    from doorward.store import schema

    chosen = choose(context, start_here=True)
    if not isinstance(chosen, Local):
        raise Failure("a database is migrated where it lies: --data-dir or --config names it", exit_code=USAGE)
    before = _revision(chosen)

    async def open_once(api: AdminApi) -> None:  # noqa: ARG001  opening it is all
        return None

    run(context, open_once, making=True, start_here=True)
    if json:
        output.show_json({"before": before, "now": schema.HEAD})
    elif before == schema.HEAD:
        output.say(f"The database is at {schema.HEAD} already.")
    else:
        output.say(f"The database is at {schema.HEAD} now; it was {'at ' + before if before else 'empty'}.")


def _revision(chosen: Local) -> str | None:
    """None where there is no database yet."""
    from doorward.data_directory import database_path
    from doorward.store import schema
    from doorward.store.engine import open_engine

    with refusals_told():
        settings = local_settings(chosen)
    file = database_path(settings.database)
    if file is not None and not file.is_file():
        return None
    engine = open_engine(settings.database)
    try:
        with engine.connect() as connection:
            return schema.revision(connection)
    finally:
        engine.dispose()


app = verb(migrate, "doorward --data-dir /var/lib/doorward migrate")
