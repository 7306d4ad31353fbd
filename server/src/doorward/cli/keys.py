"""`doorward keys`: API keys, made, checked, rotated and revoked."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated

import typer

from doorward.cli import credential_input, handing, key_import, limits, lists, output, rotating, usage
from doorward.cli.admin_api import AdminApi, Object, run, segment
from doorward.cli.durations import clock, full, seconds
from doorward.cli.handing import ToCommand
from doorward.cli.limits import NoLimits, Quota, Rate
from doorward.cli.options import (
    Account,
    ApiFilter,
    Cursor,
    Json,
    Limit,
    Output,
    Shown,
    Transport,
    given,
    metadata,
    noun,
    scope,
    wants_json,
)  # fmt: skip

app = noun(
    "API keys: made, checked, rotated, revoked.",
    """
doorward keys create --account acme --api Invoices \\
  --scope invoices:read --expires-in 90d
doorward keys verify - < key.txt
doorward keys list --unused-for 90d
doorward keys rotate key_8sK2vQ0pXw4mTn1Z --overlap 2d -o env
doorward keys rotate key_8sK2vQ0pXw4mTn1Z \\
  --to-command "vault kv put -mount=apps billing key=-"
doorward keys revoke key_8sK2vQ0pXw4mTn1Z
doorward keys import old-keys.csv --api Invoices --dry-run
""",
)


class Environment(StrEnum):
    live = "live"
    test = "test"


Id = Annotated[str, typer.Argument(metavar="ID", help="The key's id, or the id inside its text.")]
Scope = Annotated[list[str] | None, typer.Option("--scope", metavar="NAMES", help='Scopes, as "a b" or repeated.')]
Metadata = Annotated[list[str] | None, typer.Option("--metadata", metavar="NAME=VALUE", help="Repeatable.")]

Network = Annotated[
    list[str] | None, typer.Option("--network", metavar="CIDR", help="It is good from there alone. Repeatable.")
]


@app.command()
def create(
    context: typer.Context,
    account: Annotated[str, typer.Option(metavar="ID", help="Whose key it is.")],
    api: Annotated[str, typer.Option(metavar="API", help="For which api: its URI, name or id.")],
    scopes: Annotated[list[str], typer.Option("--scope", metavar="NAMES", help='Scopes, as "a b" or repeated.')],
    name: Annotated[str | None, typer.Option(metavar="NAME", help="Its name (default: the account's).")] = None,
    environment: Annotated[Environment, typer.Option(help="Which data it is for.")] = Environment.live,
    expires_in: Annotated[
        str | None, typer.Option(metavar="SPAN", help="Such as 90d; s m h d w y (default: 90d).")
    ] = None,
    no_expiry: Annotated[bool, typer.Option("--no-expiry", help="Never expires: say it, or it does.")] = False,
    decoy: Annotated[bool, typer.Option("--decoy", help="Never works, and raises an alarm where it is tried.")] = False,
    metadata_: Metadata = None,
    network: Network = None,
    rate: Rate = None,
    quota: Quota = None,
    to_command: ToCommand = None,
    json: Json = False,
    shown: Shown = Output.text,
) -> None:
    """Make a key. It is shown once."""
    as_json, argv = wants_json(json, shown), handing.words(to_command, shown)
    lifetime = None if expires_in is None else seconds(expires_in)
    body = given(
        account=account, api=api, scope=scope(scopes), name=name, environment=environment, expires_in=lifetime,
        no_expiry=no_expiry or None, metadata=metadata(metadata_), decoy=decoy or None, networks=network,
        limits=limits.limits(rate, quota),
    )  # fmt: skip
    made = run(context, lambda admin: _make(admin, "/keys", body, argv, "revoke"), making=True)
    if shown is Output.env:
        output.env({"DOORWARD_API_KEY": made["key"]})
        return
    show_one(f"Created a key of {made['account']} for {made['api']}", made, as_json)


async def _make(admin: AdminApi, path: str, body: Object, argv: list[str] | None, undo: str) -> Object:
    made = await admin.create(path, body)
    if argv is not None:
        await handing.hand(admin, made, "key", argv, f"/keys/{made['id']}/{undo}")
    return made


@app.command("list")
def list_(
    context: typer.Context,
    account: Account = None,
    api: ApiFilter = None,
    unused_for: Annotated[str | None, typer.Option(metavar="SPAN", help="Only what nobody used for so long.")] = None,
    older_than: Annotated[str | None, typer.Option(metavar="SPAN", help="Only what was made before.")] = None,
    expiring_within: Annotated[str | None, typer.Option(metavar="SPAN", help="Only what ends soon.")] = None,
    no_expiry: Annotated[bool, typer.Option("--no-expiry", help="Only what never ends.")] = False,
    json: Json = False,
    limit: Limit = lists.LIMIT,
    cursor: Cursor = None,
) -> None:
    """List keys, without what is secret of them. The spans choose among those that are good."""
    header = ("ID", "PREFIX", "ACCOUNT", "API", "SCOPE", "STATE", "EXPIRES", "LAST USED")
    spans = {"unused_for": unused_for, "older_than": older_than, "expiring_within": expiring_within}
    lists.show(
        context, "/keys", header, _row, json=json, limit=limit, cursor=cursor, account=account, api=api,
        no_expiry="true" if no_expiry else None,
        **{name: None if span is None else str(seconds(span)) for name, span in spans.items()},
    )  # fmt: skip


@app.command()
def show(context: typer.Context, id_: Id, json: Json = False) -> None:
    """Show a key, without what is secret of it: how it was used, and what is left of its limits."""

    async def look(api: AdminApi) -> tuple[Object, Object, Sequence[Object]]:
        path = f"/keys/{segment(id_)}"
        found = await api.get(path)
        if json:
            return found, {}, ()
        return found, await api.get(f"{path}/usage"), (await api.get(f"{path}/limits"))["limits"]

    found, used, left = run(context, look)
    show_one(f"{found['name']} ({found['prefix']}...)", found, json, left, used)


@app.command("usage")
def usage_(
    context: typer.Context, id_: Id, since: usage.Since = None, by: usage.Each = usage.By.day, json: Json = False
) -> None:
    """Show how often a key was used, and why it was refused."""
    usage.show(context, f"/keys/{segment(id_)}/usage", since, by, json)


@app.command()
def verify(
    context: typer.Context,
    key: Annotated[
        str, typer.Argument(metavar=credential_input.ARGUMENT, help="- reads standard input, @FILE a file.")
    ],
    api: Annotated[str | None, typer.Option(metavar="API", help="Is it good for this api?")] = None,
    scopes: Scope = None,
    address: Annotated[str | None, typer.Option(metavar="IP", help="Is it good from there?")] = None,
    cost: Annotated[
        int, typer.Option(min=0, metavar="N", help="How much of its limits to take; nothing unless said.")
    ] = 0,
    transport: Annotated[Transport | None, typer.Option(help="Is it good when it is sent so?")] = None,
    json: Json = False,
) -> None:
    """Ask whether a key is good now. Exit code 1 says that it is not."""
    body = given(
        key=credential_input.read(key), api=api, scope=scope(scopes), address=address, cost=cost, transport=transport
    )  # fmt: skip
    checked = run(context, lambda admin: admin.post("/keys/verify", body))
    _show_check(checked, json)
    if not checked["active"]:
        raise typer.Exit(1)


@app.command()
def update(
    context: typer.Context,
    id_: Id,
    name: Annotated[str | None, typer.Option(metavar="NAME", help="A new name.")] = None,
    scopes: Annotated[
        list[str] | None, typer.Option("--scope", metavar="NAMES", help="All its scopes from now on.")
    ] = None,
    metadata_: Annotated[
        list[str] | None, typer.Option("--metadata", metavar="NAME=VALUE", help="All of it from now on. Repeatable.")
    ] = None,
    network: Annotated[
        list[str] | None, typer.Option("--network", metavar="CIDR", help="All of them from now on. Repeatable.")
    ] = None,
    rate: Rate = None,
    quota: Quota = None,
    no_limits: NoLimits = False,
    json: Json = False,
) -> None:
    """Change a key's name, scopes, limits or metadata; what is not named stays."""
    body = given(
        name=name, scope=scope(scopes), metadata=metadata(metadata_), networks=network,
        limits=limits.limits(rate, quota, no_limits),
    )  # fmt: skip
    changed = run(context, lambda api: api.patch(f"/keys/{segment(id_)}", body))
    show_one(f"Updated the key {changed['id']}", changed, json)


