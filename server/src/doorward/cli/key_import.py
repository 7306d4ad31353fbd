"""`doorward keys import`: keys that were made elsewhere, many at a time; what could not be taken is told row by row."""

from __future__ import annotations

import contextlib
import json as json_text
import sys
from collections import Counter
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import IO, Annotated, Any

import typer

from doorward.cli import output
from doorward.cli.admin_api import AdminApi, Object, run
from doorward.cli.failure import FAILED, USAGE, Failure, Refused
from doorward.cli.key_rows import Line, lines
from doorward.cli.options import Json, given, scope

# The API takes 500 rows, and 64 KiB.
ROWS, BYTES = 250, 48 * 1024


class Kind(StrEnum):
    csv = "csv"
    jsonl = "jsonl"


def import_(
    context: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="CSV with a header, or JSON Lines; - is stdin.")],
    kind: Annotated[Kind | None, typer.Option("--format", help="What it is, where its name does not say.")] = None,
    account: Annotated[str | None, typer.Option(metavar="ID", help="Of rows that name none.")] = None,
    api: Annotated[str | None, typer.Option(metavar="API", help="Of rows that name none.")] = None,
    scopes: Annotated[list[str] | None, typer.Option("--scope", metavar="NAMES", help="Of rows without any.")] = None,
    entropy: Annotated[
        int | None, typer.Option(metavar="BITS", help="Chance in the keys behind hashes; 96 at least.")
    ] = None,
    create_accounts: Annotated[bool, typer.Option("--create-accounts", help="Make those that are missing.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be wrong, and change nothing.")] = False,
    json: Json = False,
) -> None:
    """Take keys that were made elsewhere; they keep their texts."""
    every = given(account=account, api=api, scope=scope(scopes))
    options = {**given(entropy=entropy), "create_accounts": create_accounts}
    told = Told(json)
    with _opened(file) as (text, size):
        found = lines(text, _kind(file, kind), every)
        with _progress(text, size) as advance:
            run(context, lambda admin: _send(admin, found, options, told, advance, dry=dry_run))
    told.finish(dry=dry_run)


class Told:
    """What became of the rows so far; each that was not taken is told when it is known."""

    def __init__(self, json: bool) -> None:
        self._json = json
        self._counts: Counter[str] = Counter()

    @property
    def answered(self) -> int:
        return self._counts.total()

    def tell(self, number: int, result: Object) -> None:
        self._counts[result["outcome"]] += 1
        if self._json:
            output.json_line({"line": number, **{name: value for name, value in result.items() if value is not None}})
        elif result["outcome"] == "refused":
            output.say(output.printable(f"line {number}: {' '.join(filter(None, (result['field'], result['error'])))}"))
        elif result["outcome"] == "duplicate":
            output.say(f"line {number}: is {'the key ' + result['id'] if result['id'] else 'in this file'} already")

    def finish(self, *, dry: bool) -> None:
        counts = self._counts
        if not self._json:
            taken = f"{counts['fit']:,} would be imported" if dry else f"{counts['imported']:,} imported"
            rest = f"{counts['duplicate']:,} there already, {counts['refused']:,} refused"
            output.say(f"Of {counts.total():,} keys: {taken}, {rest}.")
        if counts["refused"]:
            raise typer.Exit(FAILED)


async def _send(
    admin: AdminApi, found: Iterator[Line], options: Object, told: Told, advance: Any, *, dry: bool
) -> None:
    for batch in _batches(found):
        rows = [line.row for line in batch if line.row is not None]
        try:
            results = iter(await _ask(admin, {"rows": rows, **options}, dry=dry) if rows else [])
        except Refused:
            raise
        except Failure as failure:
            done = f"{failure.sentence}; {told.answered:,} keys were answered before that"
            raise Failure(done, "run it once more: what is there already is not imported twice") from None
        for line in batch:
            wrong = {"outcome": "refused", "id": None, "field": None, "error": line.wrong}
            told.tell(line.number, wrong if line.row is None else next(results))
        advance()


async def _ask(admin: AdminApi, body: Object, *, dry: bool) -> list[Object]:
    """A batch that is sent again after a 503 is answered as it was the first time."""
    if dry:
        answer = await admin.post("/keys/import/check", body)
    else:
        answer = await admin.create("/keys/import", body)
    results: list[Object] = answer["results"]
    return results


def _batches(found: Iterator[Line]) -> Iterator[list[Line]]:
    batch: list[Line] = []
    size = 0
    for line in found:
        weight = len(json_text.dumps(line.row))
        if batch and (len(batch) >= ROWS or size + weight > BYTES):
            yield batch
            batch, size = [], 0
        batch.append(line)
        size += weight
    if batch:
        yield batch


@contextlib.contextmanager
def _opened(name: str) -> Iterator[tuple[IO[str], int | None]]:
    """The text, and how many bytes it has where that can be known."""
    if name == "-":
        yield sys.stdin, None
        return
    path = Path(name)
    try:
        file = path.open(encoding="utf-8-sig", newline="")
    except OSError as error:
        raise Failure(f"{name} cannot be read: {(error.strerror or 'unknown').lower()}", exit_code=USAGE) from None
    with file:
        yield file, path.stat().st_size if path.is_file() else None


def _kind(name: str, said: Kind | None) -> str:
    suffix = Path(name).suffix.lower()
    if said is None and suffix not in (".csv", ".jsonl", ".ndjson"):
        raise Failure("its name does not say what it is: add --format csv or --format jsonl", exit_code=USAGE)
    return said or ("csv" if suffix == ".csv" else "jsonl")


@contextlib.contextmanager
def _progress(text: IO[str], size: int | None) -> Iterator[Any]:
    """A bar on a terminal, and nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("importing", total=size)
        # What was read of the file, not of the buffer before it: good enough for a bar.
        yield lambda: progress.update(task, completed=text.buffer.tell() if size else None, advance=None)  # type: ignore[attr-defined]
