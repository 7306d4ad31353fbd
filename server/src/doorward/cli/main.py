"""`doorward`: nouns, then verbs. Only the command that was named is imported, and what it needs only when it runs."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer.core import TyperGroup

from doorward import __version__
from doorward.cli.failure import CANCELLED, FAILED, Failure
from doorward.cli.options import noun

if TYPE_CHECKING:
    from typer._click import Command, Context, HelpFormatter

INTERRUPTED = 130

# A module of this room each, and its own first line of help.
COMMANDS = {
    "serve":        ("serve", "Start the server."),
    "init":         ("init", "Ask who calls, advise, and make what is needed."),
    "apis":         ("apis", "Protected resources: identifier, scopes, tokens."),
    "accounts":     ("accounts", "Customers to whom keys and clients belong."),
    "keys":         ("keys", "API keys: made, checked, rotated, revoked."),
    "clients":      ("clients", "Registered software that fetches or asks for tokens."),
    "grants":       ("grants", "What clients were allowed."),
    "users":        ("users", "People who sign in."),
    "verifiers":    ("verifiers", "Services that check keys and tokens of an api."),
    "admin-keys":   ("admin_keys", "Credentials for the admin API."),
    "signing-keys": ("signing_keys", "Keys that sign tokens, the feed and what gateways assert."),
    "revoke":       ("revoke", "End a token, grant, user, client, account or signing key."),
    "nodes":        ("nodes", "Servers of this deployment, as they see each other."),
    "leaks":        ("leaks", "Leaked secrets: found, reported, revoked."),
    "gateway":      ("gateway", "Gateways that ask Doorward: nginx, Caddy, HAProxy and others."),
    "inspect":      ("inspect", "Say what a key, secret or token is."),
    "explain":      ("explain", "Say why a request was refused, and what helps."),
    "audit":        ("audit", "The audit log."),
    "config":       ("config", "The settings."),
    "backup":       ("backup", "Back up the database, while servers run."),
    "restore":      ("restore", "Restore a backup, while no server runs."),
    "migrate":      ("migrate", "Bring the database to this version, or move it to PostgreSQL."),
}  # fmt: skip
EXAMPLES = """
doorward serve
doorward init --for partners
doorward keys create --account acme --api Invoices --scope invoices:read
DOORWARD_URL=https://auth.example.com doorward keys list
"""


class Commands(TyperGroup):
    """Building all the commands takes longer than most of them run."""

    def list_commands(self, ctx: Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: Context, cmd_name: str) -> Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        module, _ = COMMANDS[cmd_name]
        return typer.main.get_command(import_module(f"doorward.cli.{module}").app)

    def format_commands(self, ctx: Context, formatter: HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


app = noun("Doorward keeps the door of your API: keys, clients, tokens.", EXAMPLES, Commands)


def _version(asked: bool) -> None:
    if asked:
        print(f"doorward {__version__}")
        raise typer.Exit


@app.callback()
def options(
    data_dir: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Work on this data directory, in this process.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Settings of that data directory (doorward.toml).")
    ] = None,
    url: Annotated[
        str | None, typer.Option(metavar="URL", help="Speak to this server, with DOORWARD_ADMIN_KEY.")
    ] = None,
    profile: Annotated[
        str | None, typer.Option(metavar="NAME", help="Speak to this one of ~/.config/doorward/profiles.toml.")
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Doorward keeps the door of your API: keys, clients, tokens."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: 0 ok, 1 failed, 2 usage or cancelled, 4 not authenticated."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    try:
        code = app(words, prog_name="doorward", standalone_mode=False)
        sys.stdout.flush()
    except (typer.Abort, KeyboardInterrupt):
        return CANCELLED
    except BrokenPipeError:
        # Whoever read us has had enough; without this Python complains about it once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except typer.TyperException as misuse:
        return _misused(misuse)
    except Failure as failure:
        return _tell(failure, as_json="--json" in words)
    except Exception as fault:
        if os.environ.get("DOORWARD_DEBUG") == "1":
            raise
        return _tell(_unexpected(fault), as_json="--json" in words)
    return CANCELLED if code == INTERRUPTED else int(code or 0)


def _tell(failure: Failure, as_json: bool) -> int:
    print(failure.json() if as_json else failure.text(), file=sys.stderr)
    return failure.exit_code


def _misused(misuse: typer.TyperException) -> int:
    show = getattr(misuse, "show", None)
    if show is None:
        print(f"doorward: {misuse.format_message()}", file=sys.stderr)
    else:
        show()
    return misuse.exit_code


def _unexpected(fault: Exception) -> Failure:
    """Its kind alone: a message may quote what was given."""
    if isinstance(fault, OSError) and fault.strerror:
        return Failure(f"{fault.filename or 'input or output failed'}: {fault.strerror.lower()}")
    return Failure(f"unexpected failure ({type(fault).__name__}); DOORWARD_DEBUG=1 shows where")
