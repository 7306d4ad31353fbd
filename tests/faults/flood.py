"""More requests than can be answered: an open loop, which sends at its own pace whatever becomes of what it sent.

python -m tests.faults.flood < what      prints what was answered; its own process, so that it costs the server nothing
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
# Sends are gathered for so long: no timer is finer.
STEP = 0.01
# After the last was sent, answers are waited for.
PATIENCE = 30.0
CONNECTING_AT_ONCE = 200
# In a request: what is another one each time.
NUMBER, NETWORK = b"@number", b"@network"


@dataclass
class Flood:
    """`rate` requests a second for `seconds`, each over a free connection; 0: each when the last was answered."""

    port: int
    request: str
    rate: float
    seconds: float
    connections: int


@dataclass
class Answers:
    """By their status; `unsent` found no free connection, `lost` got none; `waits` are the milliseconds of 200s.

    By a clock of microseconds: the loop's own has milliseconds, which are as much as an answer takes.
    """

    statuses: dict[str, int]
    seconds: float
    unsent: int = 0
    lost: int = 0
    without_retry_after: int = 0
    sample: str = ""
    waits: list[float] = field(default_factory=list)

    @property
    def good(self) -> float:
        """Answers of 200 in a second."""
        return self.statuses.get("200", 0) / self.seconds


def flooded(flood: Flood, core: int | None = None) -> subprocess.Popen[str]:
    """Under way; `core` is where it runs."""
    argv = [sys.executable, "-m", "tests.faults.flood", json.dumps(vars(flood))]
    pin = [] if core is None else ["taskset", "--cpu-list", str(core)]
    return subprocess.Popen([*pin, *argv], stdout=subprocess.PIPE, text=True, cwd=ROOT)


def answers(process: subprocess.Popen[str]) -> Answers:
    out, _ = process.communicate()
    assert process.returncode == 0
    return Answers(**json.loads(out))


class Sender(asyncio.Protocol):
    """One connection: it is free again when what it sent was answered."""

    def __init__(self, crowd: Crowd) -> None:
        self._crowd = crowd
        self._read = b""
        self._sent_at = 0.0
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self._crowd.free.append(self)

    def send(self, request: bytes, now: float) -> None:
        self._sent_at = now
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._read += data
        head, found, body = self._read.partition(b"\r\n\r\n")
        if found and len(body) >= _length(head):
            self._crowd.take(head, body, self._sent_at)
            self._read, self._sent_at = b"", 0.0
            self._crowd.free_again(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._crowd.gone(self, was_waiting=self._sent_at > 0)


def _length(head: bytes) -> int:
    lower = head.lower()
    at = lower.index(b"content-length:") + 15
    return int(lower[at : lower.find(b"\r\n", at) if b"\r\n" in lower[at:] else len(lower)])


class Crowd:
    def __init__(self, flood: Flood) -> None:
        self.flood, self.request = flood, flood.request.encode()
        self.free: deque[Sender] = deque()
        self.answers = Answers({}, flood.seconds)
        self._statuses: Counter[str] = Counter()
        self._loop = asyncio.get_running_loop()
        self._ends_at = 0.0
        self._under_way = self._sent = 0
        self._is_numbered = NUMBER in self.request

    async def run(self) -> Answers:
        await self._connect(self.flood.connections)
        began = time.perf_counter()
        self._ends_at = began + self.flood.seconds
        await (self._openly(began) if self.flood.rate else self._in_turn())
        deadline = time.perf_counter() + PATIENCE
        while self._under_way and time.perf_counter() < deadline:
            await asyncio.sleep(STEP)
        self.answers.lost += self._under_way
        self.answers.statuses = dict(self._statuses)
        return self.answers

    async def _openly(self, began: float) -> None:
        sent = 0
        while (now := time.perf_counter()) < self._ends_at:
            due = int((now - began) * self.flood.rate)
            while sent < due:
                sent += 1
                if self.free:
                    self._send(self.free.popleft(), now)
                else:
                    self.answers.unsent += 1
            await asyncio.sleep(STEP)

    async def _in_turn(self) -> None:
        for sender in list(self.free):
            self._send(sender, time.perf_counter())
        self.free.clear()
        await asyncio.sleep(self.flood.seconds)

    def _send(self, sender: Sender, now: float) -> None:
        self._under_way += 1
        self._sent += 1
        sender.send(self._next() if self._is_numbered else self.request, now)

    def _next(self) -> bytes:
        """Each of another user, from another network."""
        number = self._sent % 65_536
        network = b"10.%d.%d.1" % divmod(number, 256)
        return self.request.replace(NUMBER, b"%05d" % number).replace(NETWORK, network)

    def take(self, head: bytes, body: bytes, sent_at: float) -> None:
        self._under_way -= 1
        now = time.perf_counter()
        status = head[9:12].decode()
        if now <= self._ends_at:
            self._statuses[status] += 1
        if status == "200":
            self.answers.waits.append(round((now - sent_at) * 1000, 2))
        elif status in ("429", "503") and b"\r\nretry-after:" not in head.lower():
            self.answers.without_retry_after += 1
        if status == "503" and not self.answers.sample:
            self.answers.sample = (head + b"\r\n\r\n" + body).decode()

    def free_again(self, sender: Sender) -> None:
        if self.flood.rate == 0 and time.perf_counter() < self._ends_at:
            self._send(sender, time.perf_counter())
        else:
            self.free.append(sender)

    def gone(self, sender: Sender, was_waiting: bool) -> None:
        """Another takes its place, as other clients would."""
        if was_waiting:
            self._under_way -= 1
            self.answers.lost += 1
        elif sender in self.free:
            self.free.remove(sender)
        if time.perf_counter() < self._ends_at:
            self._again = self._loop.create_task(self._connect(1))

    async def _connect(self, number: int) -> None:
        room = asyncio.Semaphore(CONNECTING_AT_ONCE)

        async def one() -> None:
            async with room:
                await self._loop.create_connection(lambda: Sender(self), "127.0.0.1", self.flood.port)

        await asyncio.gather(*(one() for _ in range(number)))


async def main(flood: Flood) -> Answers:
    return await Crowd(flood).run()


if __name__ == "__main__":
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(vars(runner.run(main(Flood(**json.loads(sys.argv[1])))))))
        sys.stdout.flush()
        os._exit(0)
