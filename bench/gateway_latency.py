"""What asking Doorward adds to a request through nginx: paced at half of what the pair can do, beside nginx alone."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Generator
from pathlib import Path
from statistics import median

import machine
from doorward_server import Doorward
from figures import Figure
from load import Request, measure
from processes import COMMAND, Child, free_port, pinned, wait_for

ROUNDS = 5
SECONDS = 1
CONNECTIONS = 16
TARGET = "/ES256/7"
KINDS = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


def run(doorward: Doorward, place: Path) -> list[Figure]:
    """Nothing where nginx is not installed."""
    nginx = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if nginx is None:
        return []
    asked, alone = free_port(), free_port()
    with _standing(nginx, doorward, place, (asked, alone)) as child:
        url = f"http://127.0.0.1:{asked}{TARGET}"
        most = measure(
            Request("nginx", child, url, "ok", method="GET", authorization=f"Bearer {doorward.api_key}"), SECONDS
        )
        rate = most.per_second / 2
        pairs = [[_median(port, rate, doorward.api_key) for port in (asked, alone)] for _ in range(ROUNDS)]
    added = [1000 * (with_check - without) for with_check, without in pairs]
    return [
        Figure("requests through nginx that asks, at most", "/s", [most.per_second]),
        Figure("latency that asking adds at half of that, p50", "ms", added, required=1.0),
    ]


@contextlib.contextmanager
def _standing(nginx: str, doorward: Doorward, place: Path, ports: tuple[int, int]) -> Generator[Child]:
    """The generated configuration without TLS, which is the same on both ways, and a way past the question."""
    asked, alone = ports
    backend, file = free_port(), place / "doorward.conf"
    words = ["--check", doorward.check_url, "--upstream", f"http://127.0.0.1:{backend}", "--plaintext", "off"]
    words += ["--listen", f"127.0.0.1:{asked}", "-o", str(file)]
    subprocess.run([COMMAND, "gateway", "config", "nginx", *words], check=True, capture_output=True)
    kept = [line for line in file.read_text().splitlines() if "ssl_" not in line and "_log " not in line]
    file.write_text("\n".join(kept).replace(" ssl;", ";"))
    (place / "nginx.conf").write_text(
        f"daemon off; worker_processes 1; error_log stderr crit; pid {place}/nginx.pid; events {{}}\n"
        f"http {{ access_log off; {''.join(f'{kind}_temp_path {place}/{kind}; ' for kind in KINDS)} include {file};\n"
        f"server {{ listen 127.0.0.1:{backend}; keepalive_requests 10000000; location / {{ return 200 ok; }} }}\n"
        f"server {{ listen 127.0.0.1:{alone}; location / {{ proxy_pass http://doorward_service; proxy_http_version 1.1;"
        ' proxy_set_header Connection ""; } } }\n'
    )
    command = pinned(machine.SERVER_CORE, [nginx, "-e", "stderr", "-p", str(place), "-c", str(place / "nginx.conf")])
    process = subprocess.Popen(command, text=True)
    try:
        wait_for(asked)
        yield Child(process)
    finally:
        process.terminate()
        process.wait()


def _median(port: int, rate: float, key: str) -> float:
    return asyncio.run(_paced(port, rate, key))


async def _paced(port: int, rate: float, key: str) -> float:
    """Each connection has its share of the rate and begins when it is due; one that is late does not hurry."""
    begin = time.perf_counter() + 0.05
    each = [_one(port, begin + number / rate, CONNECTIONS / rate, key) for number in range(CONNECTIONS)]
    return median([took for found in await asyncio.gather(*each) for took in found])


async def _one(port: int, due: float, every: float, key: str) -> list[float]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    raw = f"GET {TARGET} HTTP/1.1\r\nHost: api.example.com\r\nAuthorization: Bearer {key}\r\n\r\n".encode()
    found, ends_at = [], due + SECONDS
    while due < ends_at:
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        due = max(due, time.perf_counter() - every)
        begun = time.perf_counter()
        writer.write(raw)
        head = await reader.readuntil(b"\r\n\r\n")
        body = await reader.readexactly(2)
        found.append(time.perf_counter() - begun)
        if b" 200 " not in head or body != b"ok":
            raise SystemExit(f"nginx answered {head!r}")
        due += every
    writer.close()
    await writer.wait_closed()
    return found
