"""A site of one's own as streams: its first page, and the scripts, styles and pages of the same origin it leads to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from urllib.parse import urljoin, urlsplit

from doorward.cli.failure import USAGE, Failure
from doorward.cli.scan_sources import Skipped, Source
from doorward.cli.scan_text import CHUNK

PAGES_LIMIT = 200
SIZE_LIMIT = 64 << 20
_LINK = re.compile(rb"""(?:src|href)\s*=\s*["']?([^"'\s>]+)|["'`]([\w./~-]+\.(?:m?js|json|map|css))["'`]""")


def of_site(url: str, skipped: Skipped) -> Iterator[Source]:
    """What leads elsewhere is left alone: to look through the sites of others is not ours."""
    import httpx2

    origin = urlsplit(url)
    if origin.scheme not in ("http", "https") or not origin.hostname:
        raise Failure(f"{url} is no address of a site", exit_code=USAGE)
    waiting, seen = [url], {url}
    with httpx2.Client(timeout=20, follow_redirects=False) as http:
        while waiting and len(seen) <= PAGES_LIMIT:
            here = waiting.pop(0)
            try:
                with http.stream("GET", here) as reply:
                    body = _at_most(reply.iter_bytes(CHUNK))
            except (httpx2.HTTPError, httpx2.InvalidURL) as fault:
                skipped.add(here, type(fault).__name__)
                continue
            yield Source(here, [body])
            for there in _leads_to(here, body):
                if there not in seen:
                    seen.add(there)
                    waiting.append(there)


def _at_most(chunks: Iterable[bytes]) -> bytes:
    """However much a page unfolds to."""
    body = bytearray()
    for chunk in chunks:
        body += chunk
        if len(body) >= SIZE_LIMIT:
            break
    return bytes(body[:SIZE_LIMIT])


def _leads_to(here: str, body: bytes) -> Iterator[str]:
    """Addresses of the same origin; what is none is passed over."""
    for found in _LINK.finditer(body):
        try:
            there = urljoin(here, (found[1] or found[2]).decode("latin-1")).partition("#")[0]
            is_here = urlsplit(there)[:2] == urlsplit(here)[:2]
        except ValueError:
            continue
        if is_here:
            yield there
