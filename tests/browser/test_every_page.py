"""Every page as it looks: in the light and in the dark, on a desk and on a telephone; axe finds nothing to mend.

What each looked like is kept in tests/browser/screenshots.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect
from tests.accessibility import violations
from tests.browsing import CALLBACK, a_public_app, address_of, an_app, asking
from tests.deployment import API, Doorward, Json, served
from tests.people import PASSWORD, a_browser, choose

SCREENSHOTS = Path(__file__).parent / "screenshots"
DESK, PHONE = {"width": 1280, "height": 900}, {"width": 320, "height": 720}
# No colour depends on the width.
LOOKS = [("light", "wide", DESK), ("dark", "phone", PHONE)]
LONG = "Bookkeeping, Invoicing and Dunning for the Whole Family of Mill & Sons Limited"
# Of another direction, in one piece, and no markup. What hides is no name at all (T143).
ODD = f"\u05de\u05e8\u05d7\u05d1\u05d0 <b>{'Wortungetuem' * 5}</b>"
SCOPES = {
    "invoices:read": "Read your invoices",
    "invoices:write": "Create and change invoices, in drafts as well as in those that were sent to customers already",
    "reports": "See reports",
}


@dataclass
class World:
    """A server with what its pages can show."""

    doorward: Doorward
    ledger: Json = field(default_factory=dict)
    local: Json = field(default_factory=dict)

    @property
    def icon(self) -> str:
        """A client's page that is there: of another origin, by the other name of this machine."""
        return f"{self.issuer.replace('localhost', '127.0.0.1')}/static/icon.svg"

    @property
    def issuer(self) -> str:
        return self.doorward.issuer

    def reset_link(self) -> str:
        return str(self.doorward.v1("POST", "/users/grace/reset-password").json()["link"])


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Letters would go nowhere, and a provider is asked for nothing: both show on pages."""
    upstream = {"ISSUER": "http://localhost:9", "CLIENT_ID": "doorward", "TITLE": "Acme"}
    variables = {f"DOORWARD__UPSTREAM__ACME__{name}": value for name, value in upstream.items()}
    variables["DOORWARD__SMTP_URL"] = "smtp://localhost:9"
    with served(tmp_path_factory.mktemp("pages"), variables=variables) as doorward:
        world = World(doorward)
        fill(world)
        yield world


def fill(world: World) -> None:
    """Ada has everything, and Grace nothing."""
    doorward = world.doorward
    doorward.an_api(identifier=API, name="Invoices", scopes=SCOPES, self_service=["invoices:read", "invoices:write"])
    doorward.an_api(name="Reports", self_service=["invoices:read"])
    doorward.an_account(id="gone", name="Gone Ltd")
    doorward.v1("POST", "/accounts/gone/suspend")
    for id_, name in (("acme", "Acme Inc"), ("mill", "Mill & Sons, with a name that is long enough to wrap")):
        doorward.an_account(id=id_, name=name)
    ada = doorward.create("/users", username="ada", name="Ada Lovelace", email="ada@example.com", email_verified=True)
    for account in ("acme", "mill", "gone"):
        doorward.create("/memberships", user="ada", account=account, role="owner" if account == "acme" else "viewer")
    doorward.create("/identities", user="ada", upstream="acme", subject="00u1")
    for name in ("nightly export", "a key with quite a long name that wraps on a telephone's narrow screen", ODD):
        doorward.a_key(account="acme", api=API, name=name)
    doorward.a_key(account="mill", api=API, name="of an account where she only looks")
    resting = doorward.a_key(account="acme", api=API, name="resting", environment="test", scope="reports")
    doorward.v1("POST", f"/keys/{resting['id']}/deactivate")
    of = {"api": API, "account": "acme", "scope": " ".join(SCOPES)}
    out = "https://client.example/signed-out"
    world.ledger = an_app(
        doorward, name=LONG, redirect_uris=[CALLBACK, world.icon], post_logout_redirect_uris=[out], **of
    )
    world.local = a_public_app(doorward, name=ODD, redirect_uris=["http://127.0.0.1/callback"], **of)
    choose(doorward, ada, PASSWORD)
    choose(doorward, doorward.create("/users", username="grace", name="Grace Hopper"), PASSWORD)


def sign_in(page: Any, world: World, name: str = "ada", password: str = PASSWORD) -> None:
    page.goto(f"{world.issuer}/login")
    fill_in(page, name, password)


def fill_in(page: Any, name: str, password: str = PASSWORD) -> None:
    page.get_by_label("User name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()


def ask(page: Any, world: World, client: Json, **parameters: str) -> None:
    page.goto(world.issuer + address_of(asking(client, **parameters)))


def on_the_setup_page(page: Any, world: World) -> None:
    page.goto(f"{world.issuer}/setup#token=x")
    expect(page.get_by_role("button", name="Create administrator")).to_be_visible()


def set_up(page: Any, world: World) -> None:
    """As if the link were good; tests/browser/test_setup.py has one that is."""
    answer = {"key": f"dwa_live_{'0Az' * 16}00", "id": "adminkey_0123456789abcdef", "expires_at": 1_900_000_000}
    page.route(
        "**/setup", lambda route: route.fulfill(status=201, json=answer) if is_post(route) else route.continue_()
    )
    on_the_setup_page(page, world)
    page.get_by_label("User name").fill("root-of-all")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Create administrator").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Your admin key")


def is_post(route: Any) -> bool:
    return bool(route.request.method == "POST")


def without_a_setup_link(page: Any, world: World) -> None:
    page.goto(f"{world.issuer}/setup")


def at_the_door(page: Any, world: World) -> None:
    page.goto(f"{world.issuer}/login")


def refused_at_the_door(page: Any, world: World) -> None:
    sign_in(page, world, "grace", "wrong")
    expect(page.get_by_role("alert")).to_be_visible()


def asking_for_a_letter(page: Any, world: World) -> None:
    page.goto(f"{world.issuer}/reset")


def a_letter_asked_for(page: Any, world: World) -> None:
    asking_for_a_letter(page, world)
    page.get_by_label("User name").fill("nobody")
    page.get_by_role("button", name="Send the link").click()
    expect(page.get_by_role("status")).to_be_visible()


def choosing_a_password(page: Any, world: World) -> None:
    page.goto(world.reset_link())
    expect(page.get_by_label("New password")).to_be_focused()


def a_password_that_is_unfit(page: Any, world: World) -> None:
    choosing_a_password(page, world)
    page.get_by_label("New password").fill("grace-grace-grace")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_be_visible()


def a_password_chosen(page: Any, world: World) -> None:
    choosing_a_password(page, world)
    page.get_by_label("New password").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_be_visible()


def asked_for_consent(page: Any, world: World) -> None:
    """For one of two accounts, in parts, and to somebody who allowed some of it before."""
    ask(page, world, world.ledger, scope="openid invoices:read", redirect_uri=world.icon)
    fill_in(page, "ada")
    page.get_by_role("button", name="Allow").click()
    page.wait_for_url(f"{world.icon}?code=**")
    ask(page, world, world.ledger, scope=f"openid profile offline_access {' '.join(SCOPES)}")
    expect(page.get_by_text("new", exact=True).first).to_be_visible()


def asked_by_a_program_of_this_machine(page: Any, world: World) -> None:
    ask(page, world, world.local, redirect_uri="http://127.0.0.1:9/callback", scope="reports")
    fill_in(page, "grace")
    expect(page.get_by_role("note")).to_be_visible()
    expect(page.get_by_role("heading", level=1)).to_contain_text(ODD)


def on_the_way_back(page: Any, world: World) -> None:
    """What is seen where no script runs."""
    page.route("**/static/form_post.js", lambda route: route.fulfill(content_type="text/javascript", body=""))
    ask(page, world, world.ledger, scope="reports", response_mode="form_post")
    fill_in(page, "grace")
    page.get_by_role("button", name="Allow").click()
    expect(page.get_by_role("button", name="Continue")).to_be_visible()


def her_account(page: Any, world: World) -> None:
    """With a second browser of hers, an app, keys, a login elsewhere."""
    assert a_browser(world.doorward).sign_in("ada").status_code == 303
    sign_in(page, world)
    expect(page.get_by_role("heading", name=LONG)).to_be_visible()


def choosing_what_a_key_is_for(page: Any, world: World) -> None:
    sign_in(page, world)
    page.get_by_role("link", name="Create a key").click()
    expect(page.get_by_role("link", name="Reports")).to_be_visible()


def making_a_key(page: Any, world: World) -> None:
    choosing_what_a_key_is_for(page, world)
    page.get_by_role("link", name="Invoices").click()
    expect(page.get_by_label("Name", exact=True)).to_be_visible()


def a_key_that_cannot_be_made(page: Any, world: World) -> None:
    making_a_key(page, world)
    page.get_by_label("Name", exact=True).fill("nightly export")
    page.get_by_role("button", name="Create the key").click()
    expect(page.get_by_role("alert")).to_be_visible()


def a_key_shown_once(page: Any, world: World) -> None:
    making_a_key(page, world)
    page.get_by_label("Name", exact=True).fill("nightly export")
    page.get_by_role("checkbox").first.check()
    page.get_by_role("button", name="Create the key").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Your new key")
    expect(page.get_by_role("button", name="Copy")).to_be_visible()
    # The same in each picture.
    page.evaluate("document.getElementById('key').value = 'dw_live_' + '0Az'.repeat(16) + '00'")


def proving_that_it_is_she(page: Any, world: World) -> None:
    """Her sign-in was long ago."""
    sign_in(page, world)
    with closing(sqlite3.connect(world.doorward.directory / "doorward.db")) as database, database:
        database.execute("UPDATE sessions SET auth_time = 1")
    page.get_by_role("link", name="Create a key").click()
    page.get_by_role("link", name="Invoices").click()
    page.get_by_label("Name", exact=True).fill("nightly export")
    page.get_by_label("Your password").fill("wrong")
    page.get_by_role("button", name="Create the key").click()
    expect(page.get_by_role("alert")).to_be_visible()


def rotating_a_key(page: Any, world: World) -> None:
    sign_in(page, world)
    page.get_by_role("link", name="Rotate nightly export").first.click()
    expect(page.get_by_role("button", name="Rotate the key")).to_be_visible()


def an_empty_account(page: Any, world: World) -> None:
    for grant in world.doorward.v1("GET", "/grants?user=grace").json()["items"]:
        world.doorward.v1("POST", f"/grants/{grant['id']}/revoke")
    sign_in(page, world, "grace")
    expect(page.get_by_text("No app acts for you.")).to_be_visible()


def a_wrong_password_on_her_account(page: Any, world: World) -> None:
    sign_in(page, world, "grace")
    page.get_by_label("Present password").fill("wrong")
    page.get_by_label("New password").fill("another horse entirely")
    page.get_by_role("button", name="Change the password").click()
    expect(page.get_by_role("alert")).to_be_in_viewport()


def other_sessions_ended(page: Any, world: World) -> None:
    assert a_browser(world.doorward).sign_in("grace").status_code == 303
    sign_in(page, world, "grace")
    page.get_by_role("button", name="End all other sessions").click()
    expect(page.get_by_role("status")).to_be_visible()


def asked_to_sign_out(page: Any, world: World) -> None:
    sign_in(page, world, "grace")
    page.goto(f"{world.issuer}/logout")


def asked_to_sign_out_by_an_app(page: Any, world: World) -> None:
    sign_in(page, world, "grace")
    out = f"client_id={world.ledger['client_id']}&post_logout_redirect_uri=https://client.example/signed-out"
    page.goto(f"{world.issuer}/oauth/logout?{out}")
    expect(page.get_by_text("Then you go back to")).to_be_visible()


def asked_to_sign_out_wrongly(page: Any, world: World) -> None:
    sign_in(page, world, "grace")
    page.goto(f"{world.issuer}/oauth/logout?post_logout_redirect_uri=https://evil.example")
    expect(page.get_by_role("alert")).to_be_visible()


def signed_out(page: Any, world: World) -> None:
    page.goto(f"{world.issuer}/logout")


def refused(page: Any, world: World) -> None:
    page.goto(f"{world.issuer}/oauth/authorize?client_id=nobody")
    expect(page.get_by_role("heading", level=1)).to_have_text("This did not work")


PAGES: tuple[Callable[[Any, World], None], ...] = (
    on_the_setup_page, set_up, without_a_setup_link, at_the_door, refused_at_the_door, asking_for_a_letter,
    a_letter_asked_for, choosing_a_password, a_password_that_is_unfit, a_password_chosen, asked_for_consent,
    asked_by_a_program_of_this_machine, on_the_way_back, her_account, choosing_what_a_key_is_for, making_a_key,
    a_key_that_cannot_be_made, a_key_shown_once, proving_that_it_is_she, rotating_a_key, an_empty_account,
    a_wrong_password_on_her_account, other_sessions_ended, asked_to_sign_out, asked_to_sign_out_by_an_app,
    asked_to_sign_out_wrongly, signed_out, refused,
)  # fmt: skip


def fits(page: Any) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


def keep(page: Any, name: str) -> None:
    SCREENSHOTS.mkdir(exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)


@pytest.mark.parametrize("lead", PAGES, ids=lambda lead: lead.__name__)
def test_a_page_fits_and_can_be_read_by_everybody(lead: Any, visit: Any, world: World, axe: str) -> None:
    page = visit(viewport=DESK)
    lead(page, world)
    for scheme, name, size in LOOKS:
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size(size)
        assert fits(page), (scheme, name)
        assert violations(page, axe) == [], (scheme, name)
        keep(page, f"{lead.__name__.replace('_', '-')}-{scheme}-{name}")


def test_the_reference_fits_on_a_telephone_too(visit: Any, world: World, axe: str) -> None:
    page = visit(color_scheme="dark", viewport=PHONE)
    page.goto(f"{world.issuer}/v1/docs")
    assert fits(page)
    page.evaluate("document.querySelectorAll('section:nth-of-type(n+4), tr:nth-of-type(n+4)').forEach(e => e.remove())")
    assert violations(page, axe) == []


def test_a_page_that_not_everybody_can_read_is_found(visit: Any, axe: str) -> None:
    page = visit()
    page.set_content("<title>x</title><main><h1>x</h1><p style='color: #ccc'>Pale</p><input></main>")
    found = " ".join(violations(page, axe))
    for rule in ("color-contrast", "label", "html-has-lang"):
        assert rule in found
