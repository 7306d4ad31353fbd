"""Rates that all nodes count in Valkey or Redis, by one script for a check; quotas stay where nothing is ever lost.

Rates are taken first, since a flood shall not reach the database. Where a quota beside them is used up, they are given
back. Time is the server's own: one clock for all nodes. Wants the extra `doorward[valkey]`.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import re
import time
from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError

from doorward import deadline
from doorward.protocol import limit
from doorward.protocol.limit import SECOND, Charge, Taken
from doorward.protocol.limit_cell import EMPTY, Cell, Wanted
from doorward.store.limits import Cells
from doorward.store.rows import Stale
from doorward.store.writer import Unavailable

SCRIPT = Path(__file__).with_name("take.lua").read_text("utf-8")
DIGEST = hashlib.sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest()
CONNECTIONS = 64
# Of a new connection and of each answer, and for a turn before that: all of them together stay below two seconds.
PATIENCE = 0.4
LONGEST = 3 * PATIENCE
WAIT = 0.8
# So many failures in a row, and nobody is kept waiting for a while; then one tries whether it is over.
FAILURES = 3
PAUSE = 0.5
MICROSECOND = 1000
TEXT = re.compile(rb"[0-9]{10,} [0-9]+ [0-9]+ [0-9]+")

log = logging.getLogger("doorward.store")
Answer = TypeVar("Answer")


class InValkey:
    """`exact` is where quotas are counted."""

    def __init__(self, url: str, ca_file: Path | None, issuer: str, exact: Cells) -> None:
        trust: dict[str, Any] = {"ssl_ca_certs": str(ca_file)} if ca_file else {}
        # A question that was asked twice would be counted twice: nothing is tried again here.
        self._pool = BlockingConnectionPool.from_url(
            url, max_connections=CONNECTIONS, timeout=PATIENCE, socket_timeout=PATIENCE, retry=Retry(NoBackoff(), 0),
            socket_connect_timeout=PATIENCE, protocol=2, driver_info=None, **trust,
        )  # fmt: skip
        self._client = Redis(connection_pool=self._pool)
        # In the order in which they came: the pool lets latecomers overtake, so that some would wait too long.
        self._turns = asyncio.Semaphore(CONNECTIONS)
        # The braces keep all cells in one slot, as one script needs it where slots are checked.
        self._prefix = f"{{doorward:{hashlib.sha256(issuer.encode()).hexdigest()[:12]}}}:"
        self._exact = exact
        self._breaker = Breaker()
        self._ahead: int | None = None

    async def take(self, wanted: Sequence[Wanted]) -> tuple[Sequence[Taken], int]:
        rates = [one for one in wanted if one.charge.limit.type == "rate"]
        quotas = [one for one in wanted if one.charge.limit.type == "quota"]
        if not rates:
            taken, now = await self._exact.take(quotas)
            return taken, now if self._ahead is None else time.monotonic_ns() + self._ahead
        taken, now = await self._take_rates(rates)
        if quotas:
            taken = await self._beside(rates, taken, quotas)
        found = {one.charge.cell: one for one in taken}
        return [found[one.charge.cell] for one in wanted], now

    async def read(self, charges: Sequence[Charge]) -> tuple[Mapping[str, Cell], int]:
        quotas = [charge for charge in charges if charge.limit.type == "quota"]
        rates = [charge.cell for charge in charges if charge.limit.type == "rate"]
        known, now = await self._exact.read(quotas)
        if not rates:
            return known, now
        texts, now = await self._asked(self._texts(rates))
        return {**known, **{cell: _cell(text) for cell, text in zip(rates, texts, strict=True)}}, now

    async def answers(self) -> bool:
        try:
            await self._asked(self._time())
        except Unavailable:
            return False
        return True

    async def stop(self) -> None:
        await self._client.aclose()
        await self._pool.disconnect()

    async def _beside(
        self, rates: Sequence[Wanted], taken: Sequence[Taken], quotas: Sequence[Wanted]
    ) -> Sequence[Taken]:
        """Quotas after the rates beside them: all of it or nothing of any."""
        if not all(one.fits for one in taken):
            return [*taken, *await self._only_looked(quotas)]
        try:
            exact, _ = await self._exact.take(quotas)
        except (Unavailable, Stale):
            await self._give_back(rates)
            raise
        if all(one.fits for one in exact):
            return [*taken, *exact]
        back = await self._give_back(rates)
        return [*(one._replace(granted=0, value=back.get(one.charge.cell, one.value)) for one in taken), *exact]

    async def _only_looked(self, quotas: Sequence[Wanted]) -> Sequence[Taken]:
        known, now = await self._exact.read([one.charge for one in quotas])
        values = [(one.charge, known.get(one.charge.cell, EMPTY).value) for one in quotas]
        fits = [limit.available(charge.limit, value, now) >= charge.cost for charge, value in values]
        return [Taken(charge, fit, 0, value) for (charge, value), fit in zip(values, fits, strict=True)]

    async def _give_back(self, rates: Sequence[Wanted]) -> Mapping[str, int]:
        """As a cost below nothing. If it cannot be done, a rate says a little less than it could for a while."""
        costs = [Wanted(one.charge._replace(cost=-one.charge.cost)) for one in rates]
        try:
            taken, _ = await self._take_rates(costs)
        except Unavailable:
            return {}
        return {one.charge.cell: one.value for one in taken}

    async def _take_rates(self, rates: Sequence[Wanted]) -> tuple[Sequence[Taken], int]:
        keys = [self._prefix + one.charge.cell for one in rates]
        answer, now = await self._asked(self._run(keys, [number for one in rates for number in _numbers(one)]))
        self._ahead = now - time.monotonic_ns()
        found = zip(rates, answer[::3], answer[1::3], answer[2::3], strict=True)
        return [Taken(one.charge, fits == 1, granted, now + ahead) for one, fits, granted, ahead in found], now

    async def _run(self, keys: Sequence[str], numbers: Sequence[int]) -> tuple[list[int], int]:
        try:
            answer = await self._client.evalsha(DIGEST, len(keys), *keys, *numbers)
        except NoScriptError:
            # It was started anew. Nothing was done, and the script is known after this.
            answer = await self._client.eval(SCRIPT, len(keys), *keys, *numbers)
        seconds, micros, *rest = answer
        return rest, seconds * SECOND + micros * MICROSECOND

    async def _time(self) -> tuple[int, int]:
        return await self._client.time()

    async def _texts(self, cells: Sequence[str]) -> tuple[list[bytes | None], int]:
        async with self._client.pipeline(transaction=False) as pipeline:
            pipeline.mget([self._prefix + cell for cell in cells])
            pipeline.time()
            texts, (seconds, micros) = await pipeline.execute()
        return texts, seconds * SECOND + micros * MICROSECOND

    async def _asked(self, question: Coroutine[Any, Any, Answer]) -> Answer:
        """Raises Unavailable soon, and at once while it is known that nobody answers."""
        with contextlib.closing(question):
            try:
                async with asyncio.timeout(deadline.left(WAIT)):
                    await self._turns.acquire()
            except TimeoutError:
                # Too many ask, which says nothing of whether it answers.
                raise Unavailable("too many wait for where rates are counted") from None
            try:
                return await self._answered(question)
            finally:
                self._turns.release()

    async def _answered(self, question: Coroutine[Any, Any, Answer]) -> Answer:
        if not self._breaker.lets_pass(time.monotonic()):
            raise Unavailable("the place where rates are counted does not answer")
        try:
            async with asyncio.timeout(deadline.left(LONGEST)):
                answer = await question
        except TimeoutError:
            raise Unavailable("no time is left to count") from None
        except (RedisError, OSError) as problem:
            if self._breaker.failed(time.monotonic()):
                log.error("rates cannot be counted: %s", type(problem).__name__)
            # What was idle while the other side ended is of no use to the next one.
            await self._pool.disconnect(inuse_connections=False)
            raise Unavailable(type(problem).__name__) from None
        if self._breaker.succeeded():
            log.warning("rates are counted again")
        return answer


class Breaker:
    """Open after failures in a row, for a pause; then one at a time may try."""

    def __init__(self) -> None:
        self._failures, self._until = 0, 0.0

    def lets_pass(self, now: float) -> bool:
        if self._failures < FAILURES:
            return True
        if now < self._until:
            return False
        self._until = now + PAUSE
        return True

    def failed(self, now: float) -> bool:
        """Whether it opened by that."""
        self._failures += 1
        self._until = now + PAUSE
        return self._failures == FAILURES

    def succeeded(self) -> bool:
        """Whether it had been open."""
        was_open, self._failures = self._failures >= FAILURES, 0
        return was_open


def _cell(text: bytes | None) -> Cell:
    """What the script does not understand is an empty cell to it."""
    return Cell(*map(int, text.split())) if text and TEXT.fullmatch(text) else EMPTY


def _numbers(one: Wanted) -> tuple[int, ...]:
    of, cost = one.charge.limit, one.charge.cost
    return limit.interval(of), limit.tolerance(of), cost, one.extra, one.share, *one.back
