"""`doorward signing-keys`: the keys that sign tokens and the revocation feed, and their turns."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from doorward.cli import lists, output
from doorward.cli.admin_api import Object, run, segment
from doorward.cli.durations import clock
from doorward.cli.options import Algorithm, Cursor, Json, Limit, given, noun

app = noun(
    "Keys that sign tokens, the feed and what gateways assert.",
    """
doorward signing-keys list
doorward signing-keys rotate --algorithm ES256
doorward signing-keys retire signing_8sK2vQ0pXw4mTn1Z
doorward revoke --signing-key signing_8sK2vQ0pXw4mTn1Z
""",
)


class Purpose(StrEnum):
    token = "token"
    feed = "feed"
    assertion = "assertion"


SIGNED = {"token": "tokens", "feed": "the revocation feed", "assertion": "what gateways assert"}


Now = Annotated[
    bool, typer.Option("--now", help="Though verifiers may not know the spare yet: they must read the keys again.")
]


@app.command("list")
def list_(context: typer.Context, json: Json = False, limit: Limit = lists.LIMIT, cursor: Cursor = None) -> None:
    """List the signing keys, and what comes next for each."""
    header = ("KID", "PURPOSE", "ALGORITHM", "STATE", "CREATED", "NEXT")
    lists.show(context, "/signing-keys", header, _row, json=json, limit=limit, cursor=cursor)


@app.command()
def rotate(
    context: typer.Context,
    purpose: Annotated[Purpose, typer.Option(help="What the keys sign.")] = Purpose.token,
    algorithm: Annotated[Algorithm | None, typer.Option(help="Only the key of this algorithm.")] = None,
    now: Now = False,
    json: Json = False,
) -> None:
    """Let the spares sign now, and the active keys no more."""
    body = given(purpose=purpose, algorithm=algorithm, force=now or None)
    _show(run(context, lambda api: api.post("/signing-keys/rotate", body)), json)


@app.command()
def retire(
    context: typer.Context,
    kid: Annotated[str, typer.Argument(metavar="KID", help="The active key that shall sign no more.")],
    now: Now = False,
    json: Json = False,
) -> None:
    """Let the spare of one key sign in its place. Tokens that it signed stay good."""
    path = f"/signing-keys/{segment(kid)}/retire"
    _show(run(context, lambda api: api.post(path, given(force=now or None))), json)


def _show(rotation: Object, json: bool) -> None:
    if json:
        output.show_json(rotation)
        return
    for key in rotation["active"]:
        what = SIGNED[key["purpose"]]
        output.say(f"{output.printable(key['kid'])} signs {what} ({key['algorithm']}) from now on.")


def _row(key: Object) -> tuple[str, ...]:
    created = clock(key["created_at"])
    return key["kid"], key["purpose"], key["algorithm"], key["state"], created, _next(key)


def _next(key: Object) -> str:
    """A pending key is ready for its turn from then on; when that comes, its active key says."""
    if key["next_state"] is None:
        return ""
    word = "ready" if key["state"] == "pending" else key["next_state"]
    return f"{word} {clock(key['next_at'])}"
