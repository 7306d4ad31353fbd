"""Debian's Chromium, driven by Playwright; in a browser that must stay silent."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.left_out import left_out

MISSING = "Chromium is missing: `apt-get install chromium`"
# Nothing is fetched from elsewhere, and a container needs no sandbox of its own.
ARGUMENTS = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-gpu"]

# Where nodes are killed meanwhile (`faults/stand_in.py`), a page may say so.
AWAY = ("the server responded with a status of 50",) if "STAND_IN" in os.environ else ()
PATIENCE = 30_000  # milliseconds, for slow machines


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """No longer than its module: while Playwright is there, nothing else of the process has an event loop."""
    program = os.environ.get("CHROMIUM", shutil.which("chromium"))
    if program is None:
        raise left_out(MISSING)
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium: Any) -> Iterator[Callable[..., Any]]:
    """Opens a browser that must stay silent: a blocked script or style is an error in its console."""
    contexts: list[Any] = []
    said: list[str] = []

    def visit(**options: Any) -> Any:
        context = chromium.new_context(ignore_https_errors=True, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        return page

    yield visit
    for context in contexts:
        context.close()
    refused = "the server responded with a status of 4", *AWAY
    assert [text for text in said if not any(words in text for words in refused)] == []
