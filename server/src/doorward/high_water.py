"""The high-water mark: how far each database had come that this node served, in a file beside it (decision 22a).

high-water.json      {"1795467600": "1:1042"}      when the database was made, and the position of its last change

An older database would make good again what was revoked after it. So it is refused: what came by `cp` instead of
`doorward restore`, lacks its last commits, or is a replica that took over without them.
"""

from __future__ import annotations

import json
from pathlib import Path

from doorward.data_directory import write_private
from doorward.protocol.moment import Position
from doorward.settings import Refusal, StartRefused

FILE = "high-water.json"
Marks = dict[str, Position]


def refuse_older(directory: Path, made_at: int, found: Position) -> None:
    """Raises StartRefused."""
    marked = _read(directory / FILE).get(str(made_at))
    if marked is not None and found < marked:
        raise StartRefused(_older(found, marked))


def reach(directory: Path, made_at: int, position: Position) -> None:
    """Durable when it returns; a mark that is higher stays."""
    marks = _read(directory / FILE)
    if str(made_at) in marks and marks[str(made_at)] >= position:
        return
    _write(directory, {**marks, str(made_at): position})


def put_back(directory: Path, made_at: int, before: Position | None) -> None:
    """What was marked ahead of time did not happen."""
    marks = _read(directory / FILE)
    marks.pop(str(made_at), None)
    _write(directory, marks if before is None else {**marks, str(made_at): before})


def _write(directory: Path, marks: Marks) -> None:
    text = json.dumps({made: str(reached) for made, reached in marks.items()})
    write_private(directory / FILE, f"{text}\n".encode())


def marked(directory: Path, made_at: int) -> Position | None:
    return _read(directory / FILE).get(str(made_at))


def epochs(directory: Path) -> list[int]:
    """Those of every database that was ever served from here."""
    return [position.epoch for position in _read(directory / FILE).values()]


def _read(file: Path) -> Marks:
    if not file.exists():
        return {}
    try:
        return {str(made): Position.parse(str(text)) for made, text in json.loads(file.read_text("utf-8")).items()}
    except (ValueError, AttributeError):
        raise StartRefused(_unreadable(file)) from None


def _older(found: Position, marked: Position) -> Refusal:
    return Refusal(
        f"the database is older than what was served from here: it is at {found}, and was at {marked}; "
        "what was revoked in between would be good again",
        (
            "put the newer database back",
            "restore a backup: doorward restore FILE",
            "go on with this one, as with a backup: doorward restore --here",
        ),
    )


def _unreadable(file: Path) -> Refusal:
    return Refusal(
        f"{file} cannot be read: it tells whether the database is older than what was served from here",
        (
            "put the file back from a copy of this directory",
            "restore a backup: doorward restore FILE",
            "if nobody replaced the database, remove the file",
        ),
    )
