"""The yardstick: an ASGI application that reads a POST body and answers "ok", served twice.

bare.py doorward PORT     by the class that serves Doorward
bare.py uvicorn PORT      by plain uvicorn (uvloop, httptools)
"""

from __future__ import annotations

import socket
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn

from doorward.web.server import Worker
from doorward.web.sockets import bind

BODY = b'{"status":"ok"}'
HEADERS = [(b"content-type", b"application/json"), (b"content-length", str(len(BODY)).encode())]


async def application(scope: Any, receive: Any, send: Any) -> None:
    assert scope["type"] == "http"
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": BODY})


@asynccontextmanager
async def running(_node: int) -> AsyncGenerator[Any]:
    yield application


def serve_as_doorward_does(port: int) -> None:
    Worker(running, bind("127.0.0.1", port)).run(0, lambda: print("ready", flush=True))


class AnnouncedServer(uvicorn.Server):
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        print("ready", flush=True)


def serve_as_uvicorn_does(port: int) -> None:
    config = uvicorn.Config(application, port=port, loop="uvloop", http="httptools", access_log=False, log_config=None)
    AnnouncedServer(config).run()


if __name__ == "__main__":
    {"doorward": serve_as_doorward_does, "uvicorn": serve_as_uvicorn_does}[sys.argv[1]](int(sys.argv[2]))
