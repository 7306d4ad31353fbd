"""Where Envoy asks by gRPC: a loopback port of its own, for envoy.service.auth.v3.Authorization/Check alone.

Wants the extra `doorward[envoy]`. It is imported by the worker that serves, never before a fork.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import grpc

from doorward import deadline
from doorward.protocol import envoy_check, gateway
from doorward.protocol.load import GATEWAY
from doorward.protocol.refusal import InternalError
from doorward.web.gateway_checks import GRPC, Checks, denied
from doorward.web.incoming import Incoming
from doorward.web.refused import REFUSED, refuse
from doorward.web.replies import Reply

SERVICE, METHOD = GRPC.removeprefix("/").split("/")
MESSAGE_LIMIT = 64 * 1024
OPTIONS = (("grpc.so_reuseport", 1), ("grpc.max_receive_message_length", MESSAGE_LIMIT))
GRACE = 2.0

log = logging.getLogger("doorward.envoy")


@asynccontextmanager
async def listening(checks: Checks, where: str) -> AsyncGenerator[None]:
    """Every worker listens at the same port."""
    server = grpc.aio.server(options=OPTIONS, maximum_concurrent_rpcs=GATEWAY.at_once + GATEWAY.queue)
    check = grpc.unary_unary_rpc_method_handler(_answering(checks))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {METHOD: check}),))
    server.add_insecure_port(where)
    await server.start()
    try:
        yield
    finally:
        await server.stop(GRACE)


def _answering(checks: Checks) -> Any:
    """Messages are bytes: what they mean is read and written in `protocol`."""

    async def answer(message: bytes, _: Any) -> bytes:
        scope: Any = {"type": "http", "method": "POST", "path": GRPC, "headers": []}
        incoming = Incoming(scope, _nothing, checks.runtime)
        deadline.begin(time.monotonic() + GATEWAY.within)
        try:
            reply = await _reply(checks, message, incoming)
        except REFUSED as fault:
            reply = refuse(fault, incoming, denied)
        except Exception as fault:
            # A fault of ours, told without its input (T202), and no yes.
            log.error("a question was not answered: %s", type(fault).__name__)
            reply = refuse(InternalError("the server failed", detail=type(fault).__name__), incoming, denied)
        checks.runtime.metrics.answered("/check", reply.status)
        request_id = (b"x-request-id", incoming.request_id.encode())
        return envoy_check.answer(reply.status, [*reply.headers, request_id], reply.body)

    return answer


async def _reply(checks: Checks, message: bytes, incoming: Incoming) -> Reply:
    try:
        asked = envoy_check.asked(message)
    except ValueError:
        raise gateway.refused("the question is no message of this kind") from None
    return await checks.decided(GRPC, envoy_check.request(asked, checks.runtime.policy.brand), incoming)


async def _nothing() -> Any:
    raise AssertionError("there is no body")
