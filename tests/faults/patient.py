"""A plugin for the stories on many nodes: their people and programs do as our documents ask of every caller.

Who is told that the server is away for a moment (502, 503, 504, or a connection that was cut) comes again, when
Retry-After says so; a creation under /v1 comes again with its Idempotency-Key; and in a browser somebody loads the page
once more. The commands, the examples and `doorward_verify` are processes of their own, and have their own ways.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import Any

import httpx2
import pytest

AWAY = frozenset((502, 503, 504))
CUT = (httpx2.RemoteProtocolError, httpx2.ReadError, httpx2.WriteError)
PATIENCE = 30.0

Handle = Callable[[httpx2.HTTPTransport, httpx2.Request], httpx2.Response]


def pause(retry_after: str | None) -> float:
    return min(float(retry_after), 5.0) if retry_after and retry_after.isdigit() else 0.3


def patient(handle: Handle) -> Handle:
    def again(transport: httpx2.HTTPTransport, request: httpx2.Request) -> httpx2.Response:
        if request.method == "POST" and request.url.path.startswith("/v1/"):
            request.headers.setdefault("idempotency-key", secrets.token_hex(16))
        deadline = time.monotonic() + PATIENCE
        while True:
            is_last = time.monotonic() > deadline
            try:
                reply = handle(transport, request)
            except CUT:
                if is_last:
                    raise
                time.sleep(pause(None))
                continue
            if reply.status_code not in AWAY or is_last:
                return reply
            reply.close()
            time.sleep(pause(reply.headers.get("retry-after")))

    return again


def looked_again(reply: Any) -> None:
    """A page that did not come is asked for again, and a form that was not answered is sent again."""
    if reply.status in AWAY and reply.request.is_navigation_request():
        time.sleep(pause(reply.headers.get("retry-after")))
        reply.frame.page.reload()


def pytest_configure(config: pytest.Config) -> None:
    httpx2.HTTPTransport.handle_request = patient(httpx2.HTTPTransport.handle_request)  # type: ignore[method-assign]
    from playwright.sync_api import Browser

    new_context = Browser.new_context

    def of_a_patient_person(browser: Any, **options: Any) -> Any:
        context = new_context(browser, **options)
        context.on("response", looked_again)
        return context

    Browser.new_context = of_a_patient_person  # type: ignore[method-assign]
