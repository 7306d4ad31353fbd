"""Logos of clients, fetched and drawn anew by us, so that no browser goes where they lie (T134).

What is no image that we can read, or does not come, is shown as the first letter of the client's name.
"""

from __future__ import annotations

import asyncio
import io
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import NamedTuple

from doorward.fetch import Fetch, FetchFailed
from doorward.protocol.entities import Client

FORMATS = ("PNG", "JPEG", "WEBP", "GIF")
ACCEPT = "image/png, image/jpeg, image/webp, image/gif"
SIDE = 128
# An image of a few bytes can unfold to gigabytes.
PIXEL_LIMIT = 4_000_000
LIFETIME, AFTER_FAILURE = 24 * 3600.0, 600.0
KEPT_LIMIT, AT_ONCE = 1000, 4
SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64"><rect width="64" height="64" rx="14" fill="#57657a"/>'
    '<text x="32" y="43" font-family="sans-serif" font-size="32" font-weight="600" fill="#ffffff" text-anchor="middle">'
    "{letter}</text></svg>"
)


class Drawn(NamedTuple):
    """An image as it is sent."""

    media_type: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Kept:
    uri: str
    until: float
    drawn: Drawn | None


class Logos:
    """What one worker holds: each logo is fetched by one request at a time, and failures are remembered too."""

    def __init__(self, fetch: Fetch, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._fetch, self._monotonic = fetch, monotonic
        self._kept: OrderedDict[str, Kept] = OrderedDict()
        self._under_way: dict[str, asyncio.Task[Kept]] = {}
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def of(self, client: Client) -> Drawn:
        uri = client.logo_uri or ""
        kept = self._kept.get(client.id)
        if kept is None or kept.uri != uri or self._monotonic() >= kept.until:
            kept = await self._fetched(uri)
            self._keep(client.id, kept)
        return kept.drawn or letter(client.name)

    async def _fetched(self, uri: str) -> Kept:
        task = self._under_way.get(uri)
        if task is None:
            task = self._under_way[uri] = asyncio.create_task(self._look(uri))
            task.add_done_callback(lambda _: self._under_way.pop(uri, None))
        # Whoever leaves ends his own waiting, and nobody else's.
        return await asyncio.shield(task)

    async def _look(self, uri: str) -> Kept:
        try:
            async with self._turns:
                answer = await self._fetch.get(uri, ACCEPT)
            if answer.status != 200:
                raise FetchFailed("wrong_type")
            drawn = Drawn("image/png", await asyncio.to_thread(redrawn, answer.body))
        except (FetchFailed, ValueError):
            return Kept(uri, self._monotonic() + AFTER_FAILURE, None)
        return Kept(uri, self._monotonic() + LIFETIME, drawn)

    def _keep(self, client_id: str, kept: Kept) -> None:
        self._kept[client_id] = kept
        self._kept.move_to_end(client_id)
        if len(self._kept) > KEPT_LIMIT:
            self._kept.popitem(last=False)


def redrawn(content: bytes) -> bytes:
    """A PNG of ours with nothing of the original but what it shows; raises ValueError for what is no image."""
    # Imported where there is something to draw: most deployments never need it.
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            if image.width * image.height > PIXEL_LIMIT:
                raise ValueError("the image is too large")
            shown = image.convert("RGBA")
    except (UnidentifiedImageError, OSError, SyntaxError, EOFError, Image.DecompressionBombError) as fault:
        raise ValueError("no image") from fault
    shown.thumbnail((SIDE, SIDE))
    out = io.BytesIO()
    shown.save(out, "PNG")
    return out.getvalue()


def letter(name: str) -> Drawn:
    first = next((one for one in name if one.isalnum()), "·")
    return Drawn("image/svg+xml", SVG.format(letter=escape(first.upper())).encode())
