"""`doorward restore`: a backup in place of what was lost. Nothing that was revoked or used since comes back with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from doorward.cli import output, passphrase
from doorward.cli.admin_api import choose, local_settings, open_data_directory, refusals_told
from doorward.cli.backup import told
from doorward.cli.failure import USAGE, Failure
from doorward.cli.options import Json, verb
from doorward.cli.progress import Progress
from doorward.cli.target import Local

if TYPE_CHECKING:
    from doorward.data_directory import DataDirectory
    from doorward.settings import Settings
    from doorward.web.restoring import Restored

KINDS = {
    "api_key": "api keys",
    "client": "clients",
    "verifier": "verifiers",
    "admin_key": "admin keys",
    "user": "users",
}
LIST_LIMIT = 200


@dataclass(frozen=True, slots=True)
class Asked:
    names: tuple[str, ...]
    here: bool
    journal: Path | None
    keys: Path | None
    passphrase: str | None
    force: bool


def restore(
    context: typer.Context,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[FILE]", help="The backup; with --resume, ids or kinds.")
    ] = None,
    keys: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The export of master key and pepper, where they were lost.")
    ] = None,
    phrase: Annotated[
        str | None, typer.Option("--passphrase", metavar="-|@FILE", help=f"Of that export: {passphrase.OPTION_HELP}")
    ] = None,
    journal: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="From doorward audit export: only what it names is ended or held."),
    ] = None,
    here: Annotated[bool, typer.Option("--here", help="Take the database that lies here for the backup.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace what is there.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Resume what is held: all, or these ids and kinds.")] = False,
    held: Annotated[bool, typer.Option("--held", help="List what is held.")] = False,
    json: Json = False,
) -> None:
    """Restore a backup, while no server runs.

    All tokens, sessions and grants of users are over. Every key, client, verifier, admin key and user is held until you
    resume it; with --journal only those that were changed after the backup.
    """
    asked = Asked(tuple(names or ()), here, journal, keys, phrase, force)
    if (resume or held) and (here or journal or keys or force or (resume and held)):
        raise Failure("give --resume or --held alone, with ids or kinds", exit_code=USAGE)
    if resume:
        _resume(context, asked.names, json)
    elif held:
        _list(context, json)
    else:
        _say(_restored(context, asked), asked, json)


def _restored(context: typer.Context, asked: Asked) -> Restored:
    from doorward.web import restoring

    if asked.here == (len(asked.names) == 1) or len(asked.names) > 1:
        raise Failure("name one backup, or say --here", exit_code=USAGE)
    progress = Progress("Restoring")
    try:
        with _failures_told(asked), refusals_told():
            settings, data = _directory(_local(context), asked)
            if asked.here:
                return restoring.here(settings, data, asked.journal)
            file = Path(asked.names[0])
            return restoring.from_file(settings, data, file, asked.journal, asked.force, progress)
    finally:
        progress.end()


@contextmanager
def _failures_told(asked: Asked) -> Iterator[None]:
    from doorward.backup_file import NotABackup
    from doorward.web.restoring import CannotRestore

    try:
        with told():
            yield
    except NotABackup as problem:
        raise Failure(f"{asked.names[0]} cannot be restored: {problem}") from None
    except CannotRestore as problem:
        raise Failure(str(problem), *problem.ways_out) from None


def _local(context: typer.Context) -> Local:
    chosen = choose(context, start_here=True)
    if not isinstance(chosen, Local):
        raise Failure("a database is restored where it lies: --data-dir or --config names it", exit_code=USAGE)
    return chosen


def _directory(chosen: Local, asked: Asked) -> tuple[Settings, DataDirectory]:
    from doorward import secrets_export

    settings = local_settings(chosen)
    if asked.keys is not None:
        try:
            export = secrets_export.unseal(asked.keys.read_bytes(), passphrase.known(asked.passphrase))
        except secrets_export.NotOpened:
            raise Failure(f"{asked.keys} does not open with this passphrase, or is no export of secrets") from None
        if not secrets_export.bring(export, settings, replace=asked.force):
            raise Failure("other secrets are here than those of the export", "say --force: they are replaced")
    elif not asked.here and secrets_export.are_missing(settings):
        raise Failure(
            "master key and pepper are not here, and they are in no backup",
            "give their export: --keys FILE (doorward config export-secrets)",
            "name them with DOORWARD__MASTER_KEY_FILE and DOORWARD__PEPPER_FILE",
        )
    return open_data_directory(chosen, making=not asked.here)


def _say(restored: Restored, asked: Asked, json: bool) -> None:
    replay = restored.replay
    if json:
        replayed = None if replay is None else replay.until
        told = {"backup": str(restored.backup), "epoch": restored.epoch, "replayed_to": replayed, "held": restored.held}
        output.show_json({**told, "apis_changed": [] if replay is None else sorted(replay.apis)})
        return
    source = "the database that lay here" if asked.here else asked.names[0]
    output.say(f"Restored {source}, whose last change was {restored.backup}. Epoch {restored.epoch} begins.")
    output.say("Every token, session, code and grant of a user from before is over; the next start makes signing keys.")
    if replay is not None:
        output.say(f"The journal was replayed up to {replay.until}: what it ended is ended, what it changed is held.")
        output.say("What was made after the backup is lost: keys, clients, users and secrets of rotations.")
        if replay.apis:
            output.say(f"These apis were changed after the backup, and must be changed again: {', '.join(replay.apis)}")
    counted = ", ".join(f"{number} {KINDS[kind]}" for kind, number in restored.held.items())
    output.say(f"Held until you resume them: {counted}." if counted else "Nothing is held.")
    output.say("Next:")
    for line in _next(bool(counted)):
        output.say(f"  {line}")


def _next(is_held: bool) -> list[str]:
    held = [
        "doorward restore --held                      what is held",
        "doorward restore --resume user admin_key     or any ids; without names, everything",
    ]
    return [*(held if is_held else []), "doorward serve"]


def _list(context: typer.Context, json: bool) -> None:
    from doorward.web import restoring

    with refusals_told():
        settings, data = open_data_directory(_local(context))
        counted, rows = restoring.held(settings, data, LIST_LIMIT)
    if json:
        items = [{"kind": kind, "id": id_, "name": name} for kind, id_, name in rows]
        output.show_json({"held": counted, "items": items})
    elif not rows:
        output.say("Nothing is held.")
    else:
        output.table(("KIND", "ID", "NAME"), rows)
        if sum(counted.values()) > len(rows):
            output.note(f"These are the first {len(rows)} of {sum(counted.values())}.")


def _resume(context: typer.Context, names: tuple[str, ...], json: bool) -> None:
    from doorward.web import restoring

    with refusals_told():
        settings, data = open_data_directory(_local(context))
        resumed = restoring.resume_held(settings, data, names)
        left, _ = restoring.held(settings, data, 0)
    if json:
        output.show_json({"resumed": resumed, "held": left})
        return
    rest = sum(left.values())
    output.say(
        f"Resumed {resumed}; running servers accept them. " + (f"{rest} are held." if rest else "Nothing is held.")
    )


app = verb(
    restore,
    """
doorward restore /var/backups/doorward-2026-11-28.backup
doorward restore FILE --keys doorward-secrets.json --journal journal.jsonl
doorward restore --here
doorward restore --resume
""",
)
