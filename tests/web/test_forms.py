"""Forms: a cookie that counts if it is there once, a token that belongs to it, and where a form comes from (T141)."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from urllib.parse import urlencode

import pytest

from doorward.web import forms
from doorward.web.forms import BROWSER, COOKIE_LIMIT, SESSION, ForeignForm
from doorward.web.incoming import Incoming

ISSUER = "https://auth.example.com"
OURS = {"origin": ISSUER, "sec-fetch-site": "same-origin"}


class Keyring:
    """Keys by their purpose, as the real one has them."""

    def key(self, purpose):
        return purpose.encode().ljust(32, b".")


RUNTIME = SimpleNamespace(keyring=Keyring(), policy=SimpleNamespace(issuer=ISSUER))


def incoming(cookies=(), headers=OURS, **fields):
    async def receive():
        return {"type": "http.request", "body": urlencode(fields).encode()}

    given = {"content-type": "application/x-www-form-urlencoded", **headers}
    pairs = [(name.encode(), value.encode()) for name, value in given.items()]
    pairs += [(b"cookie", one.encode("latin-1")) for one in cookies]
    scope = {"type": "http", "method": "POST", "path": "/login", "query_string": b"", "headers": pairs}
    return Incoming(scope, receive, RUNTIME)


def received(*cookies, headers=OURS, **fields):
    return asyncio.run(forms.received(incoming(cookies, headers, **fields)))


def token(*cookies):
    return forms.shown(incoming(cookies)).token


@pytest.mark.parametrize(
    ("cookies", "value"),
    [
        ([f"{SESSION}=abc"], "abc"),
        ([f"other=x; {SESSION}=abc;more=y"], "abc"),
        (["other=x", f"{SESSION}=a=b"], "a=b"),
        ([], None),
        ([f"{SESSION}="], None),
        ([f"{SESSION}"], None),
        ([f"x{SESSION}=abc"], None),
        ([f"{SESSION.lower()}x=abc"], None),
        ([f"{SESSION}=abc; {SESSION}=abd"], None),
        ([f"{SESSION}=abc", f"{SESSION}=abc"], None),
        ([f"{SESSION}={'a' * COOKIE_LIMIT}"], "a" * COOKIE_LIMIT),
        ([f"{SESSION}={'a' * (COOKIE_LIMIT + 1)}"], None),
    ],
)
def test_a_cookie_counts_if_it_is_there_once(cookies, value):
    assert forms.cookie(incoming(cookies), SESSION) == value


def test_a_cookie_is_for_this_host_alone_and_for_no_script():
    name, line = forms.set_cookie(SESSION, "abc")
    assert (name, line) == (b"set-cookie", b"__Host-doorward-session=abc; Path=/; Secure; HttpOnly; SameSite=Lax")
    assert forms.drop_cookie(SESSION)[1].endswith(b"=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0")


def test_a_browser_that_has_no_cookie_gets_one_to_bind_its_form_to():
    first, second = forms.shown(incoming()), forms.shown(incoming())
    assert first.token != second.token
    ((_, line),) = first.headers
    cookie = line.decode().partition(";")[0]
    assert cookie.startswith(f"{BROWSER}=")
    assert forms.shown(incoming([cookie])) == forms.Shown(first.token, [])
    assert received(cookie, csrf=first.token, username="ada").get("username") == "ada"


def test_the_token_of_a_session_is_that_of_no_other():
    mine, theirs = f"{SESSION}=mine", f"{SESSION}=theirs"
    assert token(mine) != token(theirs)
    assert received(mine, csrf=token(mine)) is not None
    for given in (token(theirs), "", token(mine)[:-1], token(mine) + "0", token(mine).upper(), "\u00e9"):
        with pytest.raises(ForeignForm):
            received(mine, csrf=given)


def test_a_form_that_was_shown_before_the_sign_in_elsewhere_still_counts():
    """The browser's own cookie lives on in another tab, until the sign-in here drops it."""
    browser, session = f"{BROWSER}=b", f"{SESSION}=s"
    assert received(f"{browser}; {session}", csrf=token(browser)) is not None


def test_without_a_cookie_no_token_is_good():
    with pytest.raises(ForeignForm):
        received(csrf=token(f"{SESSION}=mine"))


@pytest.mark.parametrize(
    ("headers", "is_ours"),
    [
        (OURS, True),
        ({"origin": "null", "sec-fetch-site": "same-origin"}, True),
        ({"origin": "null", "sec-fetch-site": "none"}, True),
        ({"origin": ISSUER}, True),
        ({}, True),
        ({"origin": "null"}, False),
        ({"origin": "https://evil.example"}, False),
        ({"origin": f"{ISSUER}.evil.example"}, False),
        ({"origin": f"{ISSUER}:8443"}, False),
        ({"origin": "http://auth.example.com"}, False),
        ({"origin": ISSUER, "sec-fetch-site": "cross-site"}, False),
        ({"origin": ISSUER, "sec-fetch-site": "same-site"}, False),
        ({"origin": ISSUER, "sec-fetch-site": "unheard-of"}, False),
        ({"origin": "", "sec-fetch-site": "same-origin"}, False),
    ],
    ids=str,
)
def test_a_form_comes_from_our_own_pages(headers, is_ours):
    cookie = f"{SESSION}=mine"
    if is_ours:
        assert received(cookie, headers=headers, csrf=token(cookie)) is not None
    else:
        with pytest.raises(ForeignForm):
            received(cookie, headers=headers, csrf=token(cookie))
