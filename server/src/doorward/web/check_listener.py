"""Where gateways of this machine ask: a Unix socket or a loopback port of its own, in plain HTTP (decisions 15 and 40).

Nothing but /check is answered there. Header fields tell of the request that is asked about, so that none of them is
taken for the way that the question itself came.
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from pathlib import Path

from doorward.protocol.load import GATEWAY, Rank
from doorward.settings import Refusal, StartRefused
from doorward.web.connection import LimitedProtocol
from doorward.web.gateway_checks import AT_LISTENER
from doorward.web.server import Listener
from doorward.web.sockets import BACKLOG, bind

# Its owner and his group: who else may ask is for the directory, or for chgrp, to say.
MODE = 0o660


class CheckProtocol(LimitedProtocol):
    is_gateways = True
    pipelined = GATEWAY.at_once

    def on_headers_complete(self) -> None:
        self._believed = self._suspicious = False
        self.scope[AT_LISTENER] = True  # type: ignore[literal-required]
        super().on_headers_complete()

    def rank(self) -> Rank:
        return GATEWAY


def listen(where: str | None) -> list[Listener]:
    """Raises StartRefused."""
    if where is None:
        return []
    if where.startswith("unix:"):
        return [(_unix(Path(where.removeprefix("unix:"))), CheckProtocol)]
    host, _, port = where.rpartition(":")
    return [(sock, CheckProtocol) for sock in bind(host.strip("[]"), int(port))]


def _unix(path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _remove_left_over(path)
        before = os.umask(0o777 & ~MODE)
        try:
            sock.bind(str(path))
        finally:
            os.umask(before)
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        ways = (
            "name a file in a directory that this user may write to, of at most 100 characters",
            "stop the program that listens there, if there is one",
            "use a loopback address instead: 127.0.0.1:8444",
        )
        text = (error.strerror or str(error)).lower()
        raise StartRefused(Refusal(f"check_listen {path} cannot be listened on: {text}", ways)) from None
    return sock


def _remove_left_over(path: Path) -> None:
    """A socket that nobody listens on any more. Raises OSError when somebody does."""
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise FileExistsError(0, "there is another file")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            try:
                probe.connect(str(path))
            except ConnectionRefusedError:
                path.unlink()
                return
        raise FileExistsError(0, "somebody listens there already")
