"""`doorward revoke`: one way to end a token, key, grant, client, account, user or signing key at once."""

from __future__ import annotations

from typing import Annotated

import typer

from doorward.cli import credential_input, output
from doorward.cli.admin_api import Object, run
from doorward.cli.failure import USAGE, Failure, Refused
from doorward.cli.options import Json, Yes, confirm, given, verb
from doorward.cli.scan import burning_at
from doorward.cli.target import address


def revoke(
    context: typer.Context,
    token: Annotated[
        str | None, typer.Option(metavar="T|-|@FILE", help="An access token or api key; - is stdin.")
    ] = None,
    grant: Annotated[str | None, typer.Option(metavar="ID", help="A grant, with every token of it.")] = None,
    client: Annotated[str | None, typer.Option(metavar="ID", help="A client: it is disabled.")] = None,
    account: Annotated[str | None, typer.Option(metavar="ID", help="An account: it is suspended.")] = None,
    user: Annotated[str | None, typer.Option(metavar="USER", help="A user (id or name): he is disabled.")] = None,
    signing_key: Annotated[
        str | None, typer.Option(metavar="KID", help="A stolen key, with all that it ever signed.")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--everything", help="Every access token there is; whoever may asks for a new one.")
    ] = False,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """End a token, grant, user, client, account or signing key."""
    named = given(token=token, grant=grant, client=client, account=account, user=user, signing_key=signing_key)
    if everything:
        named["everything"] = "access_tokens"
    if len(named) != 1:
        one_of = "--token, --grant, --client, --account, --user, --signing-key and --everything"
        raise Failure(f"give one of {one_of}", exit_code=USAGE)
    if everything:
        confirm("End every access token of every client?", yes)
    if token is not None:
        named = {"token": credential_input.read(token, "token")}
        url = burning_at(context)
        if url is not None:
            _told(_by_itself(url, named["token"]), json)
            return
    end(context, named, json)


def _by_itself(url: str, key: str) -> Object:
    """Without an admin key: an api key may end itself, and nothing else."""
    import os
    import ssl

    import httpx2

    trust = ssl.create_default_context(cafile=os.environ.get("DOORWARD_CA_FILE"))
    try:
        with httpx2.Client(base_url=address(url), verify=trust, timeout=30) as http:
            reply = http.post("/v1/keys/self/revoke", headers={"authorization": f"Bearer {key}"})
            answer = reply.json()
    except (httpx2.TransportError, ValueError) as error:
        raise Failure(f"{url} cannot be reached: {type(error).__name__}") from None
    if not reply.is_success:
        raise Refused(reply.status_code, answer)
    return {"kind": "api_key", "id": answer["id"], "changed": True}


def end(context: typer.Context, named: dict[str, str], json: bool) -> None:
    _told(run(context, lambda api: api.post("/revocations", named)), json)


def _told(ended: Object, json: bool) -> None:
    if json:
        output.show_json(ended)
        return
    done = "was ended: it is refused from now on" if ended["changed"] else "had ended before; nothing was changed"
    output.say(f"The {ended['kind'].replace('_', ' ')} {output.printable(ended['id'])} {done}.")


app = verb(revoke, "doorward revoke --token - < token.txt\ndoorward revoke --account acme")
