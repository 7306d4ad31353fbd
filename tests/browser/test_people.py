"""Pages as a person meets them: sign-in, consent, the account page, a new password; by mouse and by keyboard alone."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect
from tests.browsing import address_of, an_app, asking
from tests.deployment import served
from tests.people import PASSWORD, choose

FOCUS_IS_SEEN = """() => {
  const style = getComputedStyle(document.activeElement);
  return style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
}"""
BLOCKED = """put => new Promise(told => {
  addEventListener("securitypolicyviolation", blocked => told(blocked.effectiveDirective));
  const made = document.createElement(put.tag);
  made.textContent = put.text;
  for (const [name, value] of Object.entries(put.attributes ?? {})) made.setAttribute(name, value);
  document.body.append(made);
})"""


@pytest.fixture(scope="module")
def doorward(tmp_path_factory):
    with served(tmp_path_factory.mktemp("people")) as doorward:
        yield doorward


@pytest.fixture(scope="module")
def ada(doorward):
    """With a password and nothing else."""
    user = doorward.create("/users", username="ada", name="Ada Lovelace")
    choose(doorward, user, PASSWORD)
    return user


@pytest.fixture(scope="module")
def callback(doorward):
    """A page of another origin that answers: our own icon, by the other name of this machine."""
    return f"{doorward.issuer.replace('localhost', '127.0.0.1')}/static/icon.svg"


@pytest.fixture(scope="module")
def books(doorward, callback):
    return an_app(doorward, name="Bookkeeping by Mill & Sons", redirect_uris=[callback])


@pytest.fixture
def page(visit):
    return visit()


def sign_in(page, doorward, password=PASSWORD):
    page.goto(f"{doorward.issuer}/login")
    page.get_by_label("User name").fill("ada")
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()


def test_a_wrong_password_is_said_and_the_name_need_not_be_typed_again(page, doorward, ada):
    sign_in(page, doorward, "wrong")
    expect(page.get_by_role("alert")).to_have_text("The user name or the password is wrong.")
    expect(page.get_by_label("User name")).to_have_value("ada")
    expect(page.get_by_label("Password")).to_be_focused()
    expect(page.get_by_label("Password")).to_have_value("")


def walk_to(page, target):
    """By the Tab key, from wherever one is; where one is must be seen all the way."""
    expect(target).to_be_visible()
    for _ in range(20):
        page.keyboard.press("Tab")
        assert page.evaluate(FOCUS_IS_SEEN)
        if target.evaluate("it => it === document.activeElement"):
            return
    raise AssertionError(f"{target} is not reached")


def connect(page, doorward, books):
    """As far as the question whether the app may."""
    page.goto(
        doorward.issuer
        + address_of(asking(books, scope="invoices:read invoices:write", redirect_uri=books["redirect_uris"][0]))
    )
    expect(page.get_by_label("User name")).to_be_focused()
    page.keyboard.type("ada")
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Allow Bookkeeping by Mill & Sons?")


def test_an_app_is_allowed_in_part_and_disconnected_with_the_keyboard_alone(page, doorward, ada, books, callback):
    connect(page, doorward, books)
    walk_to(page, page.get_by_label("Create and change invoices"))
    page.keyboard.press("Space")
    walk_to(page, page.get_by_role("button", name="Allow"))
    page.keyboard.press("Enter")
    page.wait_for_url(f"{callback}?code=**")
    page.goto(f"{doorward.issuer}/account")
    expect(page.get_by_text("Read your invoices")).to_be_visible()
    expect(page.get_by_text("Create and change invoices")).to_have_count(0)
    walk_to(page, page.get_by_role("button", name="Disconnect Bookkeeping"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("The app is disconnected")
    expect(page.get_by_text("No app acts for you.")).to_be_visible()
    (ended,) = doorward.v1("GET", f"/grants?user=ada&client={books['client_id']}").json()["items"]
    assert ended["revoked_at"] is not None
    walk_to(page, page.get_by_role("button", name="Sign out"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Signed out")


def test_no_is_said_with_the_keyboard_alone(page, doorward, ada, books, callback):
    connect(page, doorward, books)
    walk_to(page, page.get_by_role("button", name="Deny"))
    page.keyboard.press("Enter")
    page.wait_for_url(f"{callback}?error=access_denied**")


def test_a_reset_link_leads_to_a_new_password(page, doorward):
    doorward.create("/users", username="grace")
    link = doorward.v1("POST", "/users/grace/reset-password").json()["link"]
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


def test_a_page_speaks_the_readers_language(visit, doorward, ada):
    page = visit(locale="de-AT")
    page.goto(f"{doorward.issuer}/login")
    assert page.locator("html").get_attribute("lang") == "de"
    expect(page.get_by_role("heading", level=1)).to_have_text("Anmelden")
    page.goto(f"{doorward.issuer}/login?ui_locales=en")
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")


@pytest.fixture
def policed(chromium):
    """Its console may complain."""
    context = chromium.new_context(ignore_https_errors=True)
    yield context.new_page()
    context.close()


@pytest.mark.parametrize(
    ("put", "directive"),
    [
        ({"tag": "script", "text": "window.ran = true"}, "script-src-elem"),
        ({"tag": "style", "text": "body { display: none }"}, "style-src-elem"),
        ({"tag": "p", "text": "", "attributes": {"style": "color: red"}}, "style-src-attr"),
        ({"tag": "p", "text": "", "attributes": {"onclick": "window.ran = true"}}, "script-src-attr"),
        ({"tag": "img", "text": "", "attributes": {"src": "https://evil.example/x.png"}}, "img-src"),
        ({"tag": "script", "text": "", "attributes": {"src": "https://evil.example/x.js"}}, "script-src-elem"),
        ({"tag": "iframe", "text": "", "attributes": {"src": "https://evil.example/"}}, "frame-src"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_somebody_could_put_into_a_page_does_nothing(policed, doorward, put, directive):
    """T143, by the browser itself."""
    policed.goto(f"{doorward.issuer}/login")
    assert policed.evaluate(BLOCKED, put) == directive
    assert policed.evaluate("'ran' in window") is False


def test_no_other_page_frames_ours(policed, doorward):
    """T142, by the browser itself."""
    around = f'<iframe src="{doorward.issuer}/login"></iframe>'
    policed.route("https://evil.example/**", lambda route: route.fulfill(content_type="text/html", body=around))
    policed.goto("https://evil.example/")
    inside = policed.frames[1]
    inside.wait_for_load_state()
    assert inside.url == "chrome-error://chromewebdata/"
