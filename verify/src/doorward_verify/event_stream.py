"""Server-sent events, parsed as the bytes come (HTML §9.2.6).

id: 1:1042
event: entry
data: {"pos": "1:1042", ...}
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

LINE_LIMIT = 16 * 1024
EVENT_LIMIT = 64 * 1024
_BOM = b"\xef\xbb\xbf"


class Event(NamedTuple):
    name: str
    data: str


class EventStream:
    """Raises ValueError for what is too long to be kept, or no UTF-8."""

    def __init__(self) -> None:
        self._rest = b""
        self._begun = False
        self._name = ""
        self._data: list[str] = []
        self._size = 0

    def feed(self, chunk: bytes) -> Iterator[Event]:
        """The events that this chunk completes."""
        for line in self._lines(chunk):
            if line:
                self._take(line)
            elif self._data:
                yield Event(self._name or "message", "\n".join(self._data))
                self._clear()
            else:
                self._clear()

    def _lines(self, chunk: bytes) -> list[str]:
        text = self._rest + chunk
        # What follows a carriage return decides whether it is a line's end or half of one.
        held = b"\r" if text.endswith(b"\r") else b""
        lines = text.removesuffix(held).replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        self._rest = lines.pop() + held
        if max(map(len, lines), default=0) > LINE_LIMIT or len(self._rest) > LINE_LIMIT:
            raise ValueError("a line is too long")
        if lines and not self._begun:
            self._begun = True
            lines[0] = lines[0].removeprefix(_BOM)
        return [line.decode("utf-8") for line in lines]

    def _take(self, line: str) -> None:
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        self._size += len(line)
        if self._size > EVENT_LIMIT:
            raise ValueError("an event is too long")
        if field == "event":
            self._name = value
        elif field == "data":
            self._data.append(value)

    def _clear(self) -> None:
        self._name, self._data, self._size = "", [], 0
