"""The supervisor: binds once, forks the workers, restarts one that dies, and ends them all within 10 seconds.

With one worker there is no supervisor: the work is done in this process.
"""

import contextlib
import gc
import logging
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from doorward.web import metrics
from doorward.web.server import Worker

STOP_TIMEOUT = 10.0
FIRST_BACKOFF = 0.1
LONGEST_BACKOFF = 5.0
STEADY = 1.0
TICK = 0.5
# So many objects are made before it is looked for garbage among them: the requests of a moment are answered by then.
YOUNG = 10_000

log = logging.getLogger("doorward.supervisor")


def run(worker: Worker, workers: int, on_ready: Callable[[], None]) -> int:
    """The exit code: 0 after a signal, 1 when a worker could not start."""
    if workers == 1:
        worker.run(0, lambda: _ready(on_ready))
        return 0
    return Supervisor(worker, workers, on_ready).run()


@dataclass(slots=True)
class Child:
    node: int
    started_at: float
    ready: bool = False


@dataclass(slots=True)
class Supervisor:
    worker: Worker
    workers: int
    on_ready: Callable[[], None]
    children: dict[int, Child] = field(default_factory=dict)
    waiting: dict[int, float] = field(default_factory=dict)  # node -> when it may start again
    backoff: float = FIRST_BACKOFF
    announced: bool = False
    stop_at: float | None = None
    failed: bool = False
    signals: tuple[int, int] = (-1, -1)
    ready: tuple[int, int] = (-1, -1)
    alive: tuple[int, int] = (-1, -1)

    def run(self) -> int:
        self.signals, self.ready, self.alive = os.pipe(), os.pipe(), os.pipe()
        for end in (*self.signals, self.ready[0]):
            os.set_blocking(end, False)
        former = [signal.signal(number, _noted) for number in _WATCHED]
        signal.set_wakeup_fd(self.signals[1], warn_on_full_buffer=False)
        try:
            for node in range(self.workers):
                self._fork(node)
            while self.children or (self.stop_at is None and self.waiting):
                self._turn()
        finally:
            self._kill()
            signal.set_wakeup_fd(-1)
            for number, handler in zip(_WATCHED, former, strict=True):
                signal.signal(number, handler)
            for end in (*self.signals, *self.ready, *self.alive):
                os.close(end)
        return 1 if self.failed else 0

    def _turn(self) -> None:
        readable, _, _ = select.select([self.signals[0], self.ready[0]], [], [], self._patience())
        if self.signals[0] in readable:
            for number in os.read(self.signals[0], 64):
                if number != signal.SIGCHLD:
                    self._stop(signal.Signals(number))
        if self.ready[0] in readable:
            self._mark_ready(os.read(self.ready[0], 64))
        self._reap()
        self._start_due()
        if self.stop_at is not None and time.monotonic() > self.stop_at:
            self._kill()

    def _patience(self) -> float:
        return max(0.0, min([TICK, *(at - time.monotonic() for at in self.waiting.values())]))

    def _mark_ready(self, nodes: bytes) -> None:
        for child in self.children.values():
            child.ready = child.ready or child.node in nodes
        if not self.announced and all(child.ready for child in self.children.values()):
            self.announced = True
            self.on_ready()

    def _stop(self, number: signal.Signals) -> None:
        if self.stop_at is None:
            self.stop_at = time.monotonic() + self.worker.drain_seconds + STOP_TIMEOUT
        for pid in self.children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def _kill(self) -> None:
        for pid in self.children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for pid in list(self.children):
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)
            del self.children[pid]

    def _reap(self) -> None:
        for pid in list(self.children):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                metrics.forget(pid)
                self._buried(self.children.pop(pid), status)

    def _buried(self, child: Child, status: int) -> None:
        if self.stop_at is not None:
            return
        if not self.announced:
            # What stops a worker at the first start stops it at every start.
            self.failed = True
            self._stop(signal.SIGTERM)
            return
        if os.waitstatus_to_exitcode(status) == os.EX_IOERR:
            # The others have the same disk: what it lost is found by a start that nobody's memory survives.
            log.critical("worker %d says that the disk failed: all end", child.node)
            self.failed = True
            self._stop(signal.SIGKILL)
            return
        lived = time.monotonic() - child.started_at
        # Who served was killed, and is missed; who ends before he serves will do so again.
        was_well = child.ready and lived > STEADY
        self.backoff = FIRST_BACKOFF if was_well else min(self.backoff * 2, LONGEST_BACKOFF)
        log.error("worker %d ended (%d); it is started again", child.node, os.waitstatus_to_exitcode(status))
        self.waiting[child.node] = time.monotonic() + self.backoff

    def _start_due(self) -> None:
        for node, at in list(self.waiting.items()):
            if self.stop_at is None and time.monotonic() >= at:
                del self.waiting[node]
                self._fork(node)

    def _fork(self, node: int) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            self._be_worker(node)
        self.children[pid] = Child(node, time.monotonic())

    def _be_worker(self, node: int) -> None:
        """Never returns: the rest of the program belongs to the supervisor."""
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            for number in _WATCHED:
                signal.signal(number, signal.SIG_DFL)
            # Only the supervisor may hold this end: its closing tells the workers that they are alone.
            os.close(self.alive[1])
            self.worker.run(node, lambda: _ready(partial(_tell, self.ready[1], node)), self.alive[0])
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)


_WATCHED = (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)


def _ready(on_ready: Callable[[], None]) -> None:
    """What a worker is made of stays until its end: to look through it for garbage, over and over, took a tenth of
    the time of issuing a token."""
    gc.freeze()
    gc.set_threshold(YOUNG)
    on_ready()


def _tell(end: int, node: int) -> None:
    os.write(end, bytes([node]))


def _noted(_number: int, _frame: object) -> None:
    """The wake-up descriptor carries the signal; the handler has nothing to do."""
