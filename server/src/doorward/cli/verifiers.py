"""`doorward verifiers`: services that check keys and tokens of one api, with credentials of their own."""

from __future__ import annotations

from typing import Annotated

import typer

from doorward.cli import handing, lists, output, rotating, usage
from doorward.cli.admin_api import AdminApi, Object, run, segment
from doorward.cli.durations import clock, full
from doorward.cli.handing import ToCommand
from doorward.cli.options import ApiFilter, Cursor, Json, Limit, Output, Shown, given, noun, wants_json

app = noun(
    "Services that check keys and tokens of an api.",
    """
doorward verifiers create --api Invoices -o env > .env
doorward verifiers list --api Invoices
""",
)


@app.command()
def create(
    context: typer.Context,
    api: Annotated[str, typer.Option(metavar="API", help="Whose keys and tokens it checks: URI, name or id.")],
    name: Annotated[str | None, typer.Option(metavar="NAME", help="Its name (default: the api's).")] = None,
    json: Json = False,
    shown: Shown = Output.text,
) -> None:
    """Let a service check. Its secret is shown once."""
    as_json = wants_json(json, shown)

    async def make(admin: AdminApi) -> tuple[Object, dict[str, str | None]]:
        made = await admin.create("/verifiers", given(api=api, name=name))
        return made, variables(admin, made)

    made, environment = run(context, make, making=True)
    if shown is Output.env:
        output.env(environment)
        return
    show_one(f"Created a verifier for {made['api']}", made, as_json)
    if not as_json:
        output.say("\nThe service reads all of this from its environment; -o env prints it that way.")


def variables(admin: AdminApi, verifier: Object) -> dict[str, str | None]:
    """What a service with `doorward-verify` reads from its environment."""
    return {
        "DOORWARD_ISSUER": verifier["issuer"],
        "DOORWARD_VERIFIER_ID": verifier["client_id"],
        "DOORWARD_VERIFIER_SECRET": verifier["client_secret"],
        "DOORWARD_CA_FILE": None if admin.ca_file is None else str(admin.ca_file),
        "DOORWARD_LEGACY_KEYS": "1" if verifier["legacy_keys"] else None,
    }


@app.command("list")
def list_(
    context: typer.Context,
    api: ApiFilter = None,
    json: Json = False,
    limit: Limit = lists.LIMIT,
    cursor: Cursor = None,
) -> None:
    """List verifiers."""
    header = ("CLIENT_ID", "NAME", "API", "STATE", "CREATED")
    lists.show(context, "/verifiers", header, _row, json=json, limit=limit, cursor=cursor, api=api)


@app.command()
def show(
    context: typer.Context,
    client_id: Annotated[str, typer.Argument(metavar="CLIENT_ID", help="Its client_id.")],
    json: Json = False,
) -> None:
    """Show a verifier, and which of its secrets is still used."""
    found = run(context, lambda admin: admin.get(f"/verifiers/{segment(client_id)}"))
    show_one(str(found["name"]), found, json)


@app.command()
def rotate(
    context: typer.Context,
    client_id: Annotated[str, typer.Argument(metavar="CLIENT_ID", help="Its client_id.")],
    overlap: rotating.Overlap = None,
    starts: rotating.StartsAt = rotating.Starts.first_use,
    deadline: rotating.Deadline = None,
    to_command: ToCommand = None,
    json: Json = False,
    shown: Shown = Output.text,
) -> None:
    """Give a verifier a new secret; the old one ends by itself. It is shown once."""
    as_json, argv = wants_json(json, shown), handing.words(to_command, shown)
    path, body = f"/verifiers/{segment(client_id)}", rotating.body(overlap, starts, deadline, argv)

    async def make(admin: AdminApi) -> tuple[Object, dict[str, str | None]]:
        made = await admin.create(f"{path}/rotate", body)
        environment = variables(admin, made)
        if argv is not None:
            await handing.hand(admin, made, "client_secret", argv, f"{path}/cancel-rotation")
        return made, environment

    made, environment = run(context, make, making=True)
    if shown is Output.env:
        output.env(environment)
        return
    show_one(f"A new secret of the verifier {made['name']}", made, as_json)


@app.command("cancel-rotation")
def cancel_rotation(
    context: typer.Context,
    client_id: Annotated[str, typer.Argument(metavar="CLIENT_ID", help="Its client_id.")],
    json: Json = False,
) -> None:
    """Take the newest secret back; the old one goes on as before."""
    kept = run(context, lambda api: api.post(f"/verifiers/{segment(client_id)}/cancel-rotation"))
    show_one(f"The verifier {kept['name']} has its old secret alone", kept, json)


@app.command()
def revoke(
    context: typer.Context,
    client_id: Annotated[str, typer.Argument(metavar="CLIENT_ID", help="Its client_id.")],
    json: Json = False,
) -> None:
    """Stop a verifier from asking."""
    revoked = run(context, lambda api: api.post(f"/verifiers/{segment(client_id)}/revoke"))
    show_one(f"Revoked the verifier {revoked['name']}", revoked, json)


def _row(verifier: Object) -> tuple[str, ...]:
    return (
        verifier["client_id"], verifier["name"], verifier["api"], verifier["state"], clock(verifier["created_at"]),
    )  # fmt: skip


def show_one(title: str, verifier: Object, json: bool) -> None:
    if json:
        output.show_json(verifier)
        return
    output.heading(title)
    output.fields(
        (
            ("client_id", verifier["client_id"]),
            ("client_secret", verifier.get("client_secret")),
            ("", output.SHOWN_ONCE if "client_secret" in verifier else None),
            ("name", verifier["name"]),
            ("api", verifier["api"]),
            ("issuer", verifier["issuer"]),
            ("state", verifier["state"]),
            ("secrets", usage.secrets(verifier)),
            ("created", full(verifier["created_at"])),
            ("revoked", full(verifier["revoked_at"], absent="") or None),
        )
    )
