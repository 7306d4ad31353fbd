"""A site of one's own as streams: its first page, and the scripts, styles and pages of the same origin it leads to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urljoin, urlsplit

from doorward.cli.failure import USAGE, Failure
from doorward.cli.scan_sources import Skipped, Source

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
                body = http.get(here).content[:SIZE_LIMIT]
            except httpx2.TransportError as fault:
                skipped.add(here, type(fault).__name__)
                continue
            yield Source(here, [body])
            for found in _LINK.finditer(body):
                there = urljoin(here, (found[1] or found[2]).decode("latin-1")).partition("#")[0]
                if urlsplit(there)[:2] == origin[:2] and there not in seen:
                    seen.add(there)
                    waiting.append(there)
