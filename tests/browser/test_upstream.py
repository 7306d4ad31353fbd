"""The whole way in a browser: a client's request, our page, somebody else's oidc-provider, consent, and a code."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import expect
from tests.accessibility import violations
from tests.browsing import CALLBACK, address_of, an_app, asking, redeem
from tests.deployment import Doorward, Json, free_port, running, served
from tests.javascript import PROGRAMS
from tests.people import PASSWORD, a_user

SCREENSHOTS = Path(__file__).parent / "screenshots"
SECRET = "a secret: +/=%"


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def acme(javascript: list[str], port: int) -> Iterator[str]:
    """The provider's issuer."""
    number = free_port()
    callback = f"https://localhost:{port}/login/upstream/acme/callback"
    client = {"client_id": "doorward", "client_secret": SECRET, "redirect_uris": [callback]}
    given = json.dumps({"port": number, "client": client})
    with running([*javascript, str(PROGRAMS / "upstream.js"), given], "listens on", cwd=PROGRAMS):
        yield f"http://localhost:{number}"


@pytest.fixture(scope="module")
def doorward(acme: str, port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doorward]:
    """Its settings come from the environment, as in a container."""
    given = {
        "ISSUER": acme, "CLIENT_ID": "doorward", "CLIENT_SECRET": SECRET, "TITLE": "Acme",
        "FIRST_SIGN_IN": "verified_email", "EMAIL_DOMAINS": "acme.example",
    }  # fmt: skip
    variables = {f"DOORWARD__UPSTREAM__ACME__{name}": value for name, value in given.items()}
    with served(tmp_path_factory.mktemp("upstream"), port=port, variables=variables) as doorward:
        yield doorward


@pytest.fixture(scope="module")
def app(doorward: Doorward) -> Json:
    return an_app(doorward, name="Books")


def opened(visit: Any, **options: Any) -> Any:
    """The client's own page is not there: what it is told stands in the address. Nor is a font of the provider's."""
    page = visit(**options)
    page.route("https://fonts.googleapis.com/**", lambda route: route.fulfill(status=200, content_type="text/css"))
    page.route(f"{CALLBACK}**", lambda route: route.fulfill(status=200, body="Books"))
    return page


@pytest.fixture
def page(visit: Any) -> Any:
    return opened(visit)


def sign_in_there(page: Any, name: str, is_new: bool = True) -> None:
    """On the provider's pages, which ask a first time whether we may know of it."""
    page.get_by_placeholder("Enter any login").fill(name)
    page.get_by_placeholder("and password").fill("any")
    page.get_by_role("button", name="Sign-in").click()
    if is_new:
        page.get_by_role("button", name="Continue").click()


def told(page: Any) -> dict[str, str]:
    """What the client hears."""
    page.wait_for_url(f"{CALLBACK}**")
    return {name: values[0] for name, values in parse_qs(urlsplit(page.url).query).items()}


def test_a_user_signs_in_with_the_login_that_he_has_and_the_client_gets_its_code(doorward, app, acme, page, axe):
    ada = a_user(doorward, username="ada", email="ada@acme.example", email_verified=True)
    page.goto(doorward.issuer + address_of(asking(app, scope="openid email invoices:read")))
    page.get_by_role("link", name="Continue with Acme").click()
    assert page.url.startswith(acme)
    sign_in_there(page, "ada")
    expect(page.get_by_role("heading", level=1)).to_have_text("Allow Books?")
    page.get_by_role("button", name="Allow").click()
    answer = told(page)
    assert (answer["state"], answer["iss"]) == ("af0ifjsldkj", doorward.issuer)
    tokens = redeem(doorward, app, answer["code"], redirect_uri=CALLBACK).json()
    headers = {"authorization": f"Bearer {tokens['access_token']}"}
    userinfo = doorward.http.get("/oauth/userinfo", headers=headers).json()
    assert (userinfo["sub"], userinfo["email"]) == (ada["id"], "ada@acme.example")
    (login,) = doorward.v1("GET", f"/identities?user={ada['id']}").json()["items"]
    assert (login["subject"], login["issuer"]) == ("ada", acme)

    # Whoever has to sign in again does so there too, and comes back as the same user.
    page.goto(doorward.issuer + address_of(asking(app, scope="openid email invoices:read", prompt="login")))
    page.get_by_role("link", name="Continue with Acme").click()
    sign_in_there(page, "ada", is_new=False)
    assert "code" in told(page)

    page.goto(f"{doorward.issuer}/account")
    expect(page.get_by_role("heading", name="Linked logins")).to_be_visible()
    keep(page, "account-linked-login")
    assert violations(page, axe) == []
    page.get_by_role("button", name="Unlink Acme").click()
    expect(page.get_by_role("status")).to_contain_text("opens nothing here any more")


@pytest.mark.parametrize("name", ["nobody", "unverified-eve"])
def test_a_login_that_is_nobodys_here_is_said_to_be_and_another_way_is_open(doorward, app, page, name):
    """Eve has somebody's address there, which the provider does not vouch for."""
    a_user(doorward, username=f"{name}-here", email=f"{name}@acme.example", email_verified=name != "nobody")
    page.goto(doorward.issuer + address_of(asking(app, scope="invoices:read")))
    page.get_by_role("link", name="Continue with Acme").click()
    sign_in_there(page, name)
    expect(page.get_by_role("alert")).to_have_text("This login belongs to nobody here.")
    keep(page, "sign-in-elsewhere-refused")
    page.get_by_label("User name").fill(f"{name}-here")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name="Deny").click()
    assert told(page)["error"] == "access_denied"


def test_who_turns_back_there_is_on_our_page_again(doorward, app, acme, page):
    page.goto(doorward.issuer + address_of(asking(app, scope="invoices:read")))
    page.get_by_role("link", name="Continue with Acme").click()
    assert page.url.startswith(acme)
    page.get_by_role("link", name="Cancel").click()
    expect(page.get_by_role("alert")).to_have_text("The sign-in was cancelled or refused there.")
    expect(page.get_by_role("link", name="Continue with Acme")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_other_way_in_looks_like_one_and_is_reached_by_keyboard(visit, doorward, acme, axe, scheme):
    for name, size in (("wide", {"width": 1280, "height": 900}), ("phone", {"width": 320, "height": 720})):
        page = opened(visit, color_scheme=scheme, viewport=size)
        page.goto(f"{doorward.issuer}/login")
        keep(page, f"sign-in-upstream-{scheme}-{name}")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert violations(page, axe) == []
    for _ in range(3):
        page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Continue with Acme")).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_url(f"{acme}/**")


def keep(page: Any, name: str) -> None:
    SCREENSHOTS.mkdir(exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)
