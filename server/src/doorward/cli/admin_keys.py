"""`doorward admin-keys`: credentials for /v1 and for this command line over the network."""

from __future__ import annotations

from typing import Annotated

import typer

from doorward.cli import lists, output
from doorward.cli.admin_api import AdminApi, Object, run, segment
from doorward.cli.durations import clock, full, seconds
from doorward.cli.options import Cursor, Json, Limit, Output, Shown, given, noun, scope, wants_json

app = noun(
    "Credentials for the admin API.",
    """
doorward admin-keys create ci --scope "keys:read keys:write"
eval "$(doorward admin-keys create laptop -o env)"
""",
)


@app.command()
def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it is for.")],
    scopes: Annotated[
        list[str] | None,
        typer.Option("--scope", metavar="NAMES", help="Such as keys:write (default: admin, which is all)."),
    ] = None,
    expires_in: Annotated[
        str | None, typer.Option(metavar="SPAN", help="Such as 30d; s m h d w y (default: 90d, at most 1y).")
    ] = None,
    network: Annotated[
        list[str] | None, typer.Option(metavar="CIDR", help="Only from there (default: anywhere). Repeatable.")
    ] = None,
    json: Json = False,
    shown: Shown = Output.text,
) -> None:
    """Make an admin key. It is shown once."""
    as_json = wants_json(json, shown)
    lifetime = None if expires_in is None else seconds(expires_in)
    body = given(name=name, scope=scope(scopes), expires_in=lifetime, networks=network or None)

    async def make(admin: AdminApi) -> tuple[Object, dict[str, str | None]]:
        made = await admin.create("/admin-keys", body)
        return made, _variables(admin, made)

    made, environment = run(context, make, making=True)
    if shown is Output.env:
        output.env(environment)
        return
    show_one(f"Created the admin key {made['name']}", made, as_json)


def _variables(admin: AdminApi, key: Object) -> dict[str, str | None]:
    """What this command line needs on another machine."""
    return {
        "DOORWARD_URL": admin.address,
        "DOORWARD_ADMIN_KEY": key["key"],
        "DOORWARD_CA_FILE": None if admin.ca_file is None else str(admin.ca_file),
    }


@app.command("list")
def list_(context: typer.Context, json: Json = False, limit: Limit = lists.LIMIT, cursor: Cursor = None) -> None:
    """List admin keys."""
    header = ("ID", "PREFIX", "NAME", "SCOPE", "STATE", "EXPIRES")
    lists.show(context, "/admin-keys", header, _row, json=json, limit=limit, cursor=cursor)


@app.command()
def revoke(
    context: typer.Context, id_: Annotated[str, typer.Argument(metavar="ID", help="Its id.")], json: Json = False
) -> None:
    """Revoke an admin key: it is refused at once, for good."""
    revoked = run(context, lambda api: api.post(f"/admin-keys/{segment(id_)}/revoke"))
    show_one(f"Revoked the admin key {revoked['name']}", revoked, json)


def _row(key: Object) -> tuple[str, ...]:
    expires = "never" if key["expires_at"] is None else clock(key["expires_at"])
    return key["id"], key["prefix"], key["name"], key["scope"], key["state"], expires


def show_one(title: str, key: Object, json: bool) -> None:
    if json:
        output.show_json(key)
        return
    output.heading(title)
    output.fields(
        (
            ("key", key.get("key")),
            ("", output.SHOWN_ONCE if "key" in key else None),
            ("id", key["id"]),
            ("scope", key["scope"]),
            ("networks", key["networks"]),
            ("owner", key["owner"]),
            ("state", key["state"]),
            ("expires", full(key["expires_at"])),
            ("revoked", full(key["revoked_at"], absent="") or None),
        )
    )
