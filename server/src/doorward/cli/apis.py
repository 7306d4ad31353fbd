"""`doorward apis`: the protected resources, their scopes and their tokens."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from doorward.cli import durations, lists, output
from doorward.cli.admin_api import AdminApi, Object, run, segment
from doorward.cli.durations import full, seconds, span
from doorward.cli.limits import NoLimits, Quota, Rate, limits, lines
from doorward.cli.options import (
    Algorithm,
    Cursor,
    Json,
    Limit,
    TokenFormat,
    Yes,
    confirm,
    given,
    noun,
    pairs,
)  # fmt: skip

app = noun(
    "Protected resources: identifier, scopes, tokens.",
    """
doorward apis create https://api.example.com --name Invoices \\
  --scope "invoices:read=Read your invoices"
doorward apis update Invoices --token-format opaque
doorward apis list
""",
)

Reference = Annotated[str, typer.Argument(metavar="API", help="Its URI, name or id.")]
SCOPE = "invoices:read=Read your invoices"
CLAIM = "plan=account.metadata.plan"
Name = Annotated[str | None, typer.Option(help="Its name for people.", metavar="NAME")]
Format = Annotated[TokenFormat | None, typer.Option(help="What tokens are; jwt for a new api.")]
Lifetime = Annotated[
    str | None, typer.Option(metavar="SPAN", help="How long tokens live, 10s to 1h; 5m for a new api.")
]
Signed = Annotated[
    Algorithm | None, typer.Option(metavar="ALGORITHM", help="How JWTs are signed: ES256, or RS256 for old verifiers.")
]

Changes = tuple[dict[str, str] | None, list[str] | None]  # what is added, and what is removed
Listed = Annotated[
    bool, typer.Option("--status-list", help="JWTs name a bit of a public status list, for verifiers without feed.")
]

UnusedLifetime = Annotated[
    str | None, typer.Option("--unused-key-lifetime", metavar="SPAN", help="Keys unused for so long end; 0: never.")
]
LifetimeLimit = Annotated[
    str | None, typer.Option("--key-lifetime-limit", metavar="SPAN", help="No key lives for longer; 0: no limit.")
]


@app.command()
def create(
    context: typer.Context,
    identifier: Annotated[str, typer.Argument(metavar="URI", help="The https:// URI that its tokens carry as `aud`.")],
    name: Annotated[str, typer.Option(metavar="NAME", help="Its name for people.")],
    scope: Annotated[
        list[str] | None, typer.Option(metavar="NAME=SENTENCE", help="A scope and what it means. Repeatable.")
    ] = None,
    token_format: Format = None,
    token_lifetime: Lifetime = None,
    signing_algorithm: Signed = None,
    status_list: Listed = False,
    unused_key_lifetime: UnusedLifetime = None,
    key_lifetime_limit: LifetimeLimit = None,
    claim: Annotated[
        list[str] | None, typer.Option(metavar="NAME=SOURCE", help=f"A claim of its tokens: {CLAIM}. Repeatable.")
    ] = None,
    rate: Rate = None,
    quota: Quota = None,
    json: Json = False,
) -> None:
    """Add an api."""
    body = given(
        identifier=identifier, name=name, scopes=pairs(scope, "--scope", SCOPE), claims=pairs(claim, "--claim", CLAIM),
        limits=limits(rate, quota), **_tokens(token_format, token_lifetime, signing_algorithm, status_list or None),
        **_rules(unused_key_lifetime, key_lifetime_limit),
    )  # fmt: skip
    made = run(context, lambda api: api.create("/apis", body), making=True)
    show_one(f"Created the api {made['name']}", made, json)


@app.command("list")
def list_(context: typer.Context, json: Json = False, limit: Limit = lists.LIMIT, cursor: Cursor = None) -> None:
    """List apis."""
    lists.show(
        context, "/apis", ("NAME", "IDENTIFIER", "TOKENS", "SCOPES"), _row, json=json, limit=limit, cursor=cursor
    )


@app.command()
def show(context: typer.Context, api: Reference, json: Json = False) -> None:
    """Show an api."""
    found = run(context, lambda admin: admin.get(f"/apis/{segment(api)}"))
    show_one(str(found["name"]), found, json)


@app.command()
def update(
    context: typer.Context,
    api: Reference,
    name: Name = None,
    add_scope: Annotated[
        list[str] | None, typer.Option(metavar="NAME=SENTENCE", help="Add or reword a scope. Repeatable.")
    ] = None,
    remove_scope: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Repeatable.")] = None,
    token_format: Format = None,
    token_lifetime: Lifetime = None,
    signing_algorithm: Signed = None,
    status_list: Listed = False,
    no_status_list: Annotated[bool, typer.Option("--no-status-list", help="They do not, from now on.")] = False,
    unused_key_lifetime: UnusedLifetime = None,
    key_lifetime_limit: LifetimeLimit = None,
    add_claim: Annotated[
        list[str] | None, typer.Option(metavar="NAME=SOURCE", help="Add or change a claim. Repeatable.")
    ] = None,
    remove_claim: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Repeatable.")] = None,
    rate: Rate = None,
    quota: Quota = None,
    no_limits: NoLimits = False,
    json: Json = False,
) -> None:
    """Change an api; what is not named stays."""
    tokens = _tokens(token_format, token_lifetime, signing_algorithm, _listed(status_list, no_status_list))
    rules = _rules(unused_key_lifetime, key_lifetime_limit)
    body = given(name=name, limits=limits(rate, quota, no_limits), **tokens, **rules)
    scopes = (pairs(add_scope, "--add-scope", SCOPE), remove_scope)
    claims = (pairs(add_claim, "--add-claim", CLAIM), remove_claim)
    changed = run(context, lambda admin: _change(admin, f"/apis/{segment(api)}", body, scopes, claims))
    show_one(f"Updated the api {changed['name']}", changed, json)


async def _change(admin: AdminApi, path: str, body: Object, scopes: Changes, claims: Changes) -> Object:
    if scopes == (None, None) and claims == (None, None):
        return await admin.patch(path, body)
    # The API takes whole tables, so what was read must still be there when it is written.
    found = await admin.get(path)
    tables = {"scopes": _merged(found["scopes"], *scopes), "claims": _merged(found["claims"], *claims)}
    return await admin.patch(path, body | tables, found["version"])


@app.command()
def delete(context: typer.Context, api: Reference, yes: Yes = False) -> None:
    """Delete an api that no key, client or verifier uses."""
    confirm(f"Delete the api {output.printable(api)}?", yes)
    run(context, lambda admin: admin.delete(f"/apis/{segment(api)}"))
    output.say(f"Deleted the api {output.printable(api)}.")


def _tokens(
    token_format: TokenFormat | None, lifetime: str | None, signed: Algorithm | None, listed: bool | None
) -> dict[str, Any]:
    return {
        "token_format": token_format,
        "token_lifetime": None if lifetime is None else seconds(lifetime),
        "signing_algorithm": signed,
        "status_list": listed,
    }


def _listed(yes: bool, no: bool) -> bool | None:
    if yes and no:
        raise typer.BadParameter("say one of --status-list and --no-status-list")
    return yes if yes or no else None


def _rules(unused: str | None, limit: str | None) -> dict[str, int | None]:
    return {"unused_key_lifetime": durations.rule(unused), "key_lifetime_limit": durations.rule(limit)}


def _rule(lifetime: int | None) -> str | None:
    return None if lifetime is None else f"after {span(lifetime)}"


def _merged(table: dict[str, str], added: dict[str, str] | None, removed: list[str] | None) -> dict[str, str]:
    kept = {name: value for name, value in table.items() if name not in (removed or ())}
    return kept | (added or {})


def _row(api: Object) -> tuple[str, ...]:
    return api["name"], api["identifier"], _tokens_of(api), " ".join(api["scopes"])


def _tokens_of(api: Object) -> str:
    kind = f"jwt {api['signing_algorithm']}" if api["token_format"] == "jwt" else "opaque"
    return f"{kind}, {span(api['token_lifetime'])}{', status list' if api['status_list'] else ''}"


def show_one(title: str, api: Object, json: bool) -> None:
    if json:
        output.show_json(api)
        return
    width = max((len(name) for name in api["scopes"]), default=0)
    output.heading(title)
    output.fields(
        (
            ("identifier", api["identifier"]),
            ("id", api["id"]),
            ("tokens", _tokens_of(api)),
            ("scopes", [f"{name.ljust(width)}  {sentence}" for name, sentence in api["scopes"].items()]),
            ("claims", [f"{name} = {source}" for name, source in api["claims"].items()]),
            ("unused keys end", _rule(api.get("unused_key_lifetime"))),
            ("keys end", _rule(api.get("key_lifetime_limit"))),
            ("limits", lines(api["limits"])),
            ("created", full(api["created_at"])),
        )
    )
