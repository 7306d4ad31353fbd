"""A connection with limits on what it may do (RFC 9112), so that a slow client costs nobody else (T185).

uvicorn does HTTP; this adds the limits that an open network needs: 16 KiB of headers (431), 10 s for them,
10 s for a body (408), 30 s for a client that does not read, whose X-Forwarded-Proto and -For are believed, and 503 to
those for whom there is no room (web/load.py).
"""

import asyncio
import json
from asyncio import TimerHandle
from collections.abc import Sequence
from enum import Enum
from typing import Any

import httptools
from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from doorward.protocol.load import Rank, rank_of
from doorward.settings import address_of
from doorward.web import forwarded
from doorward.web.forwarded import Network
from doorward.web.load import ENTRY, WRITE_BUFFER, Entry, Load

HEADER_LIMIT = 16 * 1024
HEADER_TIMEOUT = 10.0
BODY_TIMEOUT = 10.0
WRITE_TIMEOUT = 30.0
# So many requests may wait behind the one that is answered.
PIPELINED = 8
# Of a body that nobody reads so much is taken in, as uvicorn has it.
BODY_KEPT = 64 * 1024
LINGER = 1.0
# Set in the scope when a believed proxy says that some hop was plain HTTP; a missing header is no evidence.
IN_THE_CLEAR = "doorward.in_the_clear"
# The target of the request line, byte for byte: what is parsed of it is without a fragment.
TARGET = "doorward.target"
UNTRUSTED = "a forwarding header came from this machine, and --behind-proxy does not name it"


def target(scope: Scope) -> bytes:
    """With its query; where no connection of ours read it, of its parts."""
    raw: bytes = scope.get(TARGET) or scope["raw_path"]
    query: bytes = b"" if TARGET in scope else scope["query_string"]
    return raw + b"?" + query if query else raw


class Phase(Enum):
    IDLE = 0
    HEAD = 1
    BODY = 2


