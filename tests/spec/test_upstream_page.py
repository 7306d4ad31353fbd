"""A company's own sign-in page: handed over by a signed request, back with a signed assertion, each for one sign-in."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest
from joserfc import jwt as outside
from joserfc.jwk import OctKey
from tests.browsing import Browser, Page, a_user, address_of, an_app, asking, consent_page, sent_back
from tests.deployment import Doorward, Json, Response, deployed
from tests.upstreams import SHOP, OwnPage, a_key, sent_to, unsigned

UNTRUSTED = "The other sign-in gave an answer that cannot be trusted."


@pytest.fixture(scope="module")
def shop() -> OwnPage:
    return OwnPage()


@pytest.fixture(scope="module")
def doorward(shop: OwnPage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doorward]:
    table: Json = {
        "issuer": SHOP, "page": f"{SHOP}/sign-in", "keys": shop.keys, "title": "the Shop", "first_sign_in": "anyone",
        "email_domains": ["shop.example"],
    }  # fmt: skip
    with deployed(tmp_path_factory.mktemp("page"), upstream={"shop": table}) as doorward:
        yield doorward


def leave(doorward: Doorward, shop: OwnPage, browser: Browser, request: str = "") -> Json:
    """What the page reads of our request."""
    reply = browser.get(f"/login/upstream/shop{f'?request={request}' if request else ''}")
    assert reply.status_code == 303, reply.text
    return shop.read(doorward, reply.headers["location"])


def path_of(address: str) -> str:
    parts = urlsplit(address)
    return f"{parts.path}?{parts.query}"


def back(browser: Browser, shop: OwnPage, request: Json, assertion: str) -> Response:
    return browser.get(path_of(shop.back(request, assertion)))


def is_signed_in(browser: Browser) -> bool:
    return browser.get("/account").status_code == 200


def test_a_user_of_the_shop_is_a_user_here(doorward, shop):
    browser = Browser(doorward)
    request = leave(doorward, shop, browser)
    assert request["return_to"] == f"{doorward.issuer}/login/upstream/shop/callback"
    assert request["exp"] - request["iat"] == 300
    who = {"email": "cleo@shop.example", "email_verified": True, "name": "Cleo", "preferred_username": "cleo"}
    reply = back(browser, shop, request, shop.assertion(request, "customer-7", **who))
    assert (reply.status_code, reply.headers["location"]) == (303, "/account")
    user = doorward.v1("GET", "/users/cleo").json()
    assert (user["name"], user["email"], user["email_verified"]) == ("Cleo", "cleo@shop.example", True)
    (login,) = doorward.v1("GET", f"/identities?user={user['id']}").json()["items"]
    assert (login["issuer"], login["subject"], login["upstream"]) == (SHOP, "customer-7", "shop")


def test_the_example_of_the_documentation_is_a_page_like_that(doorward, shop):
    text = (Path(__file__).parents[2] / "docs" / "existing-logins.md").read_text()
    example: Json = {}
    exec(text.partition("```python\n")[2].partition("```")[0], example)
    browser = Browser(doorward)
    request = sent_to(browser.get("/login/upstream/shop").headers["location"])["request"]
    jwks = doorward.http.get("/.well-known/jwks.json").json()
    address = example["answer"](request, doorward.issuer, jwks, shop.key, {"sub": "customer-15", "name": "Dora"})
    assert browser.get(path_of(address)).headers["location"] == "/account"
    assert "Dora" in browser.get("/account").text
    with pytest.raises(ValueError, match="no request for us"):
        example["answer"](request, "https://evil.example", jwks, shop.key, {"sub": "customer-15"})


def test_a_clients_request_waits_and_goes_on(doorward, shop):
    client, browser = an_app(doorward), Browser(doorward)
    reply = browser.get(address_of(asking(client, scope="openid invoices:read", max_age="600", login_hint="cleo")))
    request_id = sent_to(reply.headers["location"])["request"]
    request = leave(doorward, shop, browser, request_id)
    assert (request["max_age"], request["login_hint"]) == (600, "cleo")
    late = shop.assertion(request, "customer-8", auth_time=int(time.time()) - 3600)
    assert back(browser, shop, request, late).status_code == 403
    request = leave(doorward, shop, browser, request_id)
    reply = back(browser, shop, request, shop.assertion(request, "customer-8", auth_time=int(time.time())))
    assert reply.headers["location"] == f"/consent?request={request_id}"
    assert "code" in sent_back(browser.submit(consent_page(browser, reply), answer="allow"))


def test_an_assertion_signs_in_once(doorward, shop):
    browser = Browser(doorward)
    request = leave(doorward, shop, browser)
    assertion = shop.assertion(request, "customer-9")
    assert back(browser, shop, request, assertion).status_code == 303
    again = back(browser, shop, request, assertion)
    assert (again.status_code, again.headers.get("location")) == (400, None)


def test_its_id_is_good_once_even_where_the_rest_is_new(doorward, shop):
    first, second, jti = Browser(doorward), Browser(doorward), secrets.token_urlsafe(16)
    one, other = leave(doorward, shop, first), leave(doorward, shop, second)
    assert back(first, shop, one, shop.assertion(one, "customer-9", jti=jti)).status_code == 303
    assert back(second, shop, other, shop.assertion(other, "customer-9", jti=jti)).status_code == 400
    assert not is_signed_in(second)


def test_an_assertion_is_for_the_browser_that_left(doorward, shop):
    """With a link that holds his own assertion nobody signs somebody else in as himself."""
    attacker, victim = Browser(doorward), Browser(doorward)
    theirs, own = leave(doorward, shop, attacker), leave(doorward, shop, victim)
    assertion = shop.assertion(theirs, "attacker")
    for request in (theirs, own):
        assert back(victim, shop, request, assertion).status_code == 403
        assert not is_signed_in(victim)
    assert back(Browser(doorward), shop, theirs, assertion).status_code == 403
    assert back(attacker, shop, theirs, assertion).status_code == 303, "nothing of that ended it"
    assert back(victim, shop, own, shop.assertion(own, "victim")).status_code == 303


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "https://other.example"}, {"aud": None}, {"iss": "https://evil.example"}, {"sub": None}, {"jti": None},
        {"jti": "short"}, {"nonce": None}, {"nonce": "n" * 43}, {"iat": None}, {"exp": None},
        {"exp": int(time.time()) - 60}, {"exp": int(time.time()) + 86_400}, {"iat": int(time.time()) + 3600},
    ],
    ids=lambda claims: next(iter(claims)),
)  # fmt: skip
def test_an_assertion_that_was_not_made_for_this_sign_in_is_not_believed(doorward, shop, claims):
    browser = Browser(doorward)
    request = leave(doorward, shop, browser)
    reply = back(browser, shop, request, shop.assertion(request, "customer-1", **claims))
    assert (reply.status_code, reply.headers.get("location")) == (403, None)
    assert UNTRUSTED in reply.text
    assert not is_signed_in(browser)
    assert back(browser, shop, request, shop.assertion(request, "customer-1")).status_code == 303


def test_nor_is_one_that_somebody_else_signed_or_that_is_something_else(doorward, shop):
    browser = Browser(doorward)
    request = leave(doorward, shop, browser)
    good = shop.assertion(request, "customer-1")
    told = {
        "iss": SHOP, "aud": doorward.issuer, "sub": "x", "iat": int(time.time()), "exp": int(time.time()) + 60,
        "jti": secrets.token_urlsafe(16), "nonce": request["nonce"],
    }  # fmt: skip
    public = OctKey.import_key(shop.keys.encode())
    typ = "sign-in-assertion+jwt"
    for bad in (
        OwnPage(a_key("shop-1", "ES256")).assertion(request, "customer-1"),
        OwnPage(a_key("unknown", "ES256")).assertion(request, "customer-1"),
        shop.assertion(request, "customer-1", {"typ": "JWT"}),
        shop.assertion(request, "customer-1", {"typ": "at+jwt"}),
        shop.assertion(request, "customer-1", {"typ": "sign-in-request+jwt"}),
        unsigned(told), outside.encode({"alg": "HS256", "kid": "shop-1", "typ": typ}, told, public),
        good[:-4] + "AAAA", good + ".", "", "x",
    ):  # fmt: skip
        reply = back(browser, shop, request, bad)
        assert reply.status_code in (400, 403), bad
        assert "location" not in reply.headers
        assert not is_signed_in(browser)


def test_our_own_request_is_no_assertion_and_no_token(doorward, shop):
    browser = Browser(doorward)
    reply = browser.get("/login/upstream/shop")
    ours = sent_to(reply.headers["location"])["request"]
    request = shop.read(doorward, reply.headers["location"])
    assert back(browser, shop, request, ours).status_code == 403
    for path in ("/oauth/userinfo",):
        assert doorward.http.get(path, headers={"authorization": f"Bearer {ours}"}).status_code == 401
    client = doorward.a_client()
    assert doorward.introspect(client, ours) == {"active": False}


def test_the_shop_may_say_that_nobody_signed_in(doorward, shop):
    browser = Browser(doorward)
    request = leave(doorward, shop, browser)
    query = urlencode({"state": request["state"], "error": "access_denied"})
    reply = browser.get(f"{path_of(request['return_to']).rstrip('?')}?{query}")
    assert (reply.status_code, Page(reply.text).action) == (403, "/login")
    assert "The sign-in was cancelled or refused there." in reply.text


def test_an_address_links_only_what_is_verified_on_both_sides(doorward, shop):
    victim = a_user(doorward, email="boss@shop.example", email_verified=False)
    browser = Browser(doorward)
    request = leave(doorward, shop, browser)
    assertion = shop.assertion(request, "customer-10", email="boss@shop.example", email_verified=True)
    assert back(browser, shop, request, assertion).status_code == 303
    assert doorward.v1("GET", f"/identities?user={victim['id']}").json()["items"] == []
    assert victim["username"] not in browser.get("/account").text
