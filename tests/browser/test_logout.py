"""Signing out in a real browser: what its rules for cookies, forms and redirects make of it (decision 32; T144)."""

from __future__ import annotations

from html import escape
from pathlib import Path
from urllib.parse import urlencode

import pytest
from playwright.sync_api import expect
from tests.browsing import Browser, a_user, an_app, signed_in
from tests.deployment import served
from tests.openid import identified
from tests.receiver import a_receiver

SCREENSHOTS = Path(__file__).parent / "screenshots"
HOST = "127.0.0.1"  # to a browser another site than localhost


@pytest.fixture(scope="module")
def doorward(tmp_path_factory):
    with served(tmp_path_factory.mktemp("logout")) as doorward:
        yield doorward


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    """The client's own server, which shows the page that a test wants."""
    with a_receiver(tmp_path_factory.mktemp("client"), HOST) as receiver:
        yield receiver


@pytest.fixture(scope="module")
def app(doorward, client):
    return an_app(doorward, name="Books", post_logout_redirect_uris=[client.url("/bye", HOST)])


@pytest.fixture(scope="module")
def ada(doorward):
    return a_user(doorward)


def shows(html: str):
    def answer(request):
        request.send_response(200)
        request.send_header("content-type", "text/html; charset=utf-8")
        request.end_headers()
        request.wfile.write(html.encode())

    return answer


@pytest.fixture
def here(doorward, ada) -> Browser:
    return signed_in(doorward, ada)


@pytest.fixture
def page(visit, doorward, here):
    """In which Ada is signed in."""
    page = visit()
    page.context.add_cookies(
        [
            {"name": name, "value": value, "url": doorward.issuer, "secure": True, "httpOnly": True, "sameSite": "Lax"}
            for name, value in here.cookies.items()
        ]
    )
    page.goto(f"{doorward.issuer}/account")
    expect(page.get_by_role("heading", level=1)).to_have_text("Your account")
    return page


def is_signed_out(page, doorward):
    page.goto(f"{doorward.issuer}/logout")
    expect(page.get_by_role("heading", level=1)).to_have_text("Signed out")


def test_the_answer_leads_back_to_the_client(page, doorward, client, app):
    """Chromium applies `form-action` to where the form's answer sends it."""
    client.answer = shows("<h1>Bye</h1>")
    bye = client.url("/bye", HOST)
    asked = {"client_id": app["client_id"], "post_logout_redirect_uri": bye, "state": "af0"}
    page.goto(f"{doorward.issuer}/oauth/logout?{urlencode(asked)}")
    expect(page.get_by_text("Then you go back to Books at 127.0.0.1")).to_be_visible()
    SCREENSHOTS.mkdir(exist_ok=True)
    page.screenshot(path=SCREENSHOTS / "logout-asked.png", full_page=True)
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Bye")
    assert page.url == f"{bye}?state=af0"
    is_signed_out(page, doorward)


@pytest.mark.parametrize("method", ["get", "post"])
def test_a_client_on_another_site_signs_its_user_out(page, doorward, client, app, here, method):
    """With a POST from there no cookie comes: the browser is sent round once more, with a GET."""
    bye = client.url("/bye", HOST)
    asked = {"id_token_hint": identified(here, app)["id_token"], "post_logout_redirect_uri": bye, "state": "af0"}
    fields = "".join(f'<input type="hidden" name="{name}" value="{escape(value)}">' for name, value in asked.items())
    form = f'<form method="{method}" action="{doorward.issuer}/oauth/logout">{fields}<button>Leave</button></form>'
    client.answer = shows(form)
    page.goto(client.url("/account", HOST))
    client.answer = shows("<h1>Bye</h1>")
    page.get_by_role("button", name="Leave").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Bye")
    assert page.url == f"{bye}?state=af0"
    is_signed_out(page, doorward)


def test_what_was_wrong_is_said_and_signing_out_is_still_possible(page, doorward, app):
    asked = {"client_id": app["client_id"], "post_logout_redirect_uri": "https://evil.example/", "ui_locales": "en"}
    page.goto(f"{doorward.issuer}/oauth/logout?{urlencode(asked)}")
    expect(page.get_by_role("alert")).to_contain_text("The post_logout_redirect_uri is not one")
    page.screenshot(path=SCREENSHOTS / "logout-refused.png", full_page=True)
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Signed out")
    page.screenshot(path=SCREENSHOTS / "logout-done.png", full_page=True)
