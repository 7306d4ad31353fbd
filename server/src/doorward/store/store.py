"""The store as the runner sees it: gather facts, commit events, read without deciding."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import queue
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from doorward.protocol.events import Event
from doorward.protocol.moment import Position
from doorward.protocol.policy import Policy
from doorward.store import journal
from doorward.store.engine import POOL_SIZE
from doorward.store.follower import Follower, catch_up
from doorward.store.journal import Context
from doorward.store.memory import Memory, Miss, Reader
from doorward.store.tallies import Tallies
from doorward.store.tallies import Step, Tallies
from doorward.store.writer import Append, Outcome, Unavailable, Writer

TALLIES = Context("server")
PATIENCE = 10.0

Request = TypeVar("Request")
Facts = TypeVar("Facts")
Answer = TypeVar("Answer")


class Overloaded(Unavailable):
    """Too many commits are waiting."""


@dataclass(frozen=True, slots=True)
class Gathered(Generic[Facts]):
    """Facts, the position they are true at, and what they rest on."""

    facts: Facts
    position: Position
    refs: frozenset[str]


class Store:
    """Opened by `start`, ended by `stop`; one for a worker."""

    def __init__(self, engine: Engine, policy: Policy) -> None:
        self.policy = policy
        self._engine = engine
        self.memory = Memory(self._read(journal.read_head).position)
        self._writer = Writer(engine, self.memory, self._settle)
        self._follower = Follower(engine, self.memory)
        self.tallies = Tallies(engine)
        self._readers = ThreadPoolExecutor(POOL_SIZE, thread_name_prefix="reader")
        self.tallies = Tallies(self._write)

    def start(self, observe: Callable[[tuple[Event, ...]], None] = lambda _: None) -> None:
        """`observe` is told of every event that this worker committed."""
        self._observe = observe
        self._writer.start()
        self._follower.start()
        self.tallies.start()

    def stop(self) -> None:
        self._writer.stop()
        self._follower.stop()
        self.tallies.stop()
        self._readers.shutdown()
        self.dispose()

    def dispose(self) -> None:
        """Closes the connections of a store that was never started: a process that forks must not share them."""
        self._engine.dispose()

    async def gather(self, gather: Callable[[Reader, Request], Facts], request: Request) -> Gathered[Facts]:
        """Facts from memory on the event loop when all are there, else from the database in a thread."""
        if self._follower.is_fresh:
            reader = Reader(self.memory, self.policy)
            try:
                return Gathered(gather(reader, request), reader.position, frozenset(reader.refs))
            except Miss:
                pass
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._readers, self.gather_now, gather, request)

    def gather_now(self, gather: Callable[[Reader, Request], Facts], request: Request) -> Gathered[Facts]:
        """Facts from the database. Memory hears of every change first, so that both speak of the same position."""
        try:
            with self._engine.connect() as connection:
                position = catch_up(connection, self.memory)
                reader = Reader(self.memory, self.policy, connection, position)
                return Gathered(gather(reader, request), reader.position, frozenset(reader.refs))
        except SQLAlchemyError as problem:
            raise Unavailable(type(problem).__name__) from None

    async def read(self, query: Callable[[Connection], Answer]) -> Answer:
        """A read that decides nothing, in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, query)

    def _read(self, query: Callable[[Connection], Answer]) -> Answer:
        try:
            with self._engine.connect() as connection:
                return query(connection)
        except SQLAlchemyError as problem:
            raise Unavailable(type(problem).__name__) from None

    async def commit(
        self,
        events: tuple[Event, ...],
        gathered: Gathered[Any],
        context: Context,
        now: int,
        also: Callable[[Connection], None] | None = None,
    ) -> None:
        """Returns when the events are durable. After Stale, Unavailable or Overloaded nothing was written."""
        future = asyncio.get_running_loop().create_future()
        append = Append(events, gathered.position, gathered.refs, context, now, also, future)
        try:
            self._writer.put(append)
        except queue.Full:
            raise Overloaded("too many commits are waiting") from None
        await future
        self._observe(events)

    def commit_now(self, events: tuple[Event, ...], gathered: Gathered[Any], context: Context, now: int) -> None:
        """The same before the writer runs: at start, in the one process that prepares the store."""
        append = Append(events, gathered.position, gathered.refs, context, now)
        for _, problem in self._writer.commit([append]):
            if problem is not None:
                raise problem

    def _write(self, step: Step) -> int:
        """A step of the tallies in the writer's next transaction; to be called from a thread of their own."""
        done: list[int] = []
        append = Append(
            (), self.memory.position, frozenset(), TALLIES, 0,
            also=lambda connection: done.append(step(connection)), future=concurrent.futures.Future(),
        )  # fmt: skip
        try:
            self._writer.put(append)
            append.future.result(PATIENCE)
        except (queue.Full, TimeoutError):
            raise Overloaded("the writer is busy") from None
        return done[-1]

    def _settle(self, outcomes: list[Outcome]) -> None:
        """Called by the writer's thread: one wake-up of the loop for a whole batch."""
        waiting = [append.future for append, _ in outcomes if isinstance(append.future, asyncio.Future)]
        if not waiting:
            _resolve(outcomes)
            return
        # A loop that is closed has nobody who waits.
        with contextlib.suppress(RuntimeError):
            waiting[0].get_loop().call_soon_threadsafe(_resolve, outcomes)


def _resolve(outcomes: Iterable[Outcome]) -> None:
    for append, problem in outcomes:
        if append.future.cancelled():
            continue
        if problem is None:
            append.future.set_result(None)
        else:
            append.future.set_exception(problem)
