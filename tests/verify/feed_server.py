"""An issuer that tells of revocations as Doorward does, and that forgets, repeats, lies and falls silent as told."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.verify.issuer_server import METADATA, Issuer, Reply
from tests.verify.issuing import AUDIENCE, SigningKey, dumps, ec_key, header, jwks, signed

LOG, STREAM, FEED_JWKS = "/revocations", "/revocations/stream", "/revocations/jwks"
FEED_KEY = "feed-1"
END = b""

Entry = dict[str, Any]


class FeedIssuer(Issuer):
    """`epoch` and `seq` are the head of its journal. It has a heartbeat for each new stream, else as the test says."""

    def __init__(self, now: Callable[[], float], *arguments: Any) -> None:
        super().__init__(*arguments)
        self.now = now
        self.epoch, self.seq = 1, 100
        self.log: list[Entry] = []
        self.streams: list[queue.Queue[bytes]] = []
        self.lasts: dict[int, str] = {}
        self.resumed: list[str] = []
        self.greets = True
        self.refuses = 0
        self.changed = threading.Condition()
        self.replies[METADATA] = Reply(self.metadata())
        self.replies[FEED_JWKS] = Reply(jwks(ec_key(FEED_KEY)))
        self.conversations = {LOG: self._tell, STREAM: self._pour}

    def metadata(self, **changes: Any) -> dict[str, Any]:
        feed = {"revocations_endpoint": LOG, "revocations_stream_endpoint": STREAM, "revocations_jwks_uri": FEED_JWKS}
        return super().metadata(**{name: self.origin + path for name, path in feed.items()}, **changes)

    @property
    def head(self) -> str:
        return f"{self.epoch}:{self.seq}"

    def tell(self, kind: str, value: str, effect: str = "dead", *, silently: bool = False, **changes: Any) -> Entry:
        """One more entry; `silently`: the streams never hear of it."""
        with self.changed:
            self.seq += 1
            entry = {
                "pos": self.head, "kind": kind, "value": value, "effect": effect, "exp": int(self.now()) + 3660,
                **changes,
            }  # fmt: skip
            self.log.append(entry)
            for stream in [] if silently else self.streams:
                told = {"prev": self.lasts[id(stream)], **entry}
                self.lasts[id(stream)] = entry["pos"]
                stream.put(event("entry", json.dumps(told)))
            self.changed.notify_all()
        return entry

    def move(self) -> None:
        """Something happened that concerns nobody here."""
        self.seq += 1

    def beat(self, **changes: Any) -> None:
        with self.changed:
            for stream in self.streams:
                self._beat(stream, **changes)

    def say(self, chunk: bytes) -> None:
        """Exactly these bytes, to everybody."""
        for stream in self.streams:
            stream.put(chunk)

    def cut(self) -> None:
        """Ends the streams that there are."""
        with self.changed:
            for stream in self.streams:
                stream.put(END)
            self.streams.clear()

    def restore(self) -> None:
        """From a backup: another epoch, whatever came after it is lost."""
        self.epoch, self.log = self.epoch + 1, []
        self.cut()

    def heartbeat(self, last: str, key: SigningKey | None = None, typ: str = "feed+jwt", **changes: Any) -> str:
        key = key or ec_key(FEED_KEY)
        claims = {"iss": self.url, "aud": AUDIENCE, "iat": int(self.now()), "pos": self.head, "last": last, **changes}
        return signed(key, dumps(header(key, typ=typ)), dumps(claims))

    def _beat(self, stream: queue.Queue[bytes], **changes: Any) -> None:
        stream.put(event("heartbeat", self.heartbeat(**{"last": self.lasts[id(stream)], **changes})))

    def _behind(self, since: str) -> list[Entry] | None:
        epoch, _, seq = since.partition(":")
        if int(epoch) != self.epoch or int(seq) > self.seq:
            return None
        return _chained([one for one in self.log if int(one["pos"].split(":")[1]) > int(seq)], since)

    def _tell(self, conversation: BaseHTTPRequestHandler) -> None:
        query = {name: values[0] for name, values in parse_qs(urlsplit(conversation.path).query).items()}
        with self.changed:
            found = self._behind(query["since"]) if "since" in query else _chained(self.log, f"{self.epoch}:0")
            if found == [] and "since" in query:
                self.changed.wait_for(lambda: self._behind(query["since"]), int(query.get("wait", 0)))
                found = self._behind(query["since"])
            body = {"error": "gone"} if found is None else {"pos": self.head, "entries": found}
        _reply(conversation, 410 if found is None else 200, json.dumps(body).encode())

    def _pour(self, conversation: BaseHTTPRequestHandler) -> None:
        since = conversation.headers["last-event-id"]
        self.resumed.append(since)
        stream: queue.Queue[bytes] = queue.Queue()
        with self.changed:
            found = self._behind(since)
            if found is None or self.refuses:
                _reply(conversation, self.refuses or 410, b"{}")
                return
            self.streams.append(stream)
            self.lasts[id(stream)] = found[-1]["pos"] if found else since
            for entry in found:
                stream.put(event("entry", json.dumps(entry)))
            if self.greets:
                self._beat(stream)
        conversation.close_connection = True
        conversation.send_response(200)
        conversation.send_header("content-type", "text/event-stream")
        conversation.end_headers()
        while chunk := stream.get():
            conversation.wfile.write(chunk)


def event(name: str, data: str) -> bytes:
    return f"event: {name}\ndata: {data}\n\n".encode()


def _chained(entries: list[Entry], last: str) -> list[Entry]:
    before = [last, *(entry["pos"] for entry in entries)]
    return [{"prev": previous, **entry} for previous, entry in zip(before, entries, strict=False)]


def _reply(conversation: BaseHTTPRequestHandler, status: int, body: bytes) -> None:
    conversation.send_response(status)
    conversation.send_header("content-type", "application/json")
    conversation.send_header("content-length", str(len(body)))
    conversation.end_headers()
    conversation.wfile.write(body)
