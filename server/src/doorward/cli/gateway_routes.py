"""`doorward gateway routes`: which requests gateways let through, and which route decides on one."""

from __future__ import annotations

from typing import Annotated

import typer

from doorward.cli import limits, lists, output
from doorward.cli.admin_api import Object, run
from doorward.cli.failure import FAILED
from doorward.cli.options import Cursor, Json, Limit, noun

app = noun(
    "Which requests gateways let through.",
    """
doorward gateway routes list
doorward gateway routes test GET /invoices/7
doorward gateway routes test POST /invoices --host api.example.com
""",
)
WHY = {
    "route_unknown": "No pattern fits it, so it is refused.",
    "route_method": "The pattern that decides does not name this method, so it is refused.",
    "path_ambiguous": "The path can be read in two ways, so it is refused: {}.",
}


@app.command("list")
def list_(context: typer.Context, json: Json = False, limit: Limit = lists.LIMIT, cursor: Cursor = None) -> None:
    """List the routes: those of the settings, which come first, and those of apis."""
    header = ("PATH", "METHODS", "HOST", "NEEDS", "LIMITS", "SERVICE", "FROM")
    lists.show(context, "/gateway-routes", header, _row, json=json, limit=limit, cursor=cursor)


@app.command("test")
def decides(
    context: typer.Context,
    method: Annotated[str, typer.Argument(metavar="METHOD", help="GET, POST, ...")],
    path: Annotated[str, typer.Argument(metavar="PATH", help="As it is sent: percent-encoded.")],
    host: Annotated[str, typer.Option(metavar="NAME", help="Of the request, where routes are for one host.")] = "",
    json: Json = False,
) -> None:
    """Say which route decides on a request. Exit code 1: none lets it through."""
    asked = {"method": method.upper(), "target": path, "host": host or None}
    found = run(context, lambda api: api.get("/gateway-routes/match", **asked))
    if json:
        output.show_json(found)
    else:
        _tell(f"{method.upper()} {path}", found)
    if found["route"] is None:
        raise typer.Exit(FAILED)


def _tell(asked: str, found: Object) -> None:
    route = found["route"]
    output.heading(asked)
    if route is None:
        flaw = (found["flaw"] or "").replace("_", " ")
        output.say(f"  {WHY[found['reason']].format(flaw)}")
        return
    output.fields(
        (
            ("decided by", route["path"]),
            ("from", _origin(route)),
            ("methods", " ".join(route["methods"])),
            ("needs", _needs(route)),
            ("keys by", None if route["public"] else " ".join(route["transports"]) or "what its api takes"),
            ("service", route["service"]),
            ("limits", limits.lines(route["limits"])),
            ("cost", None if route["cost"] == 1 else str(route["cost"])),
        )
    )


def _row(route: Object) -> tuple[str, ...]:
    host = route["host"] or "any"
    counted = ", ".join(limits.lines(route["limits"]))
    return route["path"], " ".join(route["methods"]), host, _needs(route), counted, route["service"], _origin(route)


def _needs(route: Object) -> str:
    if route["public"]:
        return "nothing: public"
    environment = ", test keys" if route["environment"] == "test" else ""
    return f"{route['scope'] or 'any credential'} of {route['api']}{environment}"


def _origin(route: Object) -> str:
    return "doorward.toml" if route["origin"] == "settings" else f"the api {route['origin']}"
