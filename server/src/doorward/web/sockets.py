"""The sockets that a server listens on, and why one cannot be had."""

import errno
import socket

from doorward.settings import Refusal, StartRefused, address_of

BACKLOG = 2048


def bind(host: str, port: int) -> list[socket.socket]:
    """One listening socket per address; localhost is 127.0.0.1 and, where there is IPv6, ::1."""
    addresses = ["127.0.0.1", "::1"] if host.lower() == "localhost" else _resolve(host)
    sockets: list[socket.socket] = []
    for address in addresses:
        try:
            sockets.append(_listen(address, port))
        except OSError as error:
            if address == "::1" and sockets and error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                continue
            for sock in sockets:
                sock.close()
            raise StartRefused(_no_listener(address, port, error)) from None
    return sockets


def _resolve(host: str) -> list[str]:
    if address_of(host) is not None:
        return [host.strip("[]")]
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise StartRefused(_no_listener(host, 0, error)) from None
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def _no_listener(host: str, port: int, error: OSError) -> Refusal:
    ways = (
        "stop the program that listens there, if there is one",
        "choose another port with --port",
        "choose an address of this machine with --host",
    )
    return Refusal(f"{host} port {port} cannot be listened on: {(error.strerror or 'unknown').lower()}", ways)


def _listen(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Accepted connections inherit it; without it a small answer waits 40 ms for an acknowledgement.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((address, port))
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock
