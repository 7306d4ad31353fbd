"""`doorward accounts`: the customers to whom keys and clients belong."""

from __future__ import annotations

from typing import Annotated

import typer

from doorward.cli import lists, output, usage
from doorward.cli.admin_api import Object, run, segment
from doorward.cli.durations import clock, full
from doorward.cli.limits import NoLimits, Quota, Rate, limits, lines
from doorward.cli.options import Cursor, Json, Limit, given, metadata, noun

app = noun(
    "Customers to whom keys and clients belong.",
    """
doorward accounts create acme --name "Acme Inc" --metadata plan=gold
doorward accounts suspend acme
""",
)

Id = Annotated[str, typer.Argument(metavar="ID", help="Its id.")]


@app.command()
def create(
    context: typer.Context,
    id_: Annotated[str, typer.Argument(metavar="ID", help="Yours to choose: a-z, 0-9, _ and -.")],
    name: Annotated[str | None, typer.Option(metavar="NAME", help="Its name for people (default: the id).")] = None,
    metadata_: Annotated[list[str] | None, typer.Option("--metadata", metavar="NAME=VALUE", help="Repeatable.")] = None,
    rate: Rate = None,
    quota: Quota = None,
    json: Json = False,
) -> None:
    """Add an account."""
    body = given(id=id_, name=name, metadata=metadata(metadata_), limits=limits(rate, quota))
    made = run(context, lambda api: api.create("/accounts", body), making=True)
    show_one(f"Created the account {made['id']}", made, json)


@app.command("list")
def list_(context: typer.Context, json: Json = False, limit: Limit = lists.LIMIT, cursor: Cursor = None) -> None:
    """List accounts."""
    lists.show(context, "/accounts", ("ID", "NAME", "STATE", "CREATED"), _row, json=json, limit=limit, cursor=cursor)


@app.command()
def show(context: typer.Context, id_: Id, json: Json = False) -> None:
    """Show an account."""
    found = run(context, lambda api: api.get(f"/accounts/{segment(id_)}"))
    show_one(str(found["name"]), found, json)


@app.command("usage")
def usage_(
    context: typer.Context, id_: Id, since: usage.Since = None, by: usage.Each = usage.By.day, json: Json = False
) -> None:
    """Show how often the keys and tokens of an account were used."""
    usage.show(context, f"/accounts/{segment(id_)}/usage", since, by, json)


@app.command()
def update(
    context: typer.Context,
    id_: Id,
    name: Annotated[str | None, typer.Option(metavar="NAME", help="A new name.")] = None,
    metadata_: Annotated[
        list[str] | None, typer.Option("--metadata", metavar="NAME=VALUE", help="All of it from now on. Repeatable.")
    ] = None,
    rate: Rate = None,
    quota: Quota = None,
    no_limits: NoLimits = False,
    json: Json = False,
) -> None:
    """Change an account's name, metadata or limits, which all its keys share; what is not named stays."""
    body = given(name=name, metadata=metadata(metadata_), limits=limits(rate, quota, no_limits))
    changed = run(context, lambda api: api.patch(f"/accounts/{segment(id_)}", body))
    show_one(f"Updated the account {changed['id']}", changed, json)


@app.command()
def suspend(context: typer.Context, id_: Id, json: Json = False) -> None:
    """Stop every key, client and token of an account, at once."""
    changed = run(context, lambda api: api.post(f"/accounts/{segment(id_)}/suspend"))
    show_one(f"Suspended {changed['id']}: its keys, clients and tokens are refused", changed, json)


@app.command()
def resume(context: typer.Context, id_: Id, json: Json = False) -> None:
    """Let a suspended account in again."""
    changed = run(context, lambda api: api.post(f"/accounts/{segment(id_)}/resume"))
    show_one(f"Resumed {changed['id']}", changed, json)


def _row(account: Object) -> tuple[str, ...]:
    return account["id"], account["name"], account["state"], clock(account["created_at"])


def show_one(title: str, account: Object, json: bool) -> None:
    if json:
        output.show_json(account)
        return
    output.heading(title)
    output.fields(
        (
            ("id", account["id"]),
            ("name", account["name"]),
            ("state", account["state"]),
            ("metadata", [f"{name} = {value}" for name, value in account["metadata"].items()]),
            ("limits", lines(account["limits"])),
            ("created", full(account["created_at"])),
        )
    )
