"""`doorward clients`: registered software that fetches its own tokens, or asks users (RFC 6749 §4.1, §4.4)."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from doorward.cli import handing, lists, output, rotating, usage
from doorward.cli.admin_api import AdminApi, Object, run, segment
from doorward.cli.durations import full
from doorward.cli.handing import ToCommand
from doorward.cli.options import (
    Account,
    AuthMethod,
    Cursor,
    Json,
    Limit,
    Output,
    Shown,
    Yes,
    confirm,
    given,
    metadata,
    noun,
    scope,
    wants_json,
)  # fmt: skip

app = noun(
    "Registered software that fetches or asks for tokens.",
    """
doorward clients create --account acme --name worker --api Invoices \\
  --grant-type client_credentials --scope "invoices:read invoices:write"
doorward clients create --account books --name Books --api Invoices \\
  --grant-type authorization_code --grant-type refresh_token \\
  --scope invoices:read --redirect-uri https://books.example/callback
doorward clients update client_8sK2vQ0pXw4mTn1Z --state disabled
""",
)


class GrantType(StrEnum):
    client_credentials = "client_credentials"
    authorization_code = "authorization_code"
    refresh_token = "refresh_token"


class IdTokenAlgorithm(StrEnum):
    RS256 = "RS256"
    ES256 = "ES256"


class State(StrEnum):
    active = "active"
    disabled = "disabled"


Id = Annotated[str, typer.Argument(metavar="CLIENT_ID", help="Its client_id.")]
Method = Annotated[
    AuthMethod | None,
    typer.Option(
        "--auth-method", metavar="METHOD", help="client_secret_basic or client_secret_post alone (default: either)."
    ),
]
RedirectUri = Annotated[
    list[str] | None,
    typer.Option("--redirect-uri", metavar="URL", help="Where users may be sent back to, exactly. Repeatable."),
]
PostLogoutRedirectUri = Annotated[
    list[str] | None,
    typer.Option("--post-logout-redirect-uri", metavar="URL", help="Where they may go after signing out. Repeatable."),
]
ClientUri = Annotated[str | None, typer.Option("--client-uri", metavar="URL", help="Its page for people.")]
LogoUri = Annotated[str | None, typer.Option("--logo-uri", metavar="URL", help="Its logo.")]
Algorithm = Annotated[
    IdTokenAlgorithm | None, typer.Option("--id-token-alg", help="Signs its ID tokens (default: RS256).")
]
LogoutUri = Annotated[
    str | None, typer.Option("--backchannel-logout-uri", metavar="URL", help="Hears when its users sign out.")
]
Metadata = Annotated[list[str] | None, typer.Option("--metadata", metavar="NAME=VALUE", help="Repeatable.")]
ItsApi = Annotated[str | None, typer.Option("--api", metavar="API", help="Which api it may call: its URI, name or id.")]
ItsScope = Annotated[
    list[str] | None, typer.Option("--scope", metavar="NAMES", help='Scopes there, as "a b" or repeated.')
]
GrantTypes = Annotated[
    list[GrantType] | None,
    typer.Option("--grant-type", metavar="TYPE", help="How it gets tokens: client_credentials (default). Repeatable."),
]
Public = Annotated[bool, typer.Option("--public", help="It can keep no secret: a single-page, mobile or desktop app.")]
FirstParty = Annotated[bool, typer.Option("--first-party", help="It is ours: users are not asked what it may do.")]
LocalhostAnyPort = Annotated[
    bool, typer.Option("--localhost-any-port", help="With --public: any port of http://localhost, as of 127.0.0.1.")
]


@app.command()
def create(
    context: typer.Context,
    account: Annotated[str, typer.Option(metavar="ID", help="Whose client it is.")],
    name: Annotated[str, typer.Option(metavar="NAME", help="Its name for people.")],
    api: ItsApi = None,
    scopes: ItsScope = None,
    grant_type: GrantTypes = None,
    auth_method: Method = None,
    redirect_uri: RedirectUri = None,
    post_logout_redirect_uri: PostLogoutRedirectUri = None,
    public: Public = False,
    first_party: FirstParty = False,
    localhost_any_port: LocalhostAnyPort = False,
    client_uri: ClientUri = None,
    logo_uri: LogoUri = None,
    id_token_alg: Algorithm = None,
    backchannel_logout_uri: LogoutUri = None,
    metadata_: Metadata = None,
    json: Json = False,
    shown: Shown = Output.text,
) -> None:
    """Register a client. Its secret is shown once; a public client has none."""
    as_json = wants_json(json, shown)
    body = given(
        account=account, name=name, api=api, scope=scope(scopes),
        grant_types=[kind.value for kind in grant_type] if grant_type else None,
        token_endpoint_auth_method=AuthMethod.none if public else auth_method, metadata=metadata(metadata_),
        redirect_uris=redirect_uri, post_logout_redirect_uris=post_logout_redirect_uri,
        first_party=first_party or None, localhost_any_port=localhost_any_port or None, client_uri=client_uri,
        logo_uri=logo_uri, id_token_signed_response_alg=id_token_alg, backchannel_logout_uri=backchannel_logout_uri,
    )  # fmt: skip
    made, environment = run(context, lambda admin: _make(admin, "/clients", body, shown), making=True)
    if shown is Output.env:
        output.env(environment)
        return
    show_one(f"Created the client {made['name']} of {made['account']}", made, as_json)


async def _make(admin: AdminApi, path: str, body: Object, shown: Output) -> tuple[Object, dict[str, str | None]]:
    made = await admin.create(path, body)
    return made, await variables(admin, made) if shown is Output.env else {}


async def variables(admin: AdminApi, client: Object) -> dict[str, str | None]:
    """What the client's environment needs to fetch a token."""
    return {
        "DOORWARD_ISSUER": await admin.issuer(),
        "DOORWARD_CLIENT_ID": client["client_id"],
        "DOORWARD_CLIENT_SECRET": client["client_secret"],
        "DOORWARD_CA_FILE": None if admin.ca_file is None else str(admin.ca_file),
    }


