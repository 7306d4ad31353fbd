"""The rows of an import, from CSV with a header or from JSON Lines, as they come: a file may be of any length.

account,api,scope,sha256,expires_at,metadata.plan
acme,Invoices,invoices:read,9f86d081...,2027-01-31,gold
{"account": "acme", "api": "Invoices", "scope": "invoices:read", "sha256": "...", "metadata": {"plan": "gold"}}
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import IO, Any

from doorward.cli.admin_api import Object
from doorward.cli.failure import USAGE, Failure

COLUMNS = (
    "account", "api", "scope", "name", "environment", "key", "sha256", "bcrypt", "prefix", "expires_at", "networks",
)  # fmt: skip
METADATA = "metadata."
# The csv module's own limit would end the whole import.
FIELD_LIMIT = 32 * 1024


@dataclass(frozen=True, slots=True)
class Line:
    """`row` is what the API is given; where there is none, `wrong` says why."""

    number: int
    row: Object | None = field(default=None, repr=False)
    wrong: str = ""


class _Wrong(Exception):  # noqa: N818  an answer
    """A row that cannot be read."""


def lines(file: IO[str], kind: str, given: Mapping[str, Any]) -> Iterator[Line]:
    """`given` is for every row that does not say otherwise. Raises Failure for what is no table at all."""
    try:
        yield from (_csv if kind == "csv" else _json_lines)(file, given)
    except UnicodeDecodeError:
        raise Failure("the file is not UTF-8", exit_code=USAGE) from None


def _csv(file: IO[str], given: Mapping[str, Any]) -> Iterator[Line]:
    csv.field_size_limit(FIELD_LIMIT)
    reader = csv.reader(file)
    try:
        header = [name.strip().lower() for name in next(reader, [])]
        _check_header(header)
        for cells in reader:
            if cells:
                yield _line(reader.line_num, lambda cells=cells: _of_cells(header, cells), given)
    except csv.Error as problem:
        raise Failure(f"line {reader.line_num} is no CSV: {problem}", exit_code=USAGE) from None


def _check_header(header: list[str]) -> None:
    if not header:
        raise Failure("there is nothing to import: the file is empty", exit_code=USAGE)
    unknown = [name for name in header if name not in COLUMNS and not name.startswith(METADATA)]
    if unknown or len(set(header)) < len(header):
        named = f"has an unknown column {unknown[0]!r}" if unknown else "names a column twice"
        known = ", ".join(COLUMNS)
        raise Failure(f"the first line {named}; the columns are {known} and {METADATA}NAME", exit_code=USAGE)


def _of_cells(header: list[str], cells: list[str]) -> Object:
    if len(cells) != len(header):
        raise _Wrong(f"has {len(cells)} cells, and the first line {len(header)}")
    told = {name: cell.strip() for name, cell in zip(header, cells, strict=True) if cell.strip()}
    metadata = {name[len(METADATA) :]: told.pop(name) for name in list(told) if name.startswith(METADATA)}
    networks = told.pop("networks", "").split()
    return {**told, **({"metadata": metadata} if metadata else {}), **({"networks": networks} if networks else {})}


def _json_lines(file: IO[str], given: Mapping[str, Any]) -> Iterator[Line]:
    for number, text in enumerate(file, 1):
        if text.strip():
            yield _line(number, lambda text=text: _of_json(text), given)


def _of_json(text: str) -> Object:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise _Wrong("is no JSON") from None
    if not isinstance(found, dict):
        raise _Wrong("is no JSON object")
    unknown = found.keys() - {*COLUMNS, "metadata"}
    if unknown:
        raise _Wrong(f"has an unknown member {min(unknown)!r}")
    for name in found.keys() - {"metadata", "networks", "expires_at"}:
        if not isinstance(found[name], str):
            raise _Wrong(f"{name} must be text")
    return _shaped(found)


def _shaped(found: Object) -> Object:
    metadata, networks = found.get("metadata", {}), found.get("networks", [])
    if not isinstance(metadata, dict) or not all(isinstance(value, str | int | bool) for value in metadata.values()):
        raise _Wrong("metadata must be an object of texts, whole numbers and truths")
    if not isinstance(networks, list) or not all(isinstance(one, str) for one in networks):
        raise _Wrong("networks must be a list of texts")
    return found


def _line(number: int, read: Any, given: Mapping[str, Any]) -> Line:
    try:
        row = {**given, **read()}
        missing = next((name for name in ("account", "api", "scope") if name not in row), None)
        if missing:
            raise _Wrong(f"{missing} is missing")
        if row.get("environment", "live") not in ("live", "test"):
            raise _Wrong("environment must be live or test")
        if "expires_at" in row:
            row["expires_at"] = _seconds(row["expires_at"])
    except _Wrong as problem:
        return Line(number, wrong=str(problem))
    return Line(number, row)


def _seconds(value: object) -> int:
    """Seconds since 1970, or a day or time of ISO 8601; without a zone it is UTC."""
    if type(value) is int:
        return value
    text = str(value)
    if text.isascii() and text.isdigit() and len(text) < 12:
        return int(text)
    try:
        found = datetime.fromisoformat(text)
        return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        raise _Wrong("expires_at must be a time such as 2027-01-31 or 1801353600") from None
