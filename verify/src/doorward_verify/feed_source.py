"""The feed's endpoints, asked: a snapshot, what came since, a stream of events, and the keys that sign heartbeats.

GET revocations_endpoint                           authorization: Basic ...
GET revocations_endpoint?since=1:1042&wait=1
GET revocations_stream_endpoint                    last-event-id: 1:1042
GET revocations_jwks_uri
POST usage_endpoint                                {"usage": [...]}
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Collection, Generator, Iterator
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

from doorward_verify import feed_message, jwt, strict_json
from doorward_verify.errors import KeyUnknown, Unavailable
from doorward_verify.event_stream import Event, EventStream
from doorward_verify.feed_message import FeedEndpoints, Told
from doorward_verify.feed_state import Heartbeat
from doorward_verify.outbound import Outbound, Response, Stream
from doorward_verify.revocations import Position
from doorward_verify.single_flight import Pause
from doorward_verify.usage import Batch

LOG_LIMIT = 32 * 1024 * 1024  # 100,000 entries and more
FIRST_BYTES = 5.0
# The server has a heartbeat each second: a stream without any for so long is dead.
SILENCE = 3.0
KEYS_MAX_AGE = 300.0
UNKNOWN_KID_PAUSE = 5.0

log = logging.getLogger("doorward_verify")


class Gone(Exception):  # noqa: N818  as the other refusals
    """The server cannot tell everything since the position that was asked for."""


class Silent(Exception):  # noqa: N818
    """A stream that was accepted, and on which nothing comes: something between us and the server gathers it."""


class Answered(NamedTuple):
    """`now` is the server's time, where it says so."""

    told: Told
    now: int | None


class FeedSource:
    """One verifier's view of one issuer's feed. Used by one thread; `abort` and `tell` by any other."""

    def __init__(
        self, issuer: str, audience: str, endpoints: FeedEndpoints, authorization: str, ca_file: str | None,
        monotonic: Callable[[], float],
    ) -> None:  # fmt: skip
        self._issuer, self._audience, self._endpoints = issuer, audience, endpoints
        self._authorization = authorization
        self._monotonic = monotonic
        self._outbound = Outbound(ca_file)
        self._stream: Stream | None = None
        self._keys: jwt.Keys = {}
        self._keys_read_at: float | None = None
        self._unknown_kid = Pause(UNKNOWN_KID_PAUSE, monotonic)

    def after_fork(self) -> None:
        if self._stream is not None:
            self._stream.abandon()
        self._stream = None
        self._outbound.after_fork()
        self._unknown_kid = Pause(UNKNOWN_KID_PAUSE, self._monotonic)

    def abort(self) -> None:
        """Whoever waits for the stream waits no longer."""
        if self._stream is not None:
            self._stream.abort()

    def close(self) -> None:
        self._outbound.close()

    def snapshot(self) -> Answered:
        return self._log("")

    def since(self, position: Position, wait: int) -> Answered:
        """Raises Gone."""
        return self._log(f"?since={_text(position)}&wait={wait}")

    def _log(self, query: str) -> Answered:
        response = self._outbound.get(self._endpoints.log + query, self._authorization, LOG_LIMIT)
        _check(response.status)
        return Answered(feed_message.told(_object(response)), _date(response))

    def join(self, since: Position) -> None:
        """Opens the stream. Raises Gone, Silent or Unavailable."""
        headers = {
            "Accept": "text/event-stream",
            "Authorization": self._authorization,
            "Cache-Control": "no-store",
            "Last-Event-ID": _text(since),
        }
        with _silent_when_late():
            stream = self._outbound.open(self._endpoints.stream, headers, FIRST_BYTES)
        try:
            _check(stream.status)
            if not stream.content_type.startswith("text/event-stream"):
                raise Unavailable("the revocation stream is none")
        except BaseException:
            stream.close()
            raise
        self._stream = stream

    def events(self) -> Generator[Event, None, None]:
        """All that comes on the stream, until it ends. Raises Silent, Unavailable or ValueError."""
        stream, parser = self._stream, EventStream()
        assert stream is not None, "it was not joined"
        try:
            with _silent_when_late():
                chunk = stream.read(FIRST_BYTES)
            while chunk:
                yield from parser.feed(chunk)
                chunk = stream.read(SILENCE)
        finally:
            self._stream = None
            stream.close()

    def heartbeat(self, text: str, withdrawn: Collection[str] = ()) -> Heartbeat:
        """Raises InvalidToken, ValueError, or Unavailable when the keys cannot be read.

        What a `withdrawn` key signed is not believed, though it may be among the keys that were read.
        """
        read_at = self._keys_read_at
        if read_at is None or self._monotonic() - read_at >= KEYS_MAX_AGE:
            self._read_keys()
        try:
            return self._heartbeat(text, withdrawn)
        except KeyUnknown as problem:
            if problem.kid in withdrawn or not self._unknown_kid.passes():
                raise
            self._read_keys()
            return self._heartbeat(text, withdrawn)

    def _heartbeat(self, text: str, withdrawn: Collection[str]) -> Heartbeat:
        keys = {kid: key for kid, key in self._keys.items() if kid not in withdrawn}
        return feed_message.heartbeat(text, keys, issuer=self._issuer, audience=self._audience)

    def tell(self, usage: Batch, seen: Batch | None = None) -> None:
        """Of any thread. Raises Unavailable when it is worth another try."""
        body = json.dumps({"usage": usage} | ({"seen": seen} if seen else {})).encode()
        url = self._endpoints.usage
        assert url is not None, "nobody wants to know"
        status = self._outbound.post(url, body, self._authorization, content_type="application/json").status
        if 400 <= status < 500 and status not in (401, 403, 408, 429):
            log.warning("usage: the authorization server answered %d, and it is dropped", status)
        elif not 200 <= status < 300:
            raise Unavailable(f"the authorization server answered {status}")

    def _read_keys(self) -> None:
        read_at = self._monotonic()
        response = self._outbound.get(self._endpoints.jwks_uri)
        _check(response.status)
        self._keys = jwt.keys_from_jwks(_object(response))
        self._keys_read_at = read_at


@contextmanager
def _silent_when_late() -> Iterator[None]:
    try:
        yield
    except Unavailable as problem:
        if isinstance(problem.__cause__, TimeoutError):
            raise Silent from problem
        raise


def _check(status: int) -> None:
    if status == 410:
        raise Gone
    if status in (401, 403):
        raise Unavailable("the verifier's own credentials are refused", reason="verifier_refused")
    if status != 200:
        raise Unavailable(f"the authorization server answered {status}")


def _object(response: Response) -> dict[str, Any]:
    try:
        return strict_json.parse(response.body)
    except ValueError as problem:
        raise Unavailable("the authorization server's answer is malformed") from problem


def _date(response: Response) -> int | None:
    try:
        return int(parsedate_to_datetime(response.headers["date"]).timestamp())
    except (KeyError, ValueError):
        return None


def _text(position: Position) -> str:
    return f"{position[0]}:{position[1]}"
