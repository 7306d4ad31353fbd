"""Every list command: the API's page with --json, else a table that follows the pages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from doorward.cli.admin_api import PAGE_LIMIT, AdminApi, Object, run
from doorward.cli.output import note, show_json, table

if TYPE_CHECKING:
    import typer

LIMIT = 100


def show(
    context: typer.Context,
    path: str,
    header: Sequence[str],
    row: Callable[[Object], Sequence[str]],
    *,
    json: bool,
    limit: int,
    cursor: str | None,
    **query: str | None,
) -> None:
    async def page(api: AdminApi) -> Object:
        return await api.get(path, limit=min(limit, PAGE_LIMIT), cursor=cursor, **query)

    async def every(api: AdminApi) -> tuple[list[Object], bool]:
        return await api.every(path, limit, **query)

    if json:
        show_json(run(context, page))
        return
    items, more = run(context, every)
    if not items:
        note(f"There are no {path[1:].replace('-', ' ')} here.")
        return
    table(header, [row(item) for item in items])
    if more:
        note(f"These are the first {limit}; there are more: --limit N.")