@app.command()
def rotate(
    context: typer.Context,
    id_: Id,
    overlap: rotating.Overlap = None,
    starts: rotating.StartsAt = rotating.Starts.first_use,
    deadline: rotating.Deadline = None,
    to_command: ToCommand = None,
    json: Json = False,
    shown: Shown = Output.text,
) -> None:
    """Give a key a new secret; the old one ends by itself. It is shown once."""
    as_json, argv = wants_json(json, shown), handing.words(to_command, shown)
    path, body = f"/keys/{segment(id_)}/rotate", rotating.body(overlap, starts, deadline, argv)
    made = run(context, lambda admin: _make(admin, path, body, argv, "cancel-rotation"), making=True)
    if shown is Output.env:
        output.env({"DOORWARD_API_KEY": made["key"]})
        return
    show_one(f"A new secret of the key {made['id']}", made, as_json)
    if not as_json:
        output.say(f"\nWho still uses the old one, and until when: doorward keys show {made['id']}")


@app.command("cancel-rotation")
def cancel_rotation(context: typer.Context, id_: Id, json: Json = False) -> None:
    """Take the newest secret back; the old one goes on as before."""
    kept = run(context, lambda api: api.post(f"/keys/{segment(id_)}/cancel-rotation"))
    show_one(f"The key {kept['id']} has its old secret alone", kept, json)