class LimitedProtocol(HttpToolsProtocol):
    """A connection with limits. A request that arrives in one piece, as nearly all do, arms no timer."""

    trusted: Sequence[Network] = ()
    load: Load | None = None
    # Whether no stranger can be at the other end.
    is_gateways = False
    pipelined = PIPELINED

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._phase = Phase.IDLE
        self._head_size = 0  # bytes of pieces that hold nothing but the current head
        self._head_bound = 0  # bytes of all pieces that hold some of it
        self._timer: TimerHandle | None = None
        self._write_timer: TimerHandle | None = None
        self._timed: Phase | None = None
        self._refused = False
        self._entry: Entry | None = None  # of the request that is arriving, or what it is answered without one
        self._turned_away: bytes | None = None
        self._in_a_row = 0  # so often was it turned away since it was let in
        self._begun: RequestResponseCycle | None = None  # the last one that was begun to be answered
        self._believed = self._suspicious = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        address = address_of(self.client[0]) if self.client else None
        self._believed = address is not None and any(address in network for network in self.trusted)
        self._suspicious = address is not None and address.is_loopback and not self._believed
        self._arm(Phase.HEAD, HEADER_TIMEOUT)
        transport.set_write_buffer_limits(WRITE_BUFFER)
        if self.load is not None:
            self.load.connected(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        self._stop_write_timer()
        if self.load is not None:
            self.load.lost(self)
        if self._entry is not None:
            self._entry.give_up()
        if self._begun is not None and not self._begun.response_complete:
            # uvicorn tells only the last that arrived, which may wait behind it.
            self._begun.disconnected = True
            self._begun.message_event.set()
        super().connection_lost(exc)

    def let_go(self) -> None:
        """For another one's sake."""
        self._part()

    def cut(self) -> None:
        """With all that waits to be sent."""
        self.transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        self._unset_keepalive_if_required()
        self._count(len(data))
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # nothing is upgraded: the request is answered as plain HTTP
        except httptools.HttpParserError:
            self._refuse(400, "invalid_request", "the request is not well-formed HTTP")
            return
        if self._phase is Phase.HEAD and self._head_size > HEADER_LIMIT:
            self._refuse_head()
        if self._turned_away is not None:
            self._turn_away(is_whole=False)
        self._time()

    def _count(self, size: int) -> None:
        if self._phase is Phase.HEAD:
            self._head_size += size
            self._head_bound += size
        else:
            self._head_size = size if self._phase is Phase.IDLE else 0
            self._head_bound = size

    def _time(self) -> None:
        if self._refused:
            return
        if self._phase is Phase.BODY:
            self._arm(Phase.BODY, BODY_TIMEOUT)
        elif self._phase is Phase.HEAD or not self._busy():
            self._arm(Phase.HEAD, HEADER_TIMEOUT)
        elif self._timer is not None:
            self._disarm()

    def on_message_begin(self) -> None:
        self._phase = Phase.HEAD
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Trailers are nobody's header fields (RFC 9110 §6.5.1), and nothing would limit them."""
        if self._phase is Phase.HEAD:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if self._refused:
            return
        if self._head_bound > HEADER_LIMIT and self._head_length() > HEADER_LIMIT:
            self._refuse_head()
            return
        if self._believed:
            self._believe()
        elif self._suspicious and not forwarded.FIELDS.isdisjoint([name for name, _ in self.headers]):
            self._refuse(400, "invalid_request", UNTRUSTED)
            return
        self._phase = Phase.BODY
        self.scope[TARGET] = self.url  # type: ignore[literal-required]
        if self._is_let_in():
            super().on_headers_complete()
            if not self.pipeline:
                self._begun = self.cycle
            self._expect()

    def on_body(self, body: bytes) -> None:
        if not self._refused and self._turned_away is None:
            super().on_body(body)
            if self._entry is not None and len(self.cycle.body) > BODY_KEPT:
                self._entry.arrive(is_next=not self.pipeline)

    def on_message_complete(self) -> None:
        if not self._refused:
            # What follows in this piece is the next request's, and is no longer this one's head.
            self._head_size = 0
            self._phase = Phase.IDLE
            if self._turned_away is None:
                super().on_message_complete()
                if self._entry is not None:
                    self._entry.arrive(is_next=not self.pipeline)
                    self._entry = None
            else:
                self._turn_away(is_whole=True)

    def timeout_keep_alive_handler(self) -> None:
        self._part()

    def on_response_complete(self) -> None:
        if self.pipeline:
            self._begun = self.pipeline[-1][0]
        super().on_response_complete()
        if self.transport.is_closing():
            self._part()
        if self.load is not None and not self._busy():
            self.load.idle[self] = None
        if self._phase is Phase.IDLE and self._timer is not None:
            self._disarm()

    def rank(self) -> Rank:
        return rank_of(self.url)

    def _is_let_in(self) -> bool:
        if self.load is None:
            return True
        self.load.idle.pop(self, None)
        rank = self.rank()
        # Without an end to it, who does not read could send for ever.
        self._entry = self.load.enter(rank, self) if len(self.pipeline) < self.pipelined else None
        if self._entry is None:
            self._turned_away = self.load.answer(rank).raw
            return False
        self.scope[ENTRY] = self._entry  # type: ignore[literal-required]
        self._in_a_row = 0
        return True

    def _expect(self) -> None:
        """Nobody reads the body before all of it is there, so that it is asked for here (RFC 9110 §10.1.1).

        What is announced as more than is kept is read, or refused, by whoever answers.
        """
        if self._entry is None:
            return
        announced = next((value for name, value in self.headers if name == b"content-length"), b"0")
        if len(announced) > 9 or int(announced) > BODY_KEPT:
            self._entry.arrive(is_next=not self.pipeline)
        elif self.cycle.waiting_for_100_continue:
            self.cycle.waiting_for_100_continue = False
            if not self.pipeline:
                self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _turn_away(self, is_whole: bool) -> None:
        """The connection stays, since a new one would cost more, unless its client sends on or does not read."""
        assert self.load is not None
        assert self._turned_away is not None
        answer, self._turned_away = self._turned_away, None
        self._disarm()
        if self._busy():
            self._refused = True
            self.cycle.keep_alive = False
        elif is_whole and self._stays():
            self.load.idle[self] = None
            self.transport.write(answer)
            self._slow_down(self.load)
        else:
            self._refused = True
            self._end_with(answer.replace(b"\r\n", b"\r\nconnection: close\r\n", 1))

    def _slow_down(self, load: Load) -> None:
        """Who comes again at once is read later: to turn him away over and over would be all there is time for.

        Not the first time, since a gateway asks for many callers over one connection.
        """
        self._in_a_row += 1
        if self._in_a_row > 1:
            self.flow.pause_reading()
            self.loop.call_later(load.pause(), self._read_on, load)

    def _read_on(self, load: Load) -> None:
        load.resume()
        if not self.transport.is_closing():
            self.flow.resume_reading()

    def _stays(self) -> bool:
        if self.flow.write_paused or self.parser.get_method() == b"HEAD":
            return False
        return bool(self.parser.get_http_version() == "1.1" and self.parser.should_keep_alive())

    def _head_length(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _believe(self) -> None:
        # Every hop that is reported must have been HTTPS: one plaintext hop has shown the credential.
        values = [value for name, value in self.headers if name == b"x-forwarded-proto"]
        hops = [hop.strip().lower() for value in values for hop in value.split(b",")]
        if hops:
            self.scope["scheme"] = "https" if all(hop == b"https" for hop in hops) else "http"
            self.scope[IN_THE_CLEAR] = self.scope["scheme"] == "http"  # type: ignore[literal-required]
        caller = forwarded.caller(self.headers, self.trusted)
        if caller is not None:
            self.scope["client"] = (caller, 0)

    def _busy(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _arm(self, phase: Phase, seconds: float) -> None:
        if self._timer is None or self._timed is not phase:
            self._disarm()
            self._timed = phase
            self._timer = self.loop.call_later(seconds, self._late)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _late(self) -> None:
        self._timer = None
        if self.transport.is_closing():
            return
        phase = self._phase
        if self.flow.read_paused:
            # We stopped reading, so the client is not the slow one.
            self._arm(phase, BODY_TIMEOUT)
        elif phase is Phase.IDLE:
            if not self._busy():
                self._part()
        else:
            self._refuse(408, "request_timeout", "the request did not arrive within 10 seconds")

    def _refuse_head(self) -> None:
        self._refuse(431, "invalid_request", "the headers are longer than 16 KiB")

    def _refuse(self, status: int, error: str, description: str) -> None:
        if self._refused:
            return
        self._refused = True
        self._disarm()
        body = json.dumps({"error": error, "error_description": description}).encode()
        # Whoever is turned away has no cycle: the last one is of the request before him.
        is_its_own = self._phase is Phase.BODY and self._turned_away is None
        if is_its_own and self.pipeline:
            self._answer_in_turn(status, body)
            return
        if self._busy() and (not is_its_own or self.cycle.response_started):
            # The answer under way belongs to an earlier request: it is finished, then the connection ends.
            self.cycle.keep_alive = False
            return
        if self._busy():
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self._answer(status, body)

    def _answer_in_turn(self, status: int, body: bytes) -> None:
        """Of a request that will never be whole: nobody would end the connection, if its turn was waited for it."""
        cycle, _ = self.pipeline.popleft()

        async def refuse(*_: object) -> None:
            cycle.disconnected = True
            self._answer(status, body)

        self.pipeline.appendleft((cycle, refuse))

    def _answer(self, status: int, body: bytes) -> None:
        head = b"content-type: application/json\r\ncache-control: no-store\r\nconnection: close\r\n"
        length = b"content-length: %d\r\n\r\n" % len(body)
        self._end_with(STATUS_LINE[status] + head + length + body)

    def _end_with(self, answer: bytes) -> None:
        self.transport.write(answer)
        # Closing with unread input resets the connection, and the client never sees why: so read on.
        self.flow.resume_reading()
        self.loop.call_later(LINGER, self.transport.abort)

    def _part(self) -> None:
        """Once all is sent. Of the last bytes nobody else would say that they are not read."""
        self.transport.close()
        if self._write_timer is None:
            self._write_timer = self.loop.call_later(WRITE_TIMEOUT, self.transport.abort)

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._write_timer is None:
            self._write_timer = self.loop.call_later(WRITE_TIMEOUT, self.transport.abort)
            if self.load is not None:
                self.load.stalls(self, self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        self._stop_write_timer()
        if self.transport.is_closing():
            self._part()
        if self.load is not None:
            self.load.reads(self)
        super().resume_writing()

    def _stop_write_timer(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None
