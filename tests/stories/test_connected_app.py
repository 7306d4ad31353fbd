"""Somebody connects an app to her invoices, sees it among her connected apps, and thinks better of it.

In a real browser, with the two example apps and the example api as their READMEs start them.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect
from tests.deployment import API, SCOPES, Doorward, Json, free_port, running, served
from tests.faults.figures import Figure
from tests.people import PASSWORD, choose

ROOT = Path(__file__).parents[2]
SCREENSHOTS = ROOT / "tests/browser/screenshots"
PHONE = {"width": 320, "height": 720}
PROMISE = 1.0
# The promise is a second; slow machines get more.
DEADLINE = 30.0

pytestmark = pytest.mark.slow


@dataclass
class World:
    """A server, the api behind Guard, and both apps; `clients` are theirs."""

    doorward: Doorward
    books: str = field(default_factory=lambda: f"https://localhost:{free_port()}")
    spa: str = field(default_factory=lambda: f"https://localhost:{free_port()}")
    api: str = field(default_factory=lambda: f"https://localhost:{free_port()}")
    clients: dict[str, Json] = field(default_factory=dict, repr=False)

    @property
    def certificate(self) -> str:
        return str(self.doorward.directory / "server.pem")

    def runs(self, words: list[str], announcement: str, **variables: str) -> Any:
        own = {"DOORWARD_ISSUER": self.doorward.issuer, "DOORWARD_CA_FILE": str(self.doorward.directory / "ca.pem")}
        environment = {
            **os.environ,
            **own,
            "INVOICES_URL": f"{self.api}/invoices",
            "PYTHONUNBUFFERED": "1",
            **variables,
        }
        return running([sys.executable, *words], announcement, cwd=self.doorward.directory, env=environment)


def port(url: str) -> str:
    return url.rpartition(":")[2]


def named(client: Json) -> dict[str, str]:
    """As `-o env` prints it."""
    secret = {"DOORWARD_CLIENT_SECRET": client["client_secret"]} if client.get("client_secret") else {}
    return {"DOORWARD_CLIENT_ID": client["client_id"], **secret}


def fill(world: World) -> None:
    """What the READMEs make: the api, its customer and hers, and the two clients."""
    doorward = world.doorward
    doorward.an_api(identifier=API, name="Invoices", scopes=SCOPES)
    for id_, name in (("acme", "Acme Inc"), ("mill", "Mill & Sons")):
        doorward.an_account(id=id_, name=name)
    user = doorward.create("/users", username="ada", name="Ada Lovelace")
    doorward.create("/memberships", user="ada", account="acme", role="owner")
    choose(doorward, user, PASSWORD)
    asks: Json = {
        "api": API, "account": "mill", "scope": "invoices:read",
        "grant_types": ["authorization_code", "refresh_token"],
    }  # fmt: skip
    world.clients["books"] = doorward.a_client(
        name="Mill & Sons Bookkeeping", redirect_uris=[f"{world.books}/callback"], **asks
    )
    world.clients["spa"] = doorward.a_client(
        name="Invoice viewer", token_endpoint_auth_method="none", redirect_uris=[f"{world.spa}/"],
        post_logout_redirect_uris=[f"{world.spa}/"], **asks,
    )  # fmt: skip


@pytest.fixture(scope="module")
def world(chromium: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with served(tmp_path_factory.mktemp("connected")) as doorward:
        world = World(doorward)
        fill(world)
        verifier = doorward.a_verifier(api=API)
        guard = {"DOORWARD_VERIFIER_ID": verifier["client_id"], "DOORWARD_VERIFIER_SECRET": verifier["client_secret"]}
        tls = world.certificate
        examples = ROOT / "examples"
        invoices = [
            "-m", "uvicorn", "invoices_api:app", "--app-dir", str(examples / "invoices-api"), "--port", port(world.api),
            "--ssl-certfile", tls, "--ssl-keyfile", tls,
        ]  # fmt: skip
        books = [
            "-m", "flask", "--app", str(examples / "third-party-app/third_party_app.py"), "run",
            "--port", port(world.books), "--cert", tls, "--key", tls,
        ]  # fmt: skip
        spa = [str(examples / "spa/spa_server.py"), "--port", port(world.spa), "--cert", tls]
        with (
            world.runs(invoices, "Uvicorn running", **guard),
            world.runs(books, "Running on", **named(world.clients["books"]), BOOKS_URL=world.books),
            world.runs(spa, "Serves", **named(world.clients["spa"])),
        ):
            yield world


@pytest.fixture
def page(world: World, visit: Callable[..., Any]) -> Any:
    """In a browser that knows nothing, of somebody who has connected nothing."""
    for grant in world.doorward.v1("GET", "/grants?user=ada").json()["items"]:
        assert world.doorward.v1("POST", f"/grants/{grant['id']}/revoke").status_code == 200
    return visit(viewport={"width": 1024, "height": 720})


def keep(page: Any, name: str) -> None:
    """As it is, in the dark, and on a telephone; nothing may stick out."""
    SCREENSHOTS.mkdir(exist_ok=True)
    wide = page.viewport_size
    for scheme, size in (("light", wide), ("dark", PHONE)):
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size(size)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.screenshot(path=SCREENSHOTS / f"{name}-{scheme}-{size['width']}.png", full_page=True)
    page.emulate_media(color_scheme=None)
    page.set_viewport_size(wide)


def sign_in(page: Any) -> None:
    page.get_by_label("User name").fill("ada")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()


def allow(page: Any, client: str) -> None:
    expect(page.get_by_role("heading", level=1)).to_have_text(f"Allow {client}?")
    expect(page.get_by_text("Read your invoices")).to_be_visible()
    page.get_by_role("button", name="Allow").click()


def ended_on_her_page(page: Any, world: World, client: str) -> float:
    """She sees it there, and ends it; when that was."""
    page.goto(f"{world.doorward.issuer}/account")
    app = page.get_by_role("listitem").filter(has=page.get_by_role("heading", name=client))
    expect(app.get_by_text("Read your invoices")).to_be_visible()
    began_at = time.monotonic()
    page.get_by_role("button", name=f"Disconnect {client}").click()
    expect(page.get_by_role("status")).to_contain_text("The app is disconnected")
    return began_at


def until_refused(began_at: float, look: Callable[[], Any], refused: Any, say: Callable[[str, object], None]) -> None:
    """It calls again and again, until it may no more."""
    while not (look(), refused.is_visible())[1]:
        assert time.monotonic() < began_at + DEADLINE, "it still sees the invoices"
    seconds = time.monotonic() - began_at
    print(f"refused {seconds:.2f} s after the click")
    say(
        "figure", Figure("from the click on Disconnect to the page that says so", "s", (seconds,), most=PROMISE).plain()
    )


def test_an_app_is_connected_seen_and_disconnected(
    page: Any, world: World, record_property: Callable[[str, object], None]
) -> None:
    page.goto(world.books)
    keep(page, "third-party-app-before")
    page.get_by_role("link", name="Connect your invoices").click()
    sign_in(page)
    allow(page, "Mill & Sons Bookkeeping")
    expect(page.get_by_role("heading", level=1)).to_have_text("Invoices")
    assert page.url == f"{world.books}/", "neither code nor state stay in the address bar"
    expect(page.get_by_role("row", name="Total")).to_contain_text("195.50")
    expect(page.get_by_text("Ada Lovelace")).to_be_visible()
    keep(page, "third-party-app-connected")

    account = page.context.new_page()
    began_at = ended_on_her_page(account, world, "Mill & Sons Bookkeeping")
    notice = page.get_by_role("status")
    until_refused(began_at, page.reload, notice, record_property)
    expect(notice).to_have_text("You disconnected us. We can no longer see your invoices.")
    keep(page, "third-party-app-revoked")
    page.goto(world.books)
    expect(page.get_by_role("link", name="Connect your invoices")).to_be_visible()


def test_the_app_itself_ends_what_it_was_given(page: Any, world: World) -> None:
    page.goto(f"{world.books}/connect")
    sign_in(page)
    allow(page, "Mill & Sons Bookkeeping")
    page.get_by_role("button", name="Disconnect").click()
    expect(page.get_by_role("status")).to_contain_text("Disconnected.")
    ended = world.doorward.v1("GET", "/audit?type=GrantTokensRevoked").json()["items"]
    assert [one["data"]["client_id"] for one in ended] == [world.clients["books"]["client_id"]]


def test_no_is_an_answer(page: Any, world: World) -> None:
    page.goto(world.books)
    page.get_by_role("link", name="Connect your invoices").click()
    sign_in(page)
    page.get_by_role("button", name="Deny").click()
    expect(page.get_by_role("status")).to_have_text("You said no, and nothing was connected.")


def test_the_browser_holds_no_token_of_the_app(page: Any, world: World) -> None:
    page.goto(f"{world.books}/connect")
    sign_in(page)
    allow(page, "Mill & Sons Bookkeeping")
    cookies = {one["name"]: one for one in page.context.cookies(world.books)}
    own = cookies["__Host-books"]
    assert (own["secure"], own["httpOnly"], own["sameSite"]) == (True, True, "Lax")
    assert "eyJ" not in page.content()
    assert not any(mark in own["value"] for mark in ("dwr_live", "access_token"))
    assert len(own["value"]) < 200, "there is room for a name alone"


def test_a_page_without_a_server_is_connected_seen_and_disconnected(
    page: Any, world: World, record_property: Callable[[str, object], None]
) -> None:
    page.goto(world.spa)
    keep(page, "spa-before")
    page.get_by_role("button", name="Connect your invoices").click()
    sign_in(page)
    allow(page, "Invoice viewer")
    expect(page.get_by_role("row", name="1 120.00")).to_be_visible()
    expect(page.get_by_text("Ada Lovelace")).to_be_visible()
    assert page.url == f"{world.spa}/"
    kept = "[localStorage.length, sessionStorage.length, document.cookie]"
    assert page.evaluate(kept) == [0, 0, ""], "its tokens are in its memory alone"
    page.get_by_role("button", name="Renew the token").click()
    page.get_by_role("button", name="Look again").click()
    expect(page.get_by_text("for acme")).to_be_visible()
    keep(page, "spa-connected")

    account = page.context.new_page()
    began_at = ended_on_her_page(account, world, "Invoice viewer")
    notice = page.get_by_role("status")

    def look() -> None:
        page.evaluate("{ const again = document.getElementById('again'); if (again.checkVisibility()) again.click(); }")
        expect(page.locator("main")).not_to_have_attribute("aria-busy", "true")

    until_refused(began_at, look, notice, record_property)
    expect(notice).to_have_text("You disconnected us or signed out. We can no longer see your invoices.")
    expect(page.get_by_role("button", name="Connect your invoices")).to_be_visible()
    keep(page, "spa-revoked")


def test_signing_out_ends_the_page_and_not_the_app_that_may_act_meanwhile(page: Any, world: World) -> None:
    page.goto(f"{world.books}/connect")
    sign_in(page)
    expect(page.get_by_text("Act for you while you are away")).to_be_visible()
    allow(page, "Mill & Sons Bookkeeping")
    expect(page.get_by_role("heading", level=1)).to_have_text("Invoices")
    spa = page.context.new_page()
    spa.goto(world.spa)
    spa.get_by_role("button", name="Connect your invoices").click()
    allow(spa, "Invoice viewer")
    expect(spa.get_by_role("row", name="1 120.00")).to_be_visible()

    account = page.context.new_page()
    account.goto(f"{world.doorward.issuer}/account")
    account.get_by_role("button", name="Sign out").click()
    expect(account.get_by_role("heading", level=1)).to_have_text("Signed out")
    spa.get_by_role("button", name="Renew the token").click()
    expect(spa.get_by_role("status")).to_contain_text("You disconnected us or signed out.")
    page.reload()
    expect(page.get_by_role("row", name="Total")).to_contain_text("195.50")


def test_signing_out_of_the_page_signs_out_of_the_server(page: Any, world: World) -> None:
    page.goto(world.spa)
    page.get_by_role("button", name="Connect your invoices").click()
    sign_in(page)
    allow(page, "Invoice viewer")
    expect(page.get_by_role("row", name="1 120.00")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("button", name="Connect your invoices")).to_be_visible()
    page.get_by_role("button", name="Connect your invoices").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")


def test_the_page_may_call_two_addresses_and_run_its_own_script(page: Any, world: World) -> None:
    reply = page.goto(world.spa)
    policy = reply.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self';")
    assert f"connect-src 'self' {world.doorward.issuer} {world.api};" in policy
    assert "unsafe" not in policy
