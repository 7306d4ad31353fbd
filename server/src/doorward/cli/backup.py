"""`doorward backup`: the database in one file, while servers run. The secrets are exported apart from it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from doorward.cli import output
from doorward.cli.admin_api import choose, open_data_directory, refusals_told
from doorward.cli.failure import USAGE, Failure
from doorward.cli.options import Json, verb
from doorward.cli.progress import Progress
from doorward.cli.target import Local

if TYPE_CHECKING:
    from doorward.backup_file import Manifest
    from doorward.data_directory import DataDirectory
    from doorward.settings import Settings

TO_STDOUT = Path("-")
NOT_EXPORTED = "master key and pepper are in no backup: doorward config export-secrets FILE, and keep it elsewhere"


def backup(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to; - for standard output.")],
    force: Annotated[bool, typer.Option("--force", help="Overwrite it.")] = False,
    json: Json = False,
) -> None:
    """Back up the database, while servers run.

    Master key, pepper and local CA are not in it: `doorward config export-secrets`. PostgreSQL needs pg_dump.
    """
    settings, data = opened(context, "a database is backed up where it lies: --data-dir or --config names it")
    if file != TO_STDOUT and file.exists() and not force:
        raise Failure(f"{file} is there already", "choose another name", "overwrite it: --force")
    manifest = _backed_up(settings, data, file)
    if not json:
        _say(settings, data, manifest, file)
    elif file != TO_STDOUT:
        output.show_json(asdict(manifest))


def opened(context: typer.Context, elsewhere: str) -> tuple[Settings, DataDirectory]:
    chosen = choose(context, start_here=True)
    if not isinstance(chosen, Local):
        raise Failure(elsewhere, exit_code=USAGE)
    with refusals_told():
        return open_data_directory(chosen)


def _backed_up(settings: Settings, data: DataDirectory, file: Path) -> Manifest:
    """By a private file beside its place, where there is room for it if there is for the backup."""
    from doorward import backup_file
    from doorward.data_directory import replacing
    from doorward.web import backing_up

    beside = data.path / ".backup" if file == TO_STDOUT else file.with_name(f".{file.name}.database")
    progress = Progress("Backing up")
    try:
        with told(), refusals_told():
            manifest = backing_up.make(settings, data, beside.absolute(), progress)
            if file == TO_STDOUT:
                backup_file.pack(manifest, beside, sys.stdout.buffer)
            else:
                with replacing(file) as out:
                    backup_file.pack(manifest, beside, out)
        return manifest
    finally:
        progress.end()
        beside.unlink(missing_ok=True)


@contextmanager
def told() -> Iterator[None]:
    """What went wrong with the database or its tools, as any other failure is told."""
    from doorward.store.copies import Damaged
    from doorward.store.postgresql_tools import ToolFailed

    try:
        yield
    except Damaged as problem:
        way = "restore the last backup: doorward restore FILE --force"
        raise Failure(f"the database is damaged: {problem}", way) from None
    except ToolFailed as problem:
        raise Failure(str(problem)) from None


def _say(settings: Settings, data: DataDirectory, manifest: Manifest, file: Path) -> None:
    from doorward.secrets_export import is_nagged

    say = output.note if file == TO_STDOUT else output.say
    say(f"Backed up {settings.issuer} to {file}: {manifest.size:,} bytes, at position {manifest.position}.")
    if is_nagged(data, settings):
        output.note(f"warning: {NOT_EXPORTED}")


app = verb(
    backup,
    """
doorward backup /var/backups/doorward-$(date +%F).backup
doorward backup - | age -r age1... > doorward.backup.age
""",
)
