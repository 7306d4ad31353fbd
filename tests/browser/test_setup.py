"""The setup page as a person meets it: the link from the terminal, one click, a key that is shown once."""

import re

import httpx2
import pytest
from playwright.sync_api import expect
from tests.deployment import command, free_port, running
from tests.people import PASSWORD


@pytest.fixture(scope="module")
def link(tmp_path_factory):
    """The one-time link of a server that nobody has set up yet; the last test uses it."""
    directory = tmp_path_factory.mktemp("setup")
    argv = command("--data-dir", directory / "data", "serve", "--port", free_port())
    with running(argv, "Ctrl-C", cwd=directory):
        yield (directory / "data" / "setup-link").read_text().strip()


@pytest.fixture
def page(chromium):
    """A page that must stay silent: a blocked script or style is an error in its console."""
    context = chromium.new_context(ignore_https_errors=True)
    page, said = context.new_page(), []
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    yield page
    context.close()
    assert [text for text in said if "410" not in text and "422" not in text] == []


def create(page, password=PASSWORD):
    page.get_by_label("User name").fill("ada")
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Create administrator").click()


def create_by_keyboard(page):
    """From the first field, where the name stands already."""
    page.get_by_label("User name").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Control+A")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")


def test_without_a_token_the_page_says_where_it_comes_from(page, link):
    page.goto(link.partition("#")[0])
    expect(page.get_by_text("needs the token of a setup link")).to_be_visible()
    expect(page.get_by_role("button", name="Create administrator")).to_be_hidden()


def test_the_reference_shows_every_reason(page, link):
    origin = link.partition("/setup")[0]
    page.goto(f"{origin}/v1/docs#reason-insufficient_scope")
    expect(page.locator("#reason-insufficient_scope")).to_be_in_viewport()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_first_administrator_gets_a_key_and_signs_in_and_the_link_is_spent(page, link):
    page.goto(link)
    assert "#" not in page.url, "the token leaves the address bar at once"
    create(page, password="ada-ada-ada-ada")
    expect(page.get_by_role("status")).to_contain_text("too easy to guess")
    create_by_keyboard(page)
    expect(page.get_by_role("heading", level=1)).to_have_text("Your admin key")
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    shown = page.get_by_label("Admin key").input_value()
    assert re.fullmatch(r"dwa_live_[0-9A-Za-z]{50}", shown)
    origin = page.url.rpartition("/")[0]
    reply = httpx2.get(f"{origin}/v1/apis", headers={"authorization": f"Bearer {shown}"}, verify=False)
    assert reply.status_code == 200

    page.get_by_role("link", name="/login").click()
    page.get_by_label("User name").fill("Ada")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Your account")

    page.goto("about:blank")
    page.goto(link)
    create(page)
    expect(page.get_by_role("status")).to_contain_text("not valid any more")
    expect(page.get_by_label("Admin key")).to_be_hidden()
