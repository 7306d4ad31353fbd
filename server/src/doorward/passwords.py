"""argon2id (RFC 9106): slow by design, so its work is bounded, and measured once for this machine (T145, T148).

And bcrypt, for keys that were made elsewhere, in a queue of its own.

$argon2id$v=19$m=65536,t=3,p=1$...$...           the PHC string is all that is kept of a password
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import bcrypt
from argon2 import PasswordHasher, extract_parameters
from argon2.exceptions import Argon2Error, InvalidHashError

from doorward import deadline

THREADS = 2
WAITING_LIMIT = 50
NICENESS = 10
# Nobody waits longer for a free thread and his own hash.
LONGEST = 30.0
# One hash may take this long on a machine that does nothing else.
TARGET = 0.25
MIB = 1024
# glibc's mallopt(3): M_MMAP_THRESHOLD.
MMAP_THRESHOLD = -3
# Memory and passes, the strongest first; the last is the least that OWASP's Password Storage Cheat Sheet allows,
# the first is the second recommendation of RFC 9106 §4 with one lane, since the pool is what runs side by side.
LADDER = ((64 * MIB, 3), (46 * MIB, 2), (19 * MIB, 2))

Answer = TypeVar("Answer")


class Overloaded(Exception):  # noqa: N818  an answer, not a fault
    """Too many passwords or keys wait to be compared."""


class Bounded:
    """Two threads and a queue of fifty; what comes above it is refused at once, what waits when its time is over."""

    def __init__(self, name: str) -> None:
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix=name, initializer=_step_back)
        self._waiting = 0

    def stop(self) -> None:
        self._pool.shutdown(cancel_futures=True)

    async def _run(self, work: Callable[[], Answer]) -> Answer:
        if self._waiting >= WAITING_LIMIT + THREADS:
            raise Overloaded
        self._waiting += 1
        try:
            async with asyncio.timeout(deadline.left(LONGEST)):
                return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        except TimeoutError:
            raise Overloaded from None
        finally:
            self._waiting -= 1


class SlowKeys(Bounded):
    """bcrypt, of keys that were made elsewhere; we make none."""

    def __init__(self) -> None:
        super().__init__("slow keys")

    async def matches(self, hashed: str, text: str) -> bool:
        """Raises Overloaded."""
        return await self._run(lambda: bcrypt.checkpw(text.encode(), hashed.encode()))


class Passwords(Bounded):
    """argon2id, by parameters that are measured once."""

    def __init__(self, target: float = TARGET) -> None:
        super().__init__("passwords")
        _give_memory_back()
        self._target = target
        self._measured: Future[tuple[PasswordHasher, str]] | None = None

    def measure(self, kept: str | None = None) -> None:
        """Finds the parameters, in the pool: nobody waits for it but who signs in meanwhile.

        Those of what is `kept` already come first: a user with others would be known by the time that he takes.
        """
        if self._measured is None:
            self._measured = self._pool.submit(self._chosen, kept)

    async def hash(self, password: str) -> str:
        """The PHC string. Raises Overloaded."""
        self.measure()
        return await self._run(lambda: self._hasher()[0].hash(password))

    async def matches(self, phc: str | None, password: str) -> bool:
        """Whether it is this password; without one, as much work for nothing. Raises Overloaded."""
        self.measure()
        return await self._run(lambda: self._matches(phc, password))

    def _matches(self, phc: str | None, password: str) -> bool:
        hasher, dummy = self._hasher()
        with contextlib.suppress(Argon2Error, InvalidHashError):
            if phc is not None and hasher.check_needs_rehash(phc):
                # Another worker was measured at another moment. Done here: queued behind those who wait, it never came.
                self._measured = _known(self._chosen(phc))
            return hasher.verify(phc or dummy, password) and phc is not None
        return False

    def _hasher(self) -> tuple[PasswordHasher, str]:
        assert self._measured is not None, "whoever hashes has it measured first"
        return self._measured.result()

    def _chosen(self, kept: str | None) -> tuple[PasswordHasher, str]:
        """The strongest of the ladder that this machine does in time, and a hash of nobody's password made with it."""
        if kept is None:
            hasher = _hasher(*chosen(_seconds(*LADDER[-1]), self._target))
        else:
            found = extract_parameters(kept)
            hasher = _hasher(found.memory_cost, found.time_cost)
        return hasher, hasher.hash("nobody's password")


def _step_back() -> None:
    """Of this thread alone, as Linux has it: who checks tokens gets the processor first."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


def _give_memory_back() -> None:
    """Left to itself glibc keeps what one hash took, 19 MiB, for good."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(MMAP_THRESHOLD, 1024 * MIB)


def _known(found: tuple[PasswordHasher, str]) -> Future[tuple[PasswordHasher, str]]:
    future: Future[tuple[PasswordHasher, str]] = Future()
    future.set_result(found)
    return future


def chosen(weakest: float, target: float) -> tuple[int, int]:
    """Work grows with memory and with passes: one measurement tells of all."""
    memory, passes = LADDER[-1]
    return next((one for one in LADDER if weakest * one[0] * one[1] / (memory * passes) <= target), LADDER[-1])


def _seconds(memory: int, passes: int) -> float:
    hasher = _hasher(memory, passes)
    began = time.perf_counter()
    hasher.hash("nobody's password")
    return time.perf_counter() - began


def _hasher(memory: int, passes: int) -> PasswordHasher:
    return PasswordHasher(time_cost=passes, memory_cost=memory, parallelism=1)
