"""Fetches a client's access tokens (RFC 6749 §4.4, RFC 8707) from an issuer, found by its metadata (RFC 8414).

POST token_endpoint      Authorization: Basic ...      grant_type=client_credentials&scope=...&resource=...
503                      Retry-After: 1                asked again, within `patience` seconds; so is 502, 504 and a cut

Whoever finds that there is none, or that it has ended, waits for the one who fetches it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import time
import weakref
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlencode

from doorward_verify import token_cache
from doorward_verify.errors import Unavailable
from doorward_verify.outbound import Outbound, Response
from doorward_verify.single_flight import Breaker, Pause, SingleFlight
from doorward_verify.source import basic, well_known
from doorward_verify.token_cache import Token, TokenRefused

FAILURE_PAUSE = 1.0
AHEAD_PAUSE = 10.0
# A database that starts again is back by then: whoever waits for a request waits as long.
PATIENCE = 10.0
LEAST_PAUSE = 0.5

log = logging.getLogger("doorward_verify")


class TokenSource:
    """The tokens of one client for one api. Safe among threads, among tasks, and after a fork."""

    def __init__(
        self,
        issuer: str,
        credentials: tuple[str, str],
        parameters: Mapping[str, str],
        *,
        ca_file: str | None,
        monotonic: Callable[[], float],
        patience: float = PATIENCE,
    ) -> None:
        self._issuer = issuer
        self._authorization = basic(*credentials)
        self._form = urlencode({"grant_type": "client_credentials", **parameters}).encode()
        self._monotonic = monotonic
        self._patience = patience
        self._outbound = Outbound(ca_file)
        self._endpoint: str | None = None
        self._held: Token | None = None
        self._refusal: TokenRefused | None = None
        self._start()
        _LIVE.add(self)

    def _start(self) -> None:
        # Between two fetches lie minutes, longer than servers keep an idle connection.
        self._outbound.close()
        self._flights: SingleFlight[Token] = SingleFlight()
        self._breaker = Breaker(f"tokens of {self._issuer}", FAILURE_PAUSE, self._monotonic)
        self._peace = Pause(FAILURE_PAUSE, self._monotonic)
        self._ahead = Pause(AHEAD_PAUSE, self._monotonic)
        # One thread, however many tasks wait: if each took one of the loop's, name look-ups would wait with them.
        self._thread = ThreadPoolExecutor(1, "doorward-token")

    def after_fork(self) -> None:
        """The token is kept; locks and threads are the parent's."""
        self._outbound.after_fork()
        self._start()

    def known(self) -> Token | None:
        """The token, without waiting for anybody. None where this caller should fetch one."""
        held = self._held
        if held is None:
            return None
        standing = held.standing(self._monotonic())
        # Who notices that it is due goes for another one; everybody else goes on with what still works.
        return held if standing == "good" or (standing == "due" and not self._ahead.passes()) else None

    def fetch(self, refused: Token | None = None) -> Token:
        """Another token than the refused one; the same where it is too early for yet another.

        Raises TokenRefused or Unavailable.
        """
        held = self._held
        standing = None if held is None or held is refused else held.standing(self._monotonic())
        if held is not None and standing == "good":
            return held
        try:
            # What still works keeps nobody waiting for its successor.
            patience = 0.0 if standing == "due" else self._patience
            return self._flights(held, lambda: self._replace(held, refused if held is refused else None, patience))
        except (TokenRefused, Unavailable) as problem:
            if held is None or standing != "due":
                raise
            log.warning("the access token still works, but could not be replaced: %s", problem)
            return held

    async def afetch(self, refused: Token | None = None) -> Token:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self.fetch, refused)

    def _replace(self, unwanted: Token | None, refused: Token | None, patience: float = 0.0) -> Token:
        """At most once a second after a refusal, be it of a token by the api or of the client by the server."""
        held, refusal = self._held, self._refusal
        if held is not None and held is not unwanted:
            return held
        is_too_early = (refused is not None or refusal is not None) and not self._peace.passes()
        if is_too_early and refusal is not None:
            raise TokenRefused(*refusal.args)
        if is_too_early and refused is not None:
            return refused
        answer = self._breaker(lambda: self._ask_within(patience))
        if isinstance(answer, TokenRefused):
            self._refusal = answer
            self._peace.begin()
            raise TokenRefused(*answer.args)
        self._refusal = None
        self._held = answer
        return answer

    def _ask_within(self, patience: float) -> Token | TokenRefused:
        """A token too many harms nobody: who was not answered asks again."""
        while True:
            asked_at = self._monotonic()
            try:
                return self._ask()
            except Unavailable as problem:
                pause = max(problem.retry_after or 0, LEAST_PAUSE)
                # Who says slowly that he is away is waited for as well.
                patience -= self._monotonic() - asked_at + pause
                if problem.retry_after is None or patience < 0:
                    raise
                time.sleep(pause)

    def _ask(self) -> Token | TokenRefused:
        """The endpoint is kept for as long as it answers."""
        endpoint, self._endpoint = self._endpoint or self._discover(), None
        asked_at = self._monotonic()
        response = _heard(self._outbound.post(endpoint, self._form, self._authorization))
        answer = token_cache.read(response.status, response.body, asked_at)
        self._endpoint = endpoint
        return answer

    def _discover(self) -> str:
        oauth, openid = well_known(self._issuer)
        response = _heard(self._outbound.get(oauth))
        if response.status in (401, 403, 404):
            response = _heard(self._outbound.get(openid))
        return token_cache.token_endpoint(response.status, response.body, self._issuer)


def _heard(response: Response) -> Response:
    """Raises Unavailable for who is away for a moment, with for how long (RFC 9110 §10.2.3)."""
    if response.status in (502, 503, 504):
        told = response.headers.get("retry-after", "")
        seconds = int(told) if re.fullmatch(r"[0-9]{1,6}", told) else 0
        raise Unavailable(f"the authorization server answered {response.status}", retry_after=seconds)
    return response


_LIVE: weakref.WeakSet[TokenSource] = weakref.WeakSet()


def _renew_all() -> None:
    for source in list(_LIVE):
        source.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)
