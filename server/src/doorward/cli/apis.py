"""`doorward apis`: the protected resources, their scopes and their tokens."""

from __future__ import annotations

import sys
from json import loads
from pathlib import Path
from typing import Annotated, Any

import typer

from doorward.cli import durations, lists, output
from doorward.cli.admin_api import AdminApi, Object, run, segment
from doorward.cli.durations import full, seconds, span
from doorward.cli.limits import NoLimits, Quota, Rate, limits, lines
from doorward.cli.options import (
    Algorithm,
    Browsers,
    Cursor,
    Json,
    Limit,
    TokenFormat,
    Transport,
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

Routes = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="What gateways let through: a JSON array of routes; - reads standard input."),
]
Changes = tuple[dict[str, str] | None, list[str] | None]  # what is added, and what is removed
Listed = Annotated[
    bool, typer.Option("--status-list", help="JWTs name a bit of a public status list, for verifiers without feed.")
]
Transports = Annotated[
    list[Transport] | None,
    typer.Option("--transport", help="All ways in which it takes keys; bearer and header for a new api. Repeatable."),
]
InBrowsers = Annotated[
    Browsers | None, typer.Option("--browsers", help="Of live keys that browsers send; flag for a new api.")
]

Unlisted = Annotated[bool, typer.Option("--no-status-list", help="They do not, from now on.")]
Legacy = Annotated[bool, typer.Option("--legacy", help="It takes keys that were made elsewhere; see `keys import`.")]
NoLegacy = Annotated[bool, typer.Option("--no-legacy", help="It takes none any more: those that it took are refused.")]
SelfService = Annotated[
    list[str] | None, typer.Option("--self-service", metavar="NAMES", help="Scopes that users may give keys of theirs.")
]
NoSelfService = Annotated[bool, typer.Option("--no-self-service", help="They make none from now on.")]

Reworded = Annotated[list[str] | None, typer.Option(metavar="NAME=SENTENCE", help="Add or reword a scope. Repeatable.")]
Removed = Annotated[list[str] | None, typer.Option(metavar="NAME", help="Repeatable.")]
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
    routes: Routes = None,
    rate: Rate = None,
    quota: Quota = None,
    legacy: Legacy = False,
    self_service: SelfService = None,
    transport: Transports = None,
    browsers: InBrowsers = None,
    json: Json = False,
) -> None:
    """Add an api."""
    body = given(
        identifier=identifier, name=name, scopes=pairs(scope, "--scope", SCOPE), claims=pairs(claim, "--claim", CLAIM),
        limits=limits(rate, quota), **_tokens(token_format, token_lifetime, signing_algorithm, status_list or None),
        legacy=legacy or None, self_service=_names(self_service),
        routes=_routes(routes), **_keys(transport, browsers), **_rules(unused_key_lifetime, key_lifetime_limit),
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
    add_scope: Reworded = None,
    remove_scope: Removed = None,
    token_format: Format = None,
    token_lifetime: Lifetime = None,
    signing_algorithm: Signed = None,
    status_list: Listed = False,
    no_status_list: Unlisted = False,
    unused_key_lifetime: UnusedLifetime = None,
    key_lifetime_limit: LifetimeLimit = None,
    add_claim: Annotated[
        list[str] | None, typer.Option(metavar="NAME=SOURCE", help="Add or change a claim. Repeatable.")
    ] = None,
    remove_claim: Removed = None,
    routes: Routes = None,
    rate: Rate = None,
    quota: Quota = None,
    no_limits: NoLimits = False,
    legacy: Legacy = False,
    no_legacy: NoLegacy = False,
    self_service: SelfService = None,
    no_self_service: NoSelfService = False,
    transport: Transports = None,
    browsers: InBrowsers = None,
    json: Json = False,
) -> None:
    """Change an api; what is not named stays."""
    tokens = _tokens(token_format, token_lifetime, signing_algorithm, _said(status_list, no_status_list))
    body = given(
        name=name, limits=limits(rate, quota, no_limits), legacy=_said(legacy, no_legacy),
        self_service=[] if no_self_service else _names(self_service), routes=_routes(routes),
        **tokens, **_keys(transport, browsers), **_rules(unused_key_lifetime, key_lifetime_limit),
    )  # fmt: skip
    scopes, claims = pairs(add_scope, "--add-scope", SCOPE), pairs(add_claim, "--add-claim", CLAIM)
    tables = (scopes, remove_scope), (claims, remove_claim)
    changed = run(context, lambda admin: _change(admin, f"/apis/{segment(api)}", body, *tables))
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


def _routes(file: Path | None) -> Any:
    if file is None:
        return None
    try:
        found = loads(sys.stdin.read() if str(file) == "-" else file.read_text("utf-8"))
    except (OSError, ValueError):
        raise typer.BadParameter(f"{file} is no JSON file", param_hint="--routes") from None
    if not isinstance(found, list):
        raise typer.BadParameter("an array of routes is wanted", param_hint="--routes")
    return found


def _said(on: bool, off: bool) -> bool | None:
    """None where nothing was said."""
    if on and off:
        raise typer.BadParameter("say either that it does, or with --no- that it does not")
    return on if on or off else None


def _names(words: list[str] | None) -> list[str] | None:
    return None if words is None else list(dict.fromkeys(name for word in words for name in word.split()))


def _keys(transports: list[Transport] | None, browsers: Browsers | None) -> dict[str, Any]:
    return {"transports": None if transports is None else [one.value for one in transports], "browsers": browsers}


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
            ("keys by", " ".join(api["transports"])),
            ("browsers", api["browsers"]),
            ("routes", [f"{' '.join(one['methods'])} {one['path']}" for one in api["routes"]]),
            ("claims", [f"{name} = {source}" for name, source in api["claims"].items()]),
            ("unused keys end", _rule(api.get("unused_key_lifetime"))),
            ("keys end", _rule(api.get("key_lifetime_limit"))),
            ("limits", lines(api["limits"])),
            ("imported keys", "taken" if api["legacy"] else None),
            ("self-service", api["self_service"]),
            ("created", full(api["created_at"])),
        )
    )
