"""What a worker has to do at this moment, and who is turned away for it before anything of him is looked at (F16).

HTTP/1.1 503 Service Unavailable        retry-after: 1        {"error": "temporarily_unavailable", ...}

To turn somebody away has to cost next to nothing, or those who are turned away would take the place of the others: it
is decided from the first line of the request, and the answer is made once a second for each rank.
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from doorward import deadline
from doorward.protocol.load import RANKS, Rank, is_let_in

# In the scope of a request that was let in.
ENTRY = "doorward.entry"
TICK = 0.05
# A worker that has fewer requests than this at a time is late for another reason: a machine that does something else.
MUCH = 100
ANSWER_LIFETIME = 1.0
# In a second, of those who come again at once; it takes less than a tenth of the worker's time.
TURNED_AWAY_RATE = 2_000
CONNECTION_LIMIT = 20_000
# Files of the process that are no connections: the database, metrics, what it asks others.
OTHER_FILES = 256
# What all connections together may leave unread, each with WRITE_BUFFER and two answers.
UNREAD_LIMIT = 64 * 1024 * 1024
WRITE_BUFFER = 16 * 1024
# So many connections of gateways there may be beside as many of others as are allowed.
GATEWAYS = 128

Headers = list[tuple[bytes, bytes]]


class TurnedAway:
    """One answer for many, and the same as bytes on the wire."""

    __slots__ = ("body", "headers", "raw", "status")

    def __init__(self, status: int, headers: Headers, body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body
        fields = b"".join(b"%b: %b\r\n" % field for field in headers)
        self.raw = STATUS_LINE[status] + fields + b"\r\n" + body


class Counting(Protocol):
    """Is told of those who are turned away, and of how late the loop is."""

    def turned_away(self, rank: str) -> None: ...
    def is_late(self, seconds: float) -> None: ...


class Connection(Protocol):
    is_gateways: bool

    def let_go(self) -> None: ...
    def cut(self) -> None: ...


def briefly(rank: Rank) -> TurnedAway:  # noqa: ARG001
    """Where no application says it better."""
    body = b'{"error":"temporarily_unavailable","reason":"overloaded"}'
    length = (b"content-length", str(len(body)).encode())
    return TurnedAway(503, [(b"content-type", b"application/json"), (b"retry-after", b"1"), length], body)


@dataclass(slots=True)
class Gate:
    """Of one rank: how many are `inside`, of whom some are answered and the others wait in turn."""

    rank: Rank
    inside: int = 0
    answered: int = 0
    waiting: deque[asyncio.Future[None]] = field(default_factory=deque)

    async def turn(self) -> bool:
        """False when it did not come in time."""
        if self.answered < self.rank.at_once:
            self.answered += 1
            return True
        turn = asyncio.get_running_loop().create_future()
        self.waiting.append(turn)
        try:
            async with asyncio.timeout(deadline.left(self.rank.within)):
                await turn
        except TimeoutError:
            with contextlib.suppress(ValueError):
                self.waiting.remove(turn)
            # It may have come in the same moment.
            return turn.done() and not turn.cancelled()
        return True

    def leave(self, *, was_answered: bool) -> None:
        """Who waits longest takes the place."""
        self.inside -= 1
        while was_answered and self.waiting:
            turn = self.waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self.answered -= was_answered


class Entry:
    """A request that was let in.

    It takes no place before all of it is there and the answers before it on its connection are sent, and none any more
    once its own is rendered: who sends or reads slowly costs nobody else.
    """

    __slots__ = (
        "_arrived", "_connection", "_has_place", "_is_answered", "_is_gone", "_is_whole", "_load", "_send", "_since",
        "gate",
    )  # fmt: skip

    def __init__(self, load: Load, gate: Gate, connection: Connection) -> None:
        self._load, self.gate, self._connection = load, gate, connection
        self._is_whole = self._is_gone = self._has_place = self._is_answered = False
        self._since = 0.0
        self._arrived: asyncio.Future[None] | None = None

    def arrive(self, *, is_next: bool) -> None:
        """All of it, or as much as is kept without anybody who reads it; `is_next` when nothing is before it."""
        if not self._is_whole:
            self._is_whole = True
            if is_next and self._arrived is None:
                self._take_place()
            self._wake()

    def give_up(self) -> None:
        """Its connection is lost."""
        if not self._is_whole:
            self._is_gone = True
            self._wake()

    def _wake(self) -> None:
        if self._arrived is not None and not self._arrived.done():
            self._arrived.set_result(None)

    def _take_place(self) -> None:
        self._has_place = True
        self._since = time.monotonic()
        self.gate.inside += 1

    async def answer(self, application: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._is_whole and not self._is_gone:
            self._arrived = asyncio.get_running_loop().create_future()
            await self._arrived
        if self._is_gone:
            return
        if not self._has_place:
            # There may be no room any more.
            if not is_let_in(self.gate.rank, self.gate.inside, self._load.late):
                await _say(self._load.answer(self.gate.rank), send)
                return
            self._take_place()
        self._send = send
        deadline.begin(self._since + self.gate.rank.within)
        try:
            self._is_answered = await self.gate.turn()
            if self._is_answered:
                await application(scope, receive, self._sending)
            else:
                await _say(self._load.answer(self.gate.rank), self._sending)
        finally:
            self._leave()

    async def _sending(self, message: Message) -> None:
        if self._has_place:
            size = _rendered(message)
            if size is not None:
                self._leave()
                self._load.wrote(self._connection, size)
        await self._send(message)

    def _leave(self) -> None:
        if self._has_place:
            self._has_place = False
            self.gate.leave(was_answered=self._is_answered)


def _rendered(message: Message) -> int | None:
    """How much is to be sent, once all of it is known: a length is told of what is there, and the rest at its end."""
    if message["type"] == "http.response.start":
        return next((int(value) for name, value in message["headers"] if name == b"content-length"), None)
    return None if message.get("more_body") else len(message.get("body", b""))


async def _say(told: TurnedAway, send: Send) -> None:
    await send({"type": "http.response.start", "status": told.status, "headers": told.headers})
    await send({"type": "http.response.body", "body": told.body})


class Load:
    """Lives on the worker's loop."""

    def __init__(self, say: Callable[[Rank], TurnedAway] = briefly, counting: Counting | None = None) -> None:
        self._say, self._counting = say, counting
        self._gates = {rank.name: Gate(rank) for rank in RANKS}
        self._answers: dict[str, tuple[float, TurnedAway]] = {}
        self._loop = asyncio.get_running_loop()
        self._due = self._loop.time() + TICK
        self._late = 0.0
        self._came = self._came_before = 0
        self._paused = 0
        # Connections whose client has the next word: the first of them waits longest.
        self.idle: dict[Connection, None] = {}
        # Connections whose client does not read, and how many bytes wait for that; the first of them waits longest.
        self.unread: dict[Connection, int] = {}
        self._unread_bytes = 0
        self.connections = 0
        self.connection_limit = max(OTHER_FILES, min(CONNECTION_LIMIT, _files() - OTHER_FILES))

    @property
    def late(self) -> float:
        """How long what arrives now has waited, at most; 0 while there is little to do."""
        if max(self._came, self._came_before) < MUCH:
            return 0.0
        return max(self._late, self._loop.time() - self._due)

    def enter(self, rank: Rank, connection: Connection) -> Entry | None:
        """None when there is no room."""
        gate = self._gates[rank.name]
        self._came += 1
        return Entry(self, gate, connection) if is_let_in(gate.rank, gate.inside, self.late) else None

    def answer(self, rank: Rank) -> TurnedAway:
        """To one who is turned away."""
        now = self._loop.time()
        made_at, answer = self._answers.get(rank.name, (-ANSWER_LIFETIME, None))
        if answer is None or now - made_at >= ANSWER_LIFETIME:
            answer = self._say(rank)
            self._answers[rank.name] = now, answer
        if self._counting is not None:
            self._counting.turned_away(rank.name)
        return answer

    def pause(self) -> float:
        """For how long one of them is not read; the more they are, the longer."""
        self._paused += 1
        return self._paused / TURNED_AWAY_RATE

    def resume(self) -> None:
        self._paused -= 1

    async def watch(self) -> None:
        """Until it is cancelled: by how much the loop is late."""
        while True:
            self._due = self._loop.time() + TICK
            await asyncio.sleep(TICK)
            self._late = self._loop.time() - self._due
            self._came_before, self._came = self._came, 0
            if self._counting is not None:
                self._counting.is_late(self._late)

    def connected(self, connection: Connection) -> None:
        """One too many costs the one that has been idle for longest: the newcomer, when all others are busy.

        A gateway's costs a gateway's own at most.
        """
        self.connections += 1
        self.idle[connection] = None
        if self.connections > self.connection_limit + GATEWAYS * connection.is_gateways:
            longest = next((one for one in self.idle if not one.is_gateways), connection)
            del self.idle[longest]
            longest.let_go()

    def lost(self, connection: Connection) -> None:
        self.connections -= 1
        self.idle.pop(connection, None)
        self.reads(connection)

    def stalls(self, connection: Connection, size: int) -> None:
        """So many bytes wait until its client reads."""
        self.unread.setdefault(connection, 0)
        self.wrote(connection, size)

    def reads(self, connection: Connection) -> None:
        """Again, or never more."""
        self._unread_bytes -= self.unread.pop(connection, 0)

    def wrote(self, connection: Connection, size: int) -> None:
        """Of those who do not read, too much in total costs the one who has not read for longest."""
        if connection not in self.unread:
            return
        self.unread[connection] += size
        self._unread_bytes += size
        while self._unread_bytes > UNREAD_LIMIT:
            longest = next(iter(self.unread))
            self.reads(longest)
            longest.cut()


def letting_in(application: ASGIApp) -> ASGIApp:
    """What answers those that were let in; where nobody is turned away they have no entry."""

    async def outermost(scope: Scope, receive: Receive, send: Send) -> None:
        entry = scope.get(ENTRY)
        await (application if entry is None else partial(entry.answer, application))(scope, receive, send)

    return outermost


def _files() -> int:
    """As many as the system allows this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError):
        return soft
    return hard if hard != resource.RLIM_INFINITY else CONNECTION_LIMIT + OTHER_FILES
