"""Server processes that are killed while they answer: the real application on the real database, each with callers.

with racing(data, database, naive="") as racers:
    answers = racers.round([Call("c1", "/oauth/token", headers, body), ...], times=2)

A nursery imports everything once and forks a racer each time that one is wanted, so that a hundred can die in a minute.
A racer tells each answer as soon as its caller would have it: what it told before it died was acknowledged. Run as a
program this is the nursery.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

DEADLINE = 60.0
SOCKET = "racers.sock"


class Call(NamedTuple):
    """A POST, by the name of what it is about."""

    name: str
    path: str
    headers: dict[str, str]
    body: str


class Answer(NamedTuple):
    """What a caller was told about what he asked for."""

    name: str
    status: int
    told: dict[str, Any]


@dataclass(eq=False)
class Racer:
    pid: int
    line: socket.socket
    unread: bytes = b""
    is_done: bool = True


@dataclass
class Racers:
    """`chance` says who dies, and when; `killed` counts them."""

    number: int
    chance: random.Random
    listener: socket.socket
    nursery: subprocess.Popen[bytes]
    alive: list[Racer] = field(default_factory=list)
    killed: int = 0

    def start(self) -> None:
        for _ in range(self.number):
            self._fork()
        deadline = time.monotonic() + DEADLINE
        while len(self.alive) < self.number:
            assert time.monotonic() < deadline, "racers did not start"
            self._admit()

    def round(self, calls: Sequence[Call], times: int, kills: int = 0) -> list[Answer]:
        """Every racer asks everything so many times at once; all that was answered before those who died died.

        So many of them die in the midst of it, each after a random number of answers: however slow the machine is,
        they die at work. Whoever is born in their place asks everything again.
        """
        self._all_tell(self.alive, calls, times)
        return self._answers(kills, len(calls) * times, lambda racer: self._all_tell([racer], calls, times))

    def round_once(self, calls: Sequence[Call], kills: int = 0) -> list[Answer]:
        """Each is asked once, by one of them; what he was asked for who died is not asked again."""
        for number, racer in enumerate(self.alive):
            self._all_tell([racer], calls[number :: len(self.alive)], 1)
        return self._answers(kills, len(calls), lambda racer: None)

    def _answers(self, kills: int, most: int, born: Callable[[Racer], None]) -> list[Answer]:
        # Early: what a dead one was asked is not answered, and all of it may be done before the last of them dies.
        fatal = sorted(self.chance.sample(range(1, max(most // 2, kills + 1)), kills))
        answers: list[Answer] = []
        deadline = time.monotonic() + DEADLINE
        while not all(racer.is_done for racer in self.alive) or len(self.alive) < self.number:
            assert time.monotonic() < deadline, "the racers never finished"
            for racer in self._admit(0.0):
                born(racer)
            answers += self._heard()
            while fatal and len(answers) >= fatal[0]:
                del fatal[0]
                self._kill()
        return answers

    def _kill(self) -> None:
        at_work = [racer for racer in self.alive if not racer.is_done]
        if at_work:
            os.kill(self.chance.choice(at_work).pid, signal.SIGKILL)
            self.killed += 1

    def _fork(self) -> None:
        assert self.nursery.stdin is not None
        self.nursery.stdin.write(b"fork\n")
        self.nursery.stdin.flush()

    def _admit(self, patience: float = 0.1) -> list[Racer]:
        self.listener.settimeout(patience)
        admitted = []
        with contextlib.suppress(OSError):
            line, _ = self.listener.accept()
            line.settimeout(DEADLINE)
            admitted.append(Racer(int.from_bytes(line.recv(8), "big"), line))
        self.alive += admitted
        return admitted

    def _all_tell(self, racers: Sequence[Racer], calls: Sequence[Call], times: int) -> None:
        task = json.dumps({"calls": calls, "times": times}).encode() + b"\n"
        for racer in racers:
            racer.is_done = False
            with contextlib.suppress(OSError):
                racer.line.sendall(task)

    def _heard(self) -> list[Answer]:
        """Whoever says nothing more is dead: the kernel closed his end."""
        with selectors.DefaultSelector() as selector:
            for racer in self.alive:
                selector.register(racer.line, selectors.EVENT_READ, racer)
            ready = [key.data for key, _ in selector.select(0.05)]
        return [answer for racer in ready for answer in self._heard_of(racer)]

    def _heard_of(self, racer: Racer) -> Iterator[Answer]:
        try:
            heard = racer.line.recv(1 << 20)
        except OSError:
            heard = b""
        if not heard:
            racer.line.close()
            self.alive.remove(racer)
            self._fork()
            return
        *lines, racer.unread = (racer.unread + heard).split(b"\n")
        for line in lines:
            if line == b"done":
                racer.is_done = True
            else:
                yield Answer(*json.loads(line))


@contextlib.contextmanager
def racing(
    data: Path, database: str, number: int, seed: int, naive: str = "", variables: Mapping[str, str] | None = None
) -> Iterator[Racers]:
    """So many racers on a prepared deployment; with `naive` they break one of its rules (tests.faults.naive)."""
    place = data / SOCKET
    place.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(place))
    listener.listen(64)
    argv = [sys.executable, "-m", "tests.faults.racers", str(data), database, str(place), naive]
    nursery = subprocess.Popen(argv, stdin=subprocess.PIPE, env={**os.environ, **(variables or {})})
    racers = Racers(number, random.Random(seed), listener, nursery)
    try:
        racers.start()
        yield racers
    finally:
        for racer in racers.alive:
            racer.line.close()
        assert nursery.stdin is not None
        nursery.stdin.close()
        nursery.wait(DEADLINE)
        listener.close()


def _nursery(data: str, database: str, place: str, naive: str) -> None:
    """Forks for each line that is read; ends its children when nobody is there any more to write one."""
    import doorward.web.application  # noqa: F401  what a racer needs is imported once

    if naive:
        from tests.faults import naive as rules

        rules.broken(naive)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    children = []
    for _ in sys.stdin:
        pid = os.fork()
        if pid == 0:
            _race(data, database, place)
        children.append(pid)
    for pid in children:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _race(data: str, database: str, place: str) -> None:
    """Never returns."""
    code = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        asyncio.run(_answering(data, database, place))
        code = 0
    finally:
        os._exit(code)


async def _answering(data: str, database: str, place: str) -> None:
    import httpx2

    from doorward import passwords, settings
    from doorward.data_directory import DataDirectory
    from doorward.web import application

    passwords._seconds = lambda *_: 9.0  # the least work: nobody signs in here
    given = settings.load({"data_dir": Path(data), "database": database}, remembered=True)
    async with application.running(given, DataDirectory.open(given), 0) as app:
        reader, writer = await asyncio.open_unix_connection(place, limit=1 << 24)
        writer.write(os.getpid().to_bytes(8, "big"))
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url=given.issuer) as http:
            while task := await reader.readline():
                asked = json.loads(task)
                calls = [Call(*call) for call in asked["calls"]] * asked["times"]
                await asyncio.gather(*(_ask(http, call, writer) for call in calls))
                writer.write(b"done\n")


async def _ask(http: Any, call: Call, writer: asyncio.StreamWriter) -> None:
    reply = await http.post(call.path, content=call.body, headers=call.headers)
    writer.write(json.dumps([call.name, reply.status_code, reply.json()]).encode() + b"\n")


if __name__ == "__main__":
    _nursery(*sys.argv[1:])