@app.command()
def deactivate(context: typer.Context, id_: Id, json: Json = False) -> None:
    """Refuse a key for the time being; `activate` makes it good again."""
    turned = run(context, lambda api: api.post(f"/keys/{segment(id_)}/deactivate"))
    show_one(f"The key {turned['id']} is inactive", turned, json)


@app.command()
def activate(context: typer.Context, id_: Id, json: Json = False) -> None:
    """Let a key that was made inactive be good again."""
    turned = run(context, lambda api: api.post(f"/keys/{segment(id_)}/activate"))
    show_one(f"The key {turned['id']} is active", turned, json)


@app.command()
def revoke(context: typer.Context, id_: Id, json: Json = False) -> None:
    """Revoke a key: it is refused at once, for good."""
    revoked = run(context, lambda api: api.post(f"/keys/{segment(id_)}/revoke"))
    show_one(f"Revoked the key {revoked['id']}", revoked, json)


app.command("import")(key_import.import_)


def _row(key: Object) -> tuple[str, ...]:
    expires = "never" if key["expires_at"] is None else clock(key["expires_at"])
    used = "never" if key["last_used_at"] is None else clock(key["last_used_at"])
    return key["id"], key["prefix"], key["account"], key["api"], key["scope"], key["state"], expires, used


def show_one(
    title: str, key: Object, json: bool, left: Sequence[Object] = (), used: Object | None = None
) -> None:  # fmt: skip
    if json:
        output.show_json(key)
        return
    output.heading(title)
    output.fields(
        (
            ("key", key.get("key")),
            ("", output.SHOWN_ONCE if "key" in key else None),
            ("id", key["id"]),
            ("prefix", None if "key" in key else key["prefix"]),
            ("account", key["account"]),
            ("api", key["api"]),
            ("scope", key["scope"]),
            ("environment", key["environment"]),
            ("state", key["state"]),
            ("expires", full(key["expires_at"])),
            ("networks", key["networks"]),
            ("limits", limits.states(left) if left else limits.lines(key["limits"])),
            ("seen in a URL", _seen(key["seen_in_url_at"])),
            ("in a browser", _seen(key["seen_in_browser_at"])),
            ("last used", usage.last_use(key)),
            ("today", usage.line(usage.today(used["hours"])) if used else None),
            ("30 days", usage.line(used["counts"]) if used else None),
            ("ever", f"{key['uses']} times good" if key["uses"] else None),
            ("revoked", full(key["revoked_at"], absent="") or None),
            ("metadata", [f"{name} = {value}" for name, value in key["metadata"].items()]),
            ("secrets", usage.secrets(key)),
        )
    )


def _seen(at: int | None) -> str | None:
    return None if at is None else f"{full(at)}; others may know it: `doorward keys rotate`"


def _show_check(checked: Object, json: bool) -> None:
    from doorward.protocol.reasons import REASONS

    if json:
        output.show_json(checked)
        return
    reason = REASONS.get(str(checked["reason"]))
    output.heading("The key is good" if checked["active"] else "The key is not good")
    output.fields(
        (
            ("reason", checked["reason"] if reason is None else reason.sentence),
            ("fix", None if reason is None else reason.fix),
            ("id", checked["key_id"]),
            ("account", checked["account"]),
            ("api", checked["api"]),
            ("scope", checked["scope"]),
            ("environment", checked["environment"]),
            ("expires", full(checked["expires_at"]) if checked["key_id"] else None),
            ("limits", limits.states(checked["limits"] or ())),
        )
    )
