"""The revocation feed of an issuer for tests, as Doorward has it (decisions 3 and 4).

GET /revocations?since=1:1042&wait=1         GET /revocations/stream      last-event-id: 1:1042
"""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from doorward_verify.testing.server import Conversation

LOG, STREAM, JWKS = "/revocations", "/revocations/stream", "/revocations/jwks"
# A verifier drops what is older; nothing that a test issues lives longer.
ENTRY_LIFETIME = 3660
END = b""

Entry = dict[str, Any]


class Listener(NamedTuple):
    """A stream: its audience, what it has yet to be sent, and the position of the entry that it was sent last."""

    audience: str
    waiting: queue.Queue[bytes]
    last: list[str]

    def tell(self, entry: Entry) -> None:
        self.waiting.put(event("entry", json.dumps({"prev": self.last[0], **entry})))
        self.last[0] = entry["pos"]


class RevocationFeed:
    """`epoch` and `seq` are the head of its journal; `sign` makes a heartbeat of its claims, without `iss`."""

    def __init__(self, now: Callable[[], float], sign: Callable[[dict[str, Any]], str]) -> None:
        self.epoch, self.seq = 1, 100
        self.log: list[Entry] = []
        self.listeners: list[Listener] = []
        self.changed = threading.Condition()
        self.now, self._sign = now, sign

    @property
    def head(self) -> str:
        return f"{self.epoch}:{self.seq}"

    def tell(self, kind: str, value: str, effect: str = "dead", *, silently: bool = False, **changes: Any) -> Entry:
        """One more entry; `silently`: the streams never hear of it."""
        with self.changed:
            self.seq += 1
            expires_at = int(self.now()) + ENTRY_LIFETIME
            entry = {"pos": self.head, "kind": kind, "value": value, "effect": effect, "exp": expires_at, **changes}
            self.log.append(entry)
            for listener in [] if silently else self.listeners:
                listener.tell(entry)
            self.changed.notify_all()
        return entry

    def beat(self, **changes: Any) -> None:
        """A heartbeat for everybody."""
        with self.changed:
            for listener in self.listeners:
                self._beat(listener, **changes)

    def cut(self) -> None:
        """Ends the streams that there are."""
        with self.changed:
            for listener in self.listeners:
                listener.waiting.put(END)
            self.listeners.clear()

    def claims(self, audience: str, last: str, **changes: Any) -> dict[str, Any]:
        """Of a heartbeat."""
        return {"aud": audience, "iat": int(self.now()), "pos": self.head, "last": last, **changes}

    def answer(self, conversation: Conversation) -> None:
        """A snapshot, or what came since a position, as soon as there is something."""
        query = conversation.query
        since = query.get("since")
        with self.changed:
            found = chained(self.log, f"{self.epoch}:0") if since is None else self.behind(since)
            if since is not None and found == []:
                self.changed.wait_for(lambda: self.behind(since), int(query.get("wait", 0)))
                found = self.behind(since)
            body = {"error": "gone"} if found is None else {"pos": self.head, "entries": found}
        conversation.reply(410 if found is None else 200, body, {"content-type": "application/json"})

    def pour(self, conversation: Conversation, audience: str, *, greets: bool = True) -> None:
        """What came since a position, a heartbeat, and then everything, until somebody cuts it."""
        listener = self._join(conversation.headers["last-event-id"], audience, greets)
        if listener is None:
            conversation.reply(410, {"error": "gone"})
            return
        conversation.close_connection = True
        conversation.send_response(200)
        conversation.send_header("content-type", "text/event-stream")
        conversation.end_headers()
        try:
            while chunk := listener.waiting.get():
                conversation.wfile.write(chunk)
        finally:
            with self.changed:
                self.listeners[:] = [one for one in self.listeners if one is not listener]

    def behind(self, since: str) -> list[Entry] | None:
        """None when it is not of this journal."""
        epoch, _, seq = since.partition(":")
        if int(epoch) != self.epoch or int(seq) > self.seq:
            return None
        return chained([entry for entry in self.log if int(entry["pos"].split(":")[1]) > int(seq)], since)

    def _join(self, since: str, audience: str, greets: bool) -> Listener | None:
        with self.changed:
            found = self.behind(since)
            if found is None:
                return None
            listener = Listener(audience, queue.Queue(), [since])
            for entry in found:
                listener.tell(entry)
            if greets:
                self._beat(listener)
            self.listeners.append(listener)
        return listener

    def _beat(self, listener: Listener, **changes: Any) -> None:
        claims = self.claims(listener.audience, **{"last": listener.last[0], **changes})
        listener.waiting.put(event("heartbeat", self._sign(claims)))


def event(name: str, data: str) -> bytes:
    return f"event: {name}\ndata: {data}\n\n".encode()


def chained(entries: Sequence[Entry], last: str) -> list[Entry]:
    before = [last, *(entry["pos"] for entry in entries)]
    return [{"prev": previous, **entry} for previous, entry in zip(before, entries, strict=False)]