@app.command("list")
def list_(
    context: typer.Context,
    account: Account = None,
    json: Json = False,
    limit: Limit = lists.LIMIT,
    cursor: Cursor = None,
) -> None:
    """List clients."""
    header = ("CLIENT_ID", "NAME", "ACCOUNT", "APIS", "STATE")
    lists.show(context, "/clients", header, _row, json=json, limit=limit, cursor=cursor, account=account)


@app.command()
def show(context: typer.Context, client_id: Id, json: Json = False) -> None:
    """Show a client and what it was granted."""
    found = run(context, lambda api: api.get(f"/clients/{segment(client_id)}"))
    show_one(str(found["name"]), found, json)


@app.command()
def update(
    context: typer.Context,
    client_id: Id,
    name: Annotated[str | None, typer.Option(metavar="NAME", help="A new name.")] = None,
    state: Annotated[State | None, typer.Option(help="A disabled client is refused at once.")] = None,
    api: Annotated[str | None, typer.Option(metavar="API", help="With --scope: the api of the grant.")] = None,
    scopes: Annotated[
        list[str] | None, typer.Option("--scope", metavar="NAMES", help="With --api: all its scopes from now on.")
    ] = None,
    auth_method: Method = None,
    redirect_uri: RedirectUri = None,
    post_logout_redirect_uri: PostLogoutRedirectUri = None,
    first_party: Annotated[
        bool | None, typer.Option("--first-party/--third-party", help="Whether users are asked what it may do.")
    ] = None,
    client_uri: ClientUri = None,
    logo_uri: LogoUri = None,
    id_token_alg: Algorithm = None,
    backchannel_logout_uri: LogoutUri = None,
    metadata_: Annotated[
        list[str] | None, typer.Option("--metadata", metavar="NAME=VALUE", help="All of it from now on. Repeatable.")
    ] = None,
    json: Json = False,
) -> None:
    """Change a client, or its grant for an api; what is not named stays."""
    body = given(
        name=name, state=state, api=api, scope=scope(scopes), token_endpoint_auth_method=auth_method,
        metadata=metadata(metadata_), redirect_uris=redirect_uri, post_logout_redirect_uris=post_logout_redirect_uri,
        first_party=first_party, client_uri=client_uri, logo_uri=logo_uri,
        id_token_signed_response_alg=id_token_alg, backchannel_logout_uri=backchannel_logout_uri,
    )  # fmt: skip
    changed = run(context, lambda admin: admin.patch(f"/clients/{segment(client_id)}", body))
    show_one(f"Updated the client {changed['name']}", changed, json)


