"""Who hears of revocations at this worker: each new entry is read once and handed to the streams of its audience.

Every second each audience hears a heartbeat, signed once for all that are equally far; but never from a worker that
does not hear the database itself, since it would claim what it does not know.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections import defaultdict, deque
from collections.abc import Iterable, Sequence

from doorward.protocol import feed
from doorward.protocol.entities import SigningKey
from doorward.protocol.moment import Position
from doorward.protocol.revocation_log import Placed, chain
from doorward.protocol.verifier import VerifierFacts
from doorward.sign import Signer
from doorward.store import signing_keys
from doorward.store.memory import Reader
from doorward.store.revocation_log import EVERYONE, Heard
from doorward.store.store import Store
from doorward.store.writer import Unavailable
from doorward.web.metrics import Metrics

HEARTBEAT = 1.0
# A heartbeat that is due waits for the database to be heard, looking this often.
LOOK = 0.05
# Chunks, one for each time that something was heard: who is so far behind is let go.
BACKLOG = 256
BEAT = b"event: heartbeat"

log = logging.getLogger("doorward.feed")
_encode = json.JSONEncoder(separators=(",", ":")).encode


def events(entries: Sequence[Placed], last: Position) -> tuple[bytes, Position]:
    """The entries as server-sent events, and the position of the last of them."""
    members, last = chain(entries, last)
    text = "".join(f"id: {one['pos']}\nevent: entry\ndata: {_encode(one)}\n\n" for one in members)
    return text.encode(), last


class Stream:
    """One subscriber. `last` is the position of what he was told last, `floor` the least that a heartbeat may say.

    It ends with its verifier, and with the secret that opened it.
    """

    __slots__ = ("_chunks", "_woken", "beats", "ended", "floor", "hung_on", "last", "verifier")

    def __init__(self, verifier: VerifierFacts, last: Position, floor: Position, *, beats: bool) -> None:
        self.verifier, self.last, self.floor, self.beats = verifier, last, floor, beats
        self.hung_on = {verifier.verifier.id, *(secret.id for secret in verifier.secrets)}
        self.ended = False
        self._chunks: deque[bytes] = deque()
        self._woken = asyncio.Event()

    def put(self, chunk: bytes) -> None:
        if self.ended:
            return
        if self._chunks and self._chunks[-1].startswith(BEAT) and chunk.startswith(BEAT):
            # Of what is old when it arrives, the oldest helps least.
            self._chunks.pop()
        self._chunks.append(chunk)
        self._woken.set()
        if len(self._chunks) > BACKLOG:
            # What he missed he will find again: by his position, in a new stream.
            self.end()

    def end(self) -> None:
        self.ended = True
        self._chunks.clear()
        self._woken.set()

    async def next(self) -> bytes:
        """All that waits, as soon as there is something; nothing at the end."""
        await self._woken.wait()
        self._woken.clear()
        waiting = b"".join(self._chunks)
        self._chunks.clear()
        return waiting


class FanOut:
    """Lives on the worker's loop; only `hear_soon` may be called from elsewhere."""

    def __init__(self, store: Store, signer: Signer, metrics: Metrics) -> None:
        self.position = store.tail.position
        self._store, self._signer, self._metrics = store, signer, metrics
        self._loop = asyncio.get_running_loop()
        self._streams: dict[str, set[Stream]] = defaultdict(set)
        self._unheard: list[Stream] = []  # joined, and had no heartbeat yet
        self._ended: set[str] = set()
        self.closed = False
        self._key: SigningKey | None = None
        self._signed: dict[tuple[str, Position, Position, int], bytes] = {}

    def join(self, stream: Stream) -> bool:
        """False when more was heard already than the stream knows: it has to read on first."""
        if self.position > stream.floor:
            return False
        self._streams[stream.verifier.api.id].add(stream)
        self._metrics.subscribers += 1
        if self.closed or not self._ended.isdisjoint(stream.hung_on):
            stream.end()
        elif stream.beats:
            self._unheard.append(stream)
            self._greet()
        return True

    def leave(self, stream: Stream) -> None:
        stream.end()
        streams = self._streams[stream.verifier.api.id]
        streams.remove(stream)
        if not streams:
            del self._streams[stream.verifier.api.id]
        self._metrics.subscribers -= 1

    def close(self) -> None:
        """Every stream ends now, and those that still come end at once."""
        self.closed = True
        for stream in self._all():
            stream.end()

    def hear_soon(self, heard: Heard) -> None:
        """Called by the follower's thread; a loop that is closed has nobody who listens."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._hear, heard)

    def _hear(self, heard: Heard) -> None:
        another_epoch = heard.position.epoch != self.position.epoch
        self.position = heard.position
        self._ended |= heard.ended
        for stream in self._all():
            if another_epoch or not heard.ended.isdisjoint(stream.hung_on):
                stream.end()
        if any(placed.entry.kind == "signing_key" for _, placed in heard.entries):
            # It may be the feed's own: the next heartbeat looks which one signs now.
            self._key = None
        if heard.entries:
            for api_id, streams in self._streams.items():
                self._tell(streams, [placed for audience, placed in heard.entries if audience in (api_id, EVERYONE)])
        self._greet()

    def _tell(self, streams: Iterable[Stream], entries: Sequence[Placed]) -> None:
        """Most streams are equally far and share one chunk; one that has just joined may know some entries already."""
        made: dict[Position, tuple[bytes, Position, int]] = {}
        for stream in streams:
            if stream.last not in made:
                new = [placed for placed in entries if placed.seq > stream.last.seq]
                made[stream.last] = (*events(new, stream.last), len(new))
            chunk, last, number = made[stream.last]
            if number and not stream.ended:
                stream.put(chunk)
                stream.last = last
                self._metrics.told("entry", number)

    async def beat_regularly(self) -> None:
        """Until it is cancelled, whatever comes in between."""
        while True:
            try:
                beaten = await self._try_to_beat()
            except Exception as fault:
                log.error("no heartbeat: %s", type(fault).__name__)
                beaten = True
            await asyncio.sleep(HEARTBEAT if beaten else LOOK)

    async def _try_to_beat(self) -> bool:
        if self._store.is_fresh:
            with contextlib.suppress(Unavailable):
                self._key = (await self._store.gather(_key, None)).facts
        if not self._store.is_fresh or self._key is None:
            return False
        self._beat(self._all())
        return True

    def _greet(self) -> None:
        """The first heartbeat comes as soon as this worker is as far as the stream."""
        if self._unheard and self._store.is_fresh and self._key is not None:
            waiting, self._unheard = self._unheard, [one for one in self._unheard if one.floor > self.position]
            self._beat(waiting)

    def _beat(self, streams: Iterable[Stream]) -> None:
        now = int(time.time())
        self._signed = {known: chunk for known, chunk in self._signed.items() if known[-1] == now}
        for stream in streams:
            if stream.beats and not stream.ended and stream.floor <= self.position:
                stream.put(self._heartbeat(stream, now))
                self._metrics.told("heartbeat")

    def _heartbeat(self, stream: Stream, now: int) -> bytes:
        api = stream.verifier.api
        place = (api.id, stream.last, self.position, now)
        if place not in self._signed:
            assert self._key is not None
            claims = feed.heartbeat(self._store.policy.issuer, api.identifier, now, self.position, stream.last)
            signed = self._signer.heartbeat(claims, self._key)
            self._signed[place] = BEAT + f"\ndata: {signed}\n\n".encode()
        return self._signed[place]

    def _all(self) -> list[Stream]:
        return [stream for streams in self._streams.values() for stream in streams]


def _key(read: Reader, request: None) -> SigningKey | None:  # noqa: ARG001  the runner's signature
    """The newest active one."""
    found = read(signing_keys.of_feed, "all")
    active = [key for key in found.keys if key.state == "active"] if found else []
    return active[-1] if active else None
