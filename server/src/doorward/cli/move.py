"""`doorward migrate --to`: moves an SQLite database to PostgreSQL, and says what is left to do."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit, urlunsplit

from doorward.cli import credential_input, output
from doorward.cli.admin_api import open_data_directory, refusals_told
from doorward.cli.failure import USAGE, Failure
from doorward.store.move import CannotMove, Moved, Plan, Progress, Why, both_ends, carry_out, look

if TYPE_CHECKING:
    from doorward.cli.target import Local
    from doorward.settings import Settings

RETRY = "run the same command again: it starts anew, and the servers have gone on meanwhile"
SENTENCES: dict[Why, tuple[str, ...]] = {
    Why.source_older: (
        "the database is of an older version of Doorward",
        "upgrade it first: doorward migrate",
    ),
    Why.source_newer: (
        "the database was upgraded by a newer version of Doorward",
        "move it with that version",
    ),
    Why.source_moved: (
        "the database moved to {detail} already, and this is not what it left there",
        "serve that one",
        "end a move that was broken off with the URL it began with",
    ),
    Why.wrong_secrets: (
        "the database was made with another master key or pepper than those at hand",
        "name them with DOORWARD__MASTER_KEY_FILE and DOORWARD__PEPPER_FILE",
    ),
    Why.target_in_use: (
        "the target is a complete database of this deployment: somebody may be serving it",
        "serve it, if it is where the database moved",
        "name an empty database",
    ),
    Why.target_of_others: (
        "the target belongs to another deployment, with other secrets",
        "name an empty database",
    ),
    Why.target_foreign: (
        "the target is not empty: it has a table {detail}",
        "name an empty database: createdb doorward",
    ),
    Why.changed_meanwhile: ("the schema was changed while the database was copied", RETRY),
    Why.too_busy: ("the database was written to without a pause, so that it could not be closed", RETRY),
    Why.differs: ("the table {detail} came out different on the other side, so nothing was closed", RETRY),
    Why.unfit: (
        "a value in the database has what PostgreSQL cannot keep, such as a NUL character",
        "correct it, then run the same command again",
    ),
    Why.may_not: (
        "this user may not make tables in the target",
        "let it be its own: createdb --owner USER NAME",
    ),
    Why.entangled: ("names were exchanged while the database was copied", RETRY),
}


def move(chosen: Local, to: str, *, dry_run: bool, as_json: bool) -> None:
    """Opens both ends, and tells what was or would be done."""
    with refusals_told():
        settings, data = open_data_directory(chosen)
        url = _target(to)
        shown = _shown(url)
        _check(settings, url)
        with data.moving() as alone, _told(), both_ends(settings.database, url) as ends:
            if not alone:
                raise Failure("another `doorward migrate` is moving this database")
            plan = look(ends, [*data.secrets(settings).fingerprints()])
            if dry_run:
                _tell_plan(plan, shown, as_json)
                return
            with _progress() as progress:
                moved = carry_out(plan, ends, shown, progress)
            _tell(moved, shown, as_json)


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except CannotMove as refused:
        sentence, *ways_out = SENTENCES[refused.why]
        raise Failure(sentence.format(detail=refused.detail), *ways_out) from None


def _target(to: str) -> str:
    """A URL with a password is a secret as others are (decision 19)."""
    if to == "-" or to.startswith("@") or _shown(to) != to:
        return credential_input.read(to, "database URL")
    return to


def _check(settings: Settings, url: str) -> None:
    from doorward.data_directory import database_path
    from doorward.refusals import unverified_database

    file = database_path(settings.database)
    if file is None or not file.is_file():
        raise Failure("only an SQLite database that is there can be moved", exit_code=USAGE)
    if refusal := unverified_database(settings.model_copy(update={"database": url})):
        raise Failure(refusal.sentence, *refusal.ways_out[:2], exit_code=USAGE)


def _shown(url: str) -> str:
    """As it may stand in a file that others read: without the password, wherever in the URL it was."""
    parts = _parts(url)
    query = "&".join(pair for pair in parts.query.split("&") if not pair.startswith("password="))
    user = f"{parts.username}@" if parts.username else ""
    return urlunsplit(parts._replace(netloc=user + parts.netloc.rpartition("@")[2], query=query))


def _parts(url: str) -> SplitResult:
    with suppress(ValueError):
        parts = urlsplit(url)
        # A port that is none is found when it is asked for.
        if parts.scheme.partition("+")[0] == "postgresql" and parts.port != 0:
            return parts
    raise Failure("--to takes the URL of a PostgreSQL database: postgresql://user@host/name", exit_code=USAGE)


def _tell_plan(plan: Plan, shown: str, as_json: bool) -> None:
    if as_json:
        output.show_json({"to": shown, "rows": plan.rows, "starts_anew": plan.starts_anew, "opens": bool(plan.opens)})
        return
    if plan.opens:
        output.say(f"Everything is in {shown} already; what is left is to open it.")
        return
    output.table(("TABLE", "ROWS"), [(name, f"{rows:,}") for name, rows in plan.rows.items() if rows])
    again = " What an earlier move left there would be removed first." if plan.starts_anew else ""
    output.say(f"{plan.total:,} rows would be copied to {shown}.{again} Nothing was changed.")


def _tell(moved: Moved, shown: str, as_json: bool) -> None:
    if as_json:
        output.show_json(
            {"to": shown, "rows": moved.rows, "tables": moved.tables, "still_seconds": round(moved.still, 3)}
        )
        return
    if moved.rows:
        output.say(
            f"{moved.rows:,} rows of {moved.tables} tables were moved, and compared row by row; "
            f"writing stood still for {moved.still:.1f} s."
        )
    output.say(
        "The old database is closed for good. Now change one line, in doorward.toml, and start every server again:"
    )
    output.say()
    output.say(f'database = "{shown}"')


class _Silent:
    def stage(self, name: str, total: int) -> None: ...

    def advance(self, count: int) -> None: ...


@contextmanager
def _progress() -> Iterator[Progress]:
    """A bar for each stage on a terminal, and nothing elsewhere."""
    if not sys.stderr.isatty():
        yield _Silent()
        return
    from rich import progress
    from rich.console import Console

    with progress.Progress(console=Console(stderr=True), transient=True) as shown:
        yield _Bars(shown)


@dataclass
class _Bars:
    shown: Any
    task: Any = None

    def stage(self, name: str, total: int) -> None:
        self.task = self.shown.add_task(name, total=total or None)

    def advance(self, count: int) -> None:
        self.shown.advance(self.task, count)
