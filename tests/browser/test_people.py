"""Pages as a person meets them: sign-in, the account page, a new password; by eye, by keyboard, on a telephone.

What a page looked like is kept in tests/browser/screenshots, in the light and in the dark.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy
from playwright.sync_api import expect, sync_playwright
from tests.deployment import served
from tests.people import PASSWORD, choose

ARGUMENTS = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-gpu"]
SCREENSHOTS = Path(__file__).parent / "screenshots"
PHONE = {"width": 320, "height": 720}


@pytest.fixture(scope="module")
def doorward(tmp_path_factory):
    with served(tmp_path_factory.mktemp("people")) as doorward:
        yield doorward


@pytest.fixture(scope="module")
def ada(doorward):
    """With an app that acts for her, keys of her account, and a password."""
    account, api = doorward.an_account(id="acme"), doorward.an_api(name="Invoices")
    user = doorward.create("/users", username="ada", name="Ada Lovelace", email="ada@example.com", email_verified=True)
    doorward.create("/memberships", user="ada", account="acme", role="owner")
    for name in ("nightly export", "a key with quite a long name that wraps on a telephone's narrow screen"):
        doorward.a_key(account=account["id"], api=api["identifier"], name=name)
    client = doorward.a_client(account=account["id"], api=api["identifier"], name="Bookkeeping by Mill & Sons")
    engine = sqlalchemy.create_engine(f"sqlite:///{doorward.directory / 'doorward.db'}")
    with engine.begin() as connection:
        connection.execute(
            sqlalchemy.text(
                "INSERT INTO grants (id, client_id, api_id, scope, created_at, version, user_id, claims) "
                "VALUES ('grant_ada', :client, :api, 'invoices:read invoices:write', 1795600000, 1, :user, '{}')"
            ),
            {"client": client["client_id"], "api": api["id"], "user": user["id"]},
        )
    engine.dispose()
    choose(doorward, user, PASSWORD)
    return user


@pytest.fixture(scope="module")
def chromium():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium):
    """Opens a browser that must stay silent: a blocked script or style is an error in its console."""
    contexts, said = [], []

    def visit(**options):
        context = chromium.new_context(ignore_https_errors=True, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        return page

    yield visit
    for context in contexts:
        context.close()
    assert [text for text in said if "the server responded with a status of 4" not in text] == []


def sign_in(page, doorward, password=PASSWORD):
    page.goto(f"{doorward.issuer}/login")
    page.get_by_label("User name").fill("ada")
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()


def fits(page):
    return page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def keep(page, name):
    SCREENSHOTS.mkdir(exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)


def test_a_wrong_password_is_said_and_the_name_need_not_be_typed_again(visit, doorward, ada):
    page = visit()
    sign_in(page, doorward, "wrong")
    expect(page.get_by_role("alert")).to_have_text("The user name or the password is wrong.")
    expect(page.get_by_label("User name")).to_have_value("ada")
    expect(page.get_by_label("Password")).to_be_focused()
    expect(page.get_by_label("Password")).to_have_value("")


def test_everything_can_be_done_with_the_keyboard(visit, doorward, ada):
    page = visit()
    page.goto(f"{doorward.issuer}/login")
    expect(page.get_by_label("User name")).to_be_focused()
    page.keyboard.type("ada")
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Your account")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Sign out")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Disconnect Bookkeeping")).to_be_focused()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")


def test_a_reset_link_leads_to_a_new_password(visit, doorward):
    doorward.create("/users", username="grace")
    link = doorward.v1("POST", "/users/grace/reset-password").json()["link"]
    page = visit()
    page.goto(link)
    expect(page.get_by_label("New password")).to_be_focused()
    assert "#" not in page.url, "the token leaves the address bar at once"
    page.keyboard.type("grace-hopper-1906")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("The password cannot be used")
    page.get_by_label("New password").fill("a compiler of one's own")
    page.get_by_role("button", name="Change the password").click()
    expect(page.get_by_role("status")).to_contain_text("Your password is changed")
    page.get_by_role("link", name="Sign in").click()
    page.get_by_label("User name").fill("Grace")
    page.get_by_label("Password").fill("a compiler of one's own")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Your account")
    page.goto(f"{doorward.issuer}/reset")
    page.goto(link)
    page.get_by_label("New password").fill("yet another password")
    page.get_by_role("button", name="Change the password").click()
    expect(page.get_by_role("alert")).to_contain_text("used, replaced or is too old")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("name", "size"), [("wide", {"width": 1280, "height": 900}), ("phone", PHONE)])
def test_no_page_overflows_and_each_is_kept_as_it_looked(visit, doorward, ada, scheme, name, size):
    page = visit(color_scheme=scheme, viewport=size)
    page.goto(f"{doorward.issuer}/login")
    assert fits(page)
    keep(page, f"sign-in-{scheme}-{name}")
    sign_in(page, doorward, "wrong")
    assert fits(page)
    keep(page, f"sign-in-refused-{scheme}-{name}")
    sign_in(page, doorward)
    expect(page.get_by_role("heading", name="Connected apps")).to_be_visible()
    assert fits(page)
    keep(page, f"account-{scheme}-{name}")
    for path in ("logout", "reset"):
        page.goto(f"{doorward.issuer}/{path}")
        assert fits(page)
        keep(page, f"{path}-{scheme}-{name}")
    page.goto(doorward.v1("POST", "/users/ada/reset-password").json()["link"])
    keep(page, f"reset-link-{scheme}-{name}")
    page.goto(f"{doorward.issuer}/account/apps")
    assert fits(page)
    keep(page, f"refused-{scheme}-{name}")


def test_a_page_speaks_the_readers_language(visit, doorward, ada):
    page = visit(locale="de-AT")
    page.goto(f"{doorward.issuer}/login")
    assert page.locator("html").get_attribute("lang") == "de"
    expect(page.get_by_role("heading", level=1)).to_have_text("Anmelden")
    page.goto(f"{doorward.issuer}/login?ui_locales=en")
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")


def test_an_app_is_disconnected_where_it_is_seen(visit, doorward, ada):
    page = visit()
    sign_in(page, doorward)
    expect(page.get_by_text("Create and change invoices")).to_be_visible()
    page.get_by_role("button", name="Disconnect Bookkeeping").click()
    expect(page.get_by_role("status")).to_contain_text("The app is disconnected")
    expect(page.get_by_text("No app acts for you.")).to_be_visible()
    assert doorward.v1("GET", "/audit?type=GrantRevoked").json()["items"][0]["data"]["grant_id"] == "grant_ada"
