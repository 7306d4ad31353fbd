"""`--to-command`: a secret goes to the standard input of a command, such as a secret manager's, and is shown nowhere.

doorward keys create ... --to-command "vault kv put -mount=apps billing key=-"

The command gets exactly the secret, without a line break. If it fails, the secret ends.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
from typing import Annotated

import typer

from doorward.cli.admin_api import AdminApi, Object
from doorward.cli.failure import FAILED, USAGE, Failure
from doorward.cli.options import Output

ToCommand = Annotated[
    str | None,
    typer.Option("--to-command", metavar="COMMAND", help="Do not show it: this command has it on its standard input."),
]


def words(command: str | None, shown: Output) -> list[str] | None:
    """The command as it will be run, without a shell; looked for before anything is made."""
    if command is None:
        return None
    if shown is Output.env:
        raise Failure("give --to-command or -o env, not both", exit_code=USAGE)
    try:
        found = shlex.split(command)
    except ValueError:
        raise Failure("--to-command has a quotation mark that is not closed", exit_code=USAGE) from None
    if not found or shutil.which(found[0]) is None:
        name = found[0] if found else ""
        ways_out = ("install it, or name it with its path", "for pipes and variables run a shell: sh -c '...'")
        raise Failure(f"--to-command: there is no command {name!r}", *ways_out, exit_code=USAGE)
    return found


async def hand(admin: AdminApi, made: Object, member: str, argv: list[str], undo: str) -> None:
    """Takes the secret out of what was made, and gives it to the command; when that fails, posts to `undo`."""
    import asyncio

    secret = str(made.pop(member))
    try:
        code = await asyncio.to_thread(_run, argv, secret)
    except BaseException:
        await admin.post(undo)
        raise
    if code == 0:
        return
    told = f"{argv[0]} ended with {code}, so the new secret has been withdrawn"
    try:
        await admin.post(undo)
    except Failure as failed:
        raise Failure(f"{argv[0]} ended with {code}, and the new secret could not be withdrawn: {failed}") from None
    raise Failure(told, exit_code=FAILED)


def _run(argv: list[str], secret: str) -> int:
    """What it prints may be the secret; what it complains of is seen."""
    ran = subprocess.run(argv, input=secret.encode(), stdout=subprocess.DEVNULL, check=False)  # noqa: S603  as it was typed
    return ran.returncode