@app.command("rotate-secret")
def rotate_secret(
    context: typer.Context,
    client_id: Id,
    overlap: rotating.Overlap = None,
    starts: rotating.StartsAt = rotating.Starts.first_use,
    deadline: rotating.Deadline = None,
    to_command: ToCommand = None,
    json: Json = False,
    shown: Shown = Output.text,
) -> None:
    """Give a client a new secret; the old one ends by itself. It is shown once."""
    as_json, argv = wants_json(json, shown), handing.words(to_command, shown)
    path, body = f"/clients/{segment(client_id)}", rotating.body(overlap, starts, deadline, argv)

    async def make(admin: AdminApi) -> tuple[Object, dict[str, str | None]]:
        made, environment = await _make(admin, f"{path}/rotate-secret", body, shown)
        if argv is not None:
            await handing.hand(admin, made, "client_secret", argv, f"{path}/cancel-rotation")
        return made, environment

    made, environment = run(context, make, making=True)
    if shown is Output.env:
        output.env(environment)
        return
    show_one(f"A new secret of the client {made['name']}", made, as_json)


@app.command("cancel-rotation")
def cancel_rotation(context: typer.Context, client_id: Id, json: Json = False) -> None:
    """Take the newest secret back; the old one goes on as before."""
    kept = run(context, lambda api: api.post(f"/clients/{segment(client_id)}/cancel-rotation"))
    show_one(f"The client {kept['name']} has its old secret alone", kept, json)


@app.command()
def delete(context: typer.Context, client_id: Id, yes: Yes = False) -> None:
    """Delete a client; its tokens end at once."""
    confirm(f"Delete the client {output.printable(client_id)} and end its tokens?", yes)
    run(context, lambda api: api.delete(f"/clients/{segment(client_id)}"))
    output.say(f"Deleted the client {output.printable(client_id)}.")


def _row(client: Object) -> tuple[str, ...]:
    apis = " ".join(grant["api"] for grant in client["apis"])
    return client["client_id"], client["name"], client["account"], apis, client["state"]


SENT = {None: "Basic or form", "none": "nothing: it is public"}


def _asks(client: Object) -> str | None:
    if "authorization_code" not in client["grant_types"]:
        return None
    return "never: it is ours" if client["first_party"] else "for each scope, once"


def show_one(title: str, client: Object, json: bool) -> None:
    if json:
        output.show_json(client)
        return
    output.heading(title)
    output.fields(
        (
            ("client_id", client["client_id"]),
            ("client_secret", client.get("client_secret")),
            ("", output.SHOWN_ONCE if client.get("client_secret") else None),
            ("account", client["account"]),
            ("grant types", " ".join(client["grant_types"])),
            ("sends it by", SENT.get(client["token_endpoint_auth_method"], client["token_endpoint_auth_method"])),
            ("sends users to", client["redirect_uris"]),
            ("after sign-out to", client["post_logout_redirect_uris"]),
            ("hears of sign-out at", client["backchannel_logout_uri"]),
            ("asks users", _asks(client)),
            ("may call", [f"{grant['api']}  {grant['scope']}  ({grant['grant_id']})" for grant in client["apis"]]),
            ("last used", [f"{full(one['last_used_at'])}  {one['api']}" for one in client["apis"] if one["uses"]]),
            ("state", client["state"]),
            ("secrets", usage.secrets(client)),
            ("metadata", [f"{name} = {value}" for name, value in client["metadata"].items()]),
            ("created", full(client["created_at"])),
        )
    )
