"""`doorward revoke`: one way to end a token, a grant, a client or an account at once."""

from __future__ import annotations

from typing import Annotated

import typer

from doorward.cli import credential_input, output
from doorward.cli.admin_api import run
from doorward.cli.failure import USAGE, Failure
from doorward.cli.options import Json, given, verb


def revoke(
    context: typer.Context,
    token: Annotated[
        str | None, typer.Option(metavar="T|-|@FILE", help="An access token; - is standard input.")
    ] = None,
    grant: Annotated[str | None, typer.Option(metavar="ID", help="A grant, with every token of it.")] = None,
    client: Annotated[str | None, typer.Option(metavar="ID", help="A client: it is disabled.")] = None,
    account: Annotated[str | None, typer.Option(metavar="ID", help="An account: it is suspended.")] = None,
    json: Json = False,
) -> None:
    """End a token, grant, client or account at once."""
    named = given(token=token, grant=grant, client=client, account=account)
    if len(named) != 1:
        raise Failure("give one of --token, --grant, --client and --account", exit_code=USAGE)
    if token is not None:
        named = {"token": credential_input.read(token, "token")}
    end(context, named, json)


def end(context: typer.Context, named: dict[str, str], json: bool) -> None:
    ended = run(context, lambda api: api.post("/revocations", named))
    if json:
        output.show_json(ended)
        return
    done = "was ended: it is refused from now on" if ended["changed"] else "had ended before; nothing was changed"
    output.say(f"The {ended['kind'].replace('_', ' ')} {output.printable(ended['id'])} {done}.")


app = verb(revoke, "doorward revoke --token - < token.txt\ndoorward revoke --account acme")
