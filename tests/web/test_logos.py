"""Logos of clients: fetched once, drawn anew, and never more than a picture (T134)."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from PIL import Image
from tests.protocol.given import a_client

from doorward.fetch import Answer, FetchFailed
from doorward.web.logos import AFTER_FAILURE, KEPT_LIMIT, LIFETIME, SIDE, Logos, letter, redrawn

URI = "https://client.example/logo.png"


def an_image(form: str = "PNG", size: tuple[int, int] = (300, 100), **options: Any) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, (67, 56, 202)).save(out, form, **options)
    return out.getvalue()


def a_client_with(uri: str = URI, id_: str = "client_1") -> Any:
    return replace(a_client().client, id=id_, name="Books", logo_uri=uri)


class Site:
    """What clients' servers answer, and how often they were asked."""

    def __init__(self, content: bytes = b"", status: int = 200) -> None:
        self.answer: Callable[[], Answer] = lambda: Answer(status, {}, content)
        self.asked = 0
        self.before: Callable[[], Awaitable[None]] = lambda: asyncio.sleep(0)

    async def get(self, url: str, accept: str) -> Answer:
        self.asked += 1
        assert "image/svg+xml" not in accept
        await self.before()
        return self.answer()


class TestRedrawn:
    @pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "GIF"])
    def test_it_is_a_small_png_whatever_it_was(self, form: str) -> None:
        with Image.open(io.BytesIO(redrawn(an_image(form)))) as drawn:
            assert (drawn.format, drawn.size) == ("PNG", (SIDE, round(SIDE / 3)))

    def test_nothing_is_left_of_what_was_written_into_it(self) -> None:
        image = an_image("JPEG", comment=b"<script>alert(1)</script>")
        assert b"alert" in image
        assert b"alert" not in redrawn(image)

    @pytest.mark.parametrize(
        "content",
        [
            b"", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"<!doctype html>", b"\x89PNG\r\n\x1a\n",
            b"GIF89a" + b"\xff" * 40,
            an_image()[:60], an_image("BMP"), an_image("TIFF"), an_image(size=(3000, 3000)),
        ],
    )  # fmt: skip
    def test_what_is_no_such_image_or_unfolds_too_far_is_refused(self, content: bytes) -> None:
        with pytest.raises(ValueError, match="image"):
            redrawn(content)


class TestLetter:
    @pytest.mark.parametrize(("name", "shown"), [("books", "B"), ("«Éclair»", "É"), ("\u202ex", "X"), ("…", "·")])
    def test_it_is_the_first_of_the_name(self, name: str, shown: str) -> None:
        assert f">{shown}</text>" in letter(name).content.decode()


class TestLogos:
    def test_one_that_is_asked_for_by_many_is_fetched_once_and_kept(self) -> None:
        site, now = Site(an_image()), [0.0]
        logos = Logos(site, lambda: now[0])  # type: ignore[arg-type]

        async def ask() -> None:
            drawn = await asyncio.gather(*(logos.of(a_client_with()) for _ in range(20)))
            assert {one.media_type for one in drawn} == {"image/png"}
            now[0] = LIFETIME - 1
            await logos.of(a_client_with())
            assert site.asked == 1
            now[0] = LIFETIME
            await logos.of(a_client_with())
            assert site.asked == 2
            await logos.of(a_client_with("https://client.example/other.png"))
            assert site.asked == 3

        asyncio.run(ask())

    @pytest.mark.parametrize("how", ["unreachable", "status", "no image"])
    def test_where_there_is_none_it_is_a_letter_and_asked_for_again_later(self, how: str) -> None:
        site, now = Site(b"<html>", 404 if how == "status" else 200), [0.0]
        if how == "unreachable":

            def fail() -> Answer:
                raise FetchFailed("unreachable")

            site.answer = fail
        logos = Logos(site, lambda: now[0])  # type: ignore[arg-type]

        async def ask() -> None:
            assert (await logos.of(a_client_with())) == letter("Books")
            now[0] = AFTER_FAILURE - 1
            await logos.of(a_client_with())
            assert site.asked == 1
            now[0] = AFTER_FAILURE
            site.answer = lambda: Answer(200, {}, an_image())
            assert (await logos.of(a_client_with())).media_type == "image/png"

        asyncio.run(ask())

    def test_whoever_leaves_ends_his_own_waiting_alone(self) -> None:
        site = Site(an_image())
        logos = Logos(site)  # type: ignore[arg-type]

        async def ask() -> None:
            going = asyncio.Event()
            site.before = lambda: going.wait()  # type: ignore[assignment,return-value]
            first, second = (asyncio.create_task(logos.of(a_client_with())) for _ in range(2))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            first.cancel()
            going.set()
            assert (await second).media_type == "image/png"

        asyncio.run(ask())

    def test_what_is_kept_is_bounded(self) -> None:
        logos = Logos(Site(b"no image"))  # type: ignore[arg-type]

        async def ask() -> None:
            for number in range(KEPT_LIMIT + 10):
                await logos.of(a_client_with(f"{URI}?{number}", f"client_{number}"))

        asyncio.run(ask())
        assert len(logos._kept) == KEPT_LIMIT
