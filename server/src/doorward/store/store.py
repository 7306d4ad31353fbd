"""The store as the runner sees it: gather facts, commit events, read without deciding."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection, Engine

from doorward import deadline
from doorward.protocol.events import Event
from doorward.protocol.moment import Position
from doorward.protocol.policy import Policy
from doorward.protocol.use import Used
from doorward.store import journal
from doorward.store.clock import Clock
from doorward.store.engine import POOL_SIZE, failures, snapshots
from doorward.store.follower import Follower, catch_up
from doorward.store.housekeeping import Housekeeping
from doorward.store.journal import Context
from doorward.store.memory import Memory, Miss, Reader
from doorward.store.retention import Retention
from doorward.store.revocation_log import Heard, Tail
from doorward.store.rows import Stale
from doorward.store.status_lists import Leases
from doorward.store.tallies import Step, Tallies
from doorward.store.waiting import Waiting
from doorward.store.writer import Append, Outcome, Unavailable, Writer

TALLIES = Context("server")
# Nobody waits longer for the database; a request that has waited before, only as long as it has left (`deadline.py`).
PATIENCE = 1.7
STEP_PATIENCE = 5.0
UNCOMMITTED_LIMIT = 10_000
READING_LIMIT = 1_000
# Threads that gather facts at a time from a database in this process.
GATHERERS = 2

Request = TypeVar("Request")
Facts = TypeVar("Facts")
Answer = TypeVar("Answer")
Asking = tuple[Callable[[Reader, Any], Any], Any, asyncio.Future[Any]]


class Overloaded(Unavailable):
    """Too many commits or reads are waiting."""


@dataclass(frozen=True, slots=True)
class Gathered(Generic[Facts]):
    """Facts, the position they are true at, and what they rest on."""

    facts: Facts
    position: Position
    refs: frozenset[str]


class Store:
    """Opened by `start`, ended by `stop`; one for a worker."""

    def __init__(self, engine: Engine, policy: Policy, kept: Retention | None = None) -> None:
        self.policy = policy
        self._is_embedded = engine.dialect.name == "sqlite"
        self._engine, self._apart = snapshots(engine), engine.execution_options(writing=True)
        self._errors = failures(engine)
        self.memory = Memory(self.read_now(journal.read_head).position)
        self._writer = Writer(engine, self.memory, self._settle)
        self.now = Clock(self.read_now(journal.last_at)).now
        self.tail = Tail(self.memory.position)
        self._follower = Follower(engine, self.memory, self.tail.heard)
        self.tallies = Tallies(self._write)
        self.housekeeping = Housekeeping(self.read_now, self._write_aside, self.now, kept or Retention())
        self._leases = Leases(self._write, self.now)
        self._gathering: list[Append] = []
        self._uncommitted, self._ungathered = Waiting(), Waiting()
        self._asking: list[Asking] = []
        self._gatherers = 0
        self._reading = 0
        self._readers = ThreadPoolExecutor(POOL_SIZE, thread_name_prefix="reader")

    def start(
        self,
        observe: Callable[[tuple[Event, ...]], None] = lambda _: None,
        hear: Callable[[Heard], None] = lambda _: None,
        broken: Callable[[], None] | None = None,
    ) -> None:
        """`observe` is told of every event that this worker committed, `hear` of what any worker revoked, and `broken`
        when the disk failed, by the writer's thread: nothing may be acknowledged after it."""
        self._observe = observe
        self.tail.listener = hear
        self._writer.broken = broken
        self._writer.start()
        self._follower.start()
        self.tallies.start()

    def keep_house(self) -> None:
        """For those that serve, whose settings say for how long what is kept: a command may have read others."""
        self.housekeeping.start()

    @property
    def is_fresh(self) -> bool:
        """Whether the database told, within half a second, how far the journal is."""
        return self._follower.is_fresh

    @property
    def reached(self) -> Position:
        """How far the journal is, as this worker knows."""
        return max(self.memory.position, self._writer.reached)

    def stop(self) -> None:
        self.housekeeping.stop()
        self.tallies.stop()
        self._hand_over()
        self._writer.stop()
        self._follower.stop()
        self._readers.shutdown()
        self.dispose()

    def dispose(self) -> None:
        """Closes the connections of a store that was never started: a process that forks must not share them."""
        self._engine.dispose()

    async def gather(self, gather: Callable[[Reader, Request], Facts], request: Request) -> Gathered[Facts]:
        """Facts from memory on the event loop when all are there, else from the database in a thread."""
        if self.is_fresh:
            reader = Reader(self.memory, self.policy, places=self._leases)
            try:
                return Gathered(gather(reader, request), reader.position, frozenset(reader.refs))
            except Miss:
                pass
        if not self._is_embedded:
            # Each question waits for the network: they had better wait at the same time.
            return await self._in_thread(self.gather_now, gather, request)
        return await self._together(gather, request)

    async def _together(self, gather: Callable[[Reader, Request], Facts], request: Request) -> Gathered[Facts]:
        """With all that is asked in the same turn of the loop, and while it is answered: a thread, a connection, a
        moment of the database cost more than most questions."""
        if len(self._ungathered) >= READING_LIMIT:
            raise Overloaded("too many reads are waiting")
        future = self._ungathered.begin(PATIENCE)
        if not self._asking:
            asyncio.get_running_loop().call_soon(self._send_gatherer)
        self._asking.append((gather, request, future))
        return await future  # type: ignore[no-any-return]

    def _send_gatherer(self) -> None:
        """Two at most, so that one slow question is not everybody's: they would only wait for each other."""
        if self._asking and self._gatherers < GATHERERS:
            asking, self._asking = self._asking, []
            self._gatherers += 1
            self._readers.submit(self._gather_all, asking, asyncio.get_running_loop())

    def _gather_all(self, asking: list[Asking], loop: asyncio.AbstractEventLoop) -> None:
        found: list[Gathered[Any] | Exception] = []
        try:
            with self._engine.connect() as connection:
                position = catch_up(connection, self.memory)
                found += [self._gathered(connection, position, *one) for one in asking]
        except Exception as problem:
            told = Unavailable(type(problem).__name__) if isinstance(problem, self._errors) else problem
            found += [told] * (len(asking) - len(found))
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(self._gathered_all, asking, found)

    def _gathered(
        self, connection: Connection, position: Position, gather: Callable[[Reader, Any], Any], request: Any,
        future: asyncio.Future[Any],
    ) -> Gathered[Any] | Exception:  # fmt: skip
        """What one asked for, or why he has nothing; the others have theirs all the same."""
        if future.done():
            return Unavailable("nobody waits for it")
        reader = Reader(self.memory, self.policy, connection, position, self._leases)
        try:
            return Gathered(gather(reader, request), reader.position, frozenset(reader.refs))
        except Exception as problem:
            return Unavailable(type(problem).__name__) if isinstance(problem, self._errors) else problem

    def _gathered_all(self, asking: list[Asking], found: list[Gathered[Any] | Exception]) -> None:
        for (_, _, future), one in zip(asking, found, strict=True):
            if isinstance(one, Exception):
                self._ungathered.end(future, one)
            else:
                self._ungathered.end(future, None, one)
        self._gatherers -= 1
        self._send_gatherer()

    def gather_now(self, gather: Callable[[Reader, Request], Facts], request: Request) -> Gathered[Facts]:
        """Facts from the database. Memory hears of every change first, so that both speak of the same position."""
        try:
            with self._engine.connect() as connection:
                position = catch_up(connection, self.memory)
                reader = Reader(self.memory, self.policy, connection, position, self._leases)
                return Gathered(gather(reader, request), reader.position, frozenset(reader.refs))
        except self._errors as problem:
            raise Unavailable(type(problem).__name__) from None

    async def hear_now(self) -> None:
        """Memory hears of all that was committed so far, by any worker."""
        await self._in_thread(self.gather_now, lambda read, request: None, None)  # noqa: ARG005

    async def read(self, query: Callable[[Connection], Answer]) -> Answer:
        """A read that decides nothing, in a thread."""
        return await self._in_thread(self.read_now, query)

    async def _in_thread(self, call: Callable[..., Answer], *arguments: Any) -> Answer:
        """Nobody waits for longer than he has: not for a database that is silent, not for a free thread."""
        if self._reading >= READING_LIMIT:
            raise Overloaded("too many reads are waiting")
        self._reading += 1
        try:
            async with asyncio.timeout(deadline.left(PATIENCE)):
                return await asyncio.get_running_loop().run_in_executor(self._readers, call, *arguments)
        except TimeoutError:
            raise Unavailable("the database does not answer") from None
        finally:
            self._reading -= 1

    def read_now(self, query: Callable[[Connection], Answer]) -> Answer:
        try:
            with self._engine.connect() as connection:
                return query(connection)
        except self._errors as problem:
            raise Unavailable(type(problem).__name__) from None

    async def commit(
        self,
        events: tuple[Event, ...],
        gathered: Gathered[Any],
        context: Context,
        now: int,
        also: Callable[[Connection], None] | None = None,
    ) -> None:
        """Returns when the events are durable. After Stale or Overloaded nothing was written; after Unavailable
        nothing was acknowledged."""
        if len(self._uncommitted) >= UNCOMMITTED_LIMIT:
            raise Overloaded("too many commits are waiting")
        future = self._uncommitted.begin(PATIENCE)
        if not self._gathering:
            asyncio.get_running_loop().call_soon(self._hand_over)
        self._gathering.append(Append(events, gathered.position, gathered.refs, context, now, also, future))
        try:
            await future
        except Stale:
            # By what another worker did, perhaps: whoever decides again must know of it, or would decide the same.
            await self.hear_now()
            raise

    def count(self, uses: Iterable[Used]) -> None:
        """Without waiting: it is written a little later, with all the others (laws, 3b)."""
        self.tallies.usage.count(uses)

    async def consume(self, step: Callable[[Connection], Answer]) -> Answer:
        """Counts something without an event (decision 27), exactly: its result is a fact once this returns."""
        done: list[Answer] = []
        nothing = Gathered(None, self.memory.position, frozenset())
        await self.commit((), nothing, TALLIES, 0, lambda connection: done.append(step(connection)))
        return done[-1]

    async def write_aside(self, step: Callable[[Connection], Answer]) -> Answer:
        """What nobody decides by, and which has no place in the order of commits: no commit waits for it."""
        return await self._in_thread(self._write_apart, step)

    def _write_apart(self, step: Callable[[Connection], Answer]) -> Answer:
        try:
            with self._apart.begin() as connection:
                return step(connection)
        except self._errors as problem:
            raise Unavailable(type(problem).__name__) from None

    def _hand_over(self) -> None:
        """Everything that this turn of the loop brought at once: a busy loop makes few and large batches."""
        appends, self._gathering = self._gathering, []
        self._writer.put(appends)

    def commit_now(self, events: tuple[Event, ...], gathered: Gathered[Any], context: Context, now: int) -> None:
        """The same before the writer runs: at start, in the one process that prepares the store."""
        append = Append(events, gathered.position, gathered.refs, context, now)
        for _, problem in self._writer.commit([append]):
            if problem is not None:
                raise problem

    def consume_now(self, step: Callable[[Connection], Answer]) -> Answer:
        """`consume` where `commit_now` is."""
        done: list[Answer] = []
        append = Append(
            (), self.memory.position, frozenset(), TALLIES, 0, also=lambda connection: done.append(step(connection))
        )
        for _, problem in self._writer.commit([append]):
            if problem is not None:
                raise problem
        return done[-1]

    def _write(self, step: Step) -> int:
        """A step of the tallies in the writer's next transaction; to be called from a thread of their own."""
        done: list[int] = []
        append = Append(
            (), self.memory.position, frozenset(), TALLIES, 0,
            also=lambda connection: done.append(step(connection)), future=concurrent.futures.Future(),
        )  # fmt: skip
        self._writer.put([append])
        try:
            append.future.result(STEP_PATIENCE)
        except TimeoutError:
            raise Unavailable("the database does not answer") from None
        return done[-1]

    def _write_aside(self, step: Step) -> int:
        """A step that needs no place in the order of commits: on PostgreSQL nobody who commits waits for it."""
        return self._write(step) if self._is_embedded else self._write_apart(step)

    def _settle(self, outcomes: list[Outcome]) -> None:
        """Called by the writer's thread: one wake-up of the loop for a whole batch."""
        here = [outcome for outcome in outcomes if not isinstance(outcome[0].future, asyncio.Future)]
        self._resolve(here)
        if len(here) < len(outcomes):
            there = [outcome for outcome in outcomes if isinstance(outcome[0].future, asyncio.Future)]
            # A loop that is closed has nobody who waits.
            with contextlib.suppress(RuntimeError):
                there[0][0].future.get_loop().call_soon_threadsafe(self._resolve, there)

    def _resolve(self, outcomes: Iterable[Outcome]) -> None:
        for append, problem in outcomes:
            if problem is None:
                self._observe(append.events)
            if isinstance(append.future, asyncio.Future):
                self._uncommitted.end(append.future, problem)
            elif problem is None:
                append.future.set_result(None)
            else:
                append.future.set_exception(problem)
