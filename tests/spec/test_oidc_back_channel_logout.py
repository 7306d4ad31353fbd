"""OpenID Connect Back-Channel Logout 1.0 §2: clients hear that a session ended, from us, over TLS, whoever ended it.

Threats T075 and T133. The clients' server is a real one; their tokens are read by a library that is not ours.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from joserfc import jwt
from tests.browsing import Browser, Page, a_user, an_app, redeem, refresh, signed_in
from tests.browsing import tokens as allowed
from tests.deployment import Doorward, Json, deployed
from tests.openid import authorize, identified, keys, userinfo
from tests.people import PASSWORD
from tests.receiver import Posted, Receiver

EVENT = "http://schemas.openid.net/event/backchannel-logout"
_paths = (f"/logout/{number}" for number in itertools.count())


def a_listener(doorward: Doorward, receiver: Receiver, **body: Any) -> tuple[Json, str]:
    """A client that wants to hear of logouts, and the path where it does."""
    path = next(_paths)
    return an_app(doorward, **{"backchannel_logout_uri": receiver.url(path), **body}), path


def logout(browser: Browser) -> None:
    reply = browser.submit(Page(browser.get("/logout").text))
    assert reply.status_code == 303, reply.text


def read(doorward: Doorward, client: Json, posted: Posted, algorithm: str = "RS256") -> Json:
    """As §2.6 asks a client to."""
    assert posted.content_type == "application/x-www-form-urlencoded"
    assert posted.form.keys() == {"logout_token"}
    token = jwt.decode(posted.form["logout_token"], keys(doorward), algorithms=[algorithm])
    assert (token.header["typ"], token.header["alg"]) == ("logout+jwt", algorithm)
    claims = dict(token.claims)
    assert claims.keys() == {"iss", "sub", "aud", "iat", "exp", "jti", "events", "sid"}
    assert (claims["iss"], claims["aud"]) == (doorward.issuer, client["client_id"])
    assert claims["events"] == {EVENT: {}}
    assert abs(claims["iat"] - time.time()) < 60
    assert claims["exp"] - claims["iat"] == 120
    return claims


def heard(doorward: Doorward, receiver: Receiver, client: Json, path: str) -> Json:
    (posted,) = receiver.wait_for(1, path)
    return read(doorward, client, posted)


def sid_of(doorward: Doorward, id_token: str) -> str:
    return str(jwt.decode(id_token, keys(doorward), algorithms=["RS256"]).claims["sid"])


def owed(doorward: Doorward, client: Json) -> list[tuple[int, int]]:
    """How often each delivery to the client was tried, and when the next time is."""
    query = "SELECT attempts, next_at FROM logout_deliveries WHERE client_id = :id"
    return doorward.sql(query, id=client["client_id"])


def make_due(doorward: Doorward) -> None:
    """The clock of a test is the row."""
    doorward.sql("UPDATE logout_deliveries SET next_at = 0")


def until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.05)


def told(doorward: Doorward, client: Json, kind: str) -> list[Json]:
    """What the audit log says of a client."""
    audit = doorward.v1("GET", f"/audit?type={kind}&order=desc&limit=100").json()["items"]
    return [one for one in audit if one["data"]["client_id"] == client["client_id"]]


@pytest.fixture
def user(calling: Doorward) -> Json:
    return a_user(calling)


@pytest.fixture
def here(calling: Doorward, user: Json) -> Browser:
    return signed_in(calling, user)


class TestTheLogoutToken:
    def test_names_user_session_and_client(self, calling, receiver, user, here):
        client, path = a_listener(calling, receiver)
        id_token = identified(here, client)["id_token"]
        logout(here)
        claims = heard(calling, receiver, client, path)
        assert (claims["sub"], claims["sid"]) == (user["id"], sid_of(calling, id_token))

    def test_is_signed_as_the_clients_id_tokens_are(self, calling, receiver, here):
        client, path = a_listener(calling, receiver, id_token_signed_response_alg="ES256")
        identified(here, client)
        logout(here)
        (posted,) = receiver.wait_for(1, path)
        assert read(calling, client, posted, "ES256")

    def test_opens_no_door(self, calling, receiver, here):
        """T075, T076: neither an access token, nor a hint, nor a code."""
        client, path = a_listener(calling, receiver, post_logout_redirect_uris=["https://client.example/bye"])
        identified(here, client)
        logout(here)
        text = receiver.wait_for(1, path)[0].form["logout_token"]
        assert userinfo(calling, text).status_code == 401
        assert calling.introspect(client, text) == {"active": False}
        assert here.get(f"/oauth/logout?id_token_hint={text}").status_code == 400
        assert authorize(here, client, id_token_hint=text, prompt="none").told["error"] == "invalid_request"
        assert redeem(calling, client, text).json()["error"] == "invalid_grant"


class TestWhoHears:
    def test_every_client_that_has_tokens_of_the_session_and_wants_to(self, calling, receiver, user, here):
        first, first_path = a_listener(calling, receiver)
        second, second_path = a_listener(calling, receiver)
        stranger, strange_path = a_listener(calling, receiver)
        silent = an_app(calling)
        for client in (first, second, silent, first):
            identified(here, client)
        identified(signed_in(calling, user), stranger)
        logout(here)
        sids = {
            heard(calling, receiver, client, path)["sid"]
            for client, path in ((first, first_path), (second, second_path))
        }
        assert len(sids) == 1
        until(lambda: not owed(calling, first) and not owed(calling, second))
        assert receiver.at(strange_path) == []
        assert len(receiver.at(first_path)) == 1

    def test_also_one_without_the_scope_openid(self, calling, receiver, user, here):
        client, path = a_listener(calling, receiver)
        allowed(here, client, scope="invoices:read")
        logout(here)
        assert heard(calling, receiver, client, path)["sub"] == user["id"]

    def test_also_one_that_the_user_disconnected_and_one_that_is_disabled(self, calling, receiver, here):
        gone, gone_path = a_listener(calling, receiver)
        disabled, disabled_path = a_listener(calling, receiver)
        for client in (gone, disabled):
            identified(here, client)
        for grant in calling.v1("GET", f"/grants?client={gone['client_id']}").json()["items"]:
            assert calling.v1("POST", f"/grants/{grant['id']}/revoke").status_code == 200
        calling.v1("PATCH", f"/clients/{disabled['client_id']}", {"state": "disabled"})
        logout(here)
        receiver.wait_for(1, gone_path)
        receiver.wait_for(1, disabled_path)


ENDS: dict[str, Callable[[Doorward, Json, Browser], Any]] = {
    "he signs out at our own page": lambda doorward, user, browser: logout(browser),
    "he ends it on his account page": lambda doorward, user, browser: end_all(doorward, user),
    "he chooses another password": lambda doorward, user, browser: change_password(doorward, user),
    "he resets his password": lambda doorward, user, browser: reset_password(doorward, user),
    "an administrator disables him": lambda doorward, user, browser: doorward.v1(
        "POST", f"/users/{user['id']}/disable"
    ),
    "an administrator revokes the user": lambda doorward, user, browser: doorward.v1(
        "POST", "/revocations", {"user": user["id"]}
    ),
    "an administrator revokes the session": lambda doorward, user, browser: revoke_sessions(doorward, user),
    "he signs in anew in the same browser": lambda doorward, user, browser: browser.sign_in(
        user["username"], "/login?request=authorization_x"
    ),
}


def end_all(doorward: Doorward, user: Json) -> None:
    other = signed_in(doorward, user)
    page = Page(other.get("/account").text)
    reply = other.post("/account/sessions", {"csrf": page.fields["csrf"], "all": "yes"})
    assert reply.status_code == 303, reply.text


def change_password(doorward: Doorward, user: Json) -> None:
    other = signed_in(doorward, user)
    page = Page(other.get("/account").text)
    fields = {"csrf": page.fields["csrf"], "current": PASSWORD, "password": "another horse battery staple"}
    reply = other.post("/account/password", fields)
    assert reply.status_code in (200, 303), reply.text


def reset_password(doorward: Doorward, user: Json) -> None:
    link = doorward.create(f"/users/{user['id']}/reset-password")["link"]
    browser = Browser(doorward)
    page = Page(browser.get("/reset").text)
    reply = browser.submit(page, token=link.partition("#token=")[2], password="another horse battery staple")
    assert reply.status_code == 200, reply.text


def revoke_sessions(doorward: Doorward, user: Json) -> None:
    for one in doorward.v1("GET", f"/sessions?user={user['id']}").json()["items"]:
        assert doorward.v1("POST", f"/sessions/{one['id']}/revoke").status_code == 200


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_clients_hear_however_the_session_ends(calling, receiver, user, here, end):
    client, path = a_listener(calling, receiver)
    id_token = identified(here, client)["id_token"]
    end(calling, user, here)
    assert heard(calling, receiver, client, path)["sid"] == sid_of(calling, id_token)


def test_what_the_session_gave_ends_with_it_unless_the_user_may_be_away(calling, receiver, here):
    """§2.7."""
    client, _ = a_listener(calling, receiver)
    short = identified(here, client)["refresh_token"]
    long = identified(here, client, scope="openid offline_access")["refresh_token"]
    logout(here)
    assert refresh(calling, client, short).json()["error"] == "invalid_grant"
    assert refresh(calling, client, long).status_code == 200


class TestWhatIsTaken:
    @pytest.mark.parametrize("status", [200, 204])
    def test_is_not_sent_again_and_noted(self, calling, receiver, here, status):
        client, path = a_listener(calling, receiver)
        identified(here, client)
        with answering(receiver, status):
            logout(here)
            until(lambda: told(calling, client, "LogoutTokenDelivered"))
        (entry,) = told(calling, client, "LogoutTokenDelivered")
        assert (entry["entity"], entry["actor"], entry["data"]["attempts"]) == ("session", "server", 1)
        assert owed(calling, client) == []
        assert len(receiver.at(path)) == 1


@contextmanager
def answering(receiver: Receiver, status: int) -> Iterator[None]:
    receiver.status = status
    try:
        yield
    finally:
        receiver.status = 200


class TestWhatIsNotTaken:
    @pytest.mark.parametrize("status", [400, 500, 302])
    def test_is_sent_again_later_as_a_token_of_its_own(self, calling, receiver, here, status):
        client, path = a_listener(calling, receiver)
        identified(here, client)
        with answering(receiver, status):
            logout(here)
            receiver.wait_for(1, path)
            until(lambda: [attempts for attempts, _ in owed(calling, client)] == [1])
        assert told(calling, client, "LogoutTokenUndelivered") == []
        make_due(calling)
        first, second = (read(calling, client, posted) for posted in receiver.wait_for(2, path))
        assert (first["sid"], first["sub"]) == (second["sid"], second["sub"])
        assert first["jti"] != second["jti"]
        until(lambda: told(calling, client, "LogoutTokenDelivered"))
        assert told(calling, client, "LogoutTokenDelivered")[0]["data"]["attempts"] == 2

    def test_waits_longer_each_time_and_not_for_ever(self, calling, receiver, here):
        client, path = a_listener(calling, receiver)
        identified(here, client)
        waits = []
        with answering(receiver, 503):
            logout(here)
            for attempts in range(1, 5):
                receiver.wait_for(attempts, path)
                until(lambda number=attempts: [one[0] for one in owed(calling, client)] == [number])
                waits.append(owed(calling, client)[0][1] - int(time.time()))
                make_due(calling)
            until(lambda: told(calling, client, "LogoutTokenUndelivered"))
        (entry,) = told(calling, client, "LogoutTokenUndelivered")
        assert (entry["data"]["reason"], entry["data"]["attempts"]) == ("status_503", 5)
        assert (owed(calling, client), len(receiver.at(path))) == ([], 5)
        for wait, planned in zip(waits, (10, 50, 180, 600), strict=True):
            assert planned - 8 < wait <= planned + 1

    def test_holds_up_neither_the_user_nor_other_clients(self, calling, receiver, here):
        """One that does not answer at all: the logout was answered before it was even called."""
        dead = an_app(calling, backchannel_logout_uri="https://127.0.0.1:1/logout")
        client, path = a_listener(calling, receiver)
        for one in (dead, client):
            identified(here, one)
        logout(here)
        heard(calling, receiver, client, path)
        until(lambda: [attempts for attempts, _ in owed(calling, dead)] == [1])
        calling.v1("DELETE", f"/clients/{dead['client_id']}")
        make_due(calling)
        until(lambda: told(calling, dead, "LogoutTokenUndelivered"))
        assert told(calling, dead, "LogoutTokenUndelivered")[0]["data"]["reason"] == "unregistered"

    def test_goes_where_the_client_is_registered_by_then(self, calling, receiver, here):
        client, path = a_listener(calling, receiver)
        identified(here, client)
        with answering(receiver, 500):
            logout(here)
            receiver.wait_for(1, path)
            until(lambda: owed(calling, client))
        moved = next(_paths)
        body = {"backchannel_logout_uri": receiver.url(moved)}
        assert calling.v1("PATCH", f"/clients/{client['client_id']}", body).status_code == 200
        make_due(calling)
        heard(calling, receiver, client, moved)
        assert len(receiver.at(path)) == 1


def test_no_client_makes_us_call_an_inner_address(on_sqlite, receiver):
    """T133: this deployment allows none; the reason is told, and nothing was connected to."""
    user = a_user(on_sqlite)
    client, path = a_listener(on_sqlite, receiver)
    browser = signed_in(on_sqlite, user)
    identified(browser, client)
    logout(browser)
    until(lambda: [attempts for attempts, _ in owed(on_sqlite, client)] == [1])
    statement = "UPDATE logout_deliveries SET attempts = 4, next_at = 0 WHERE client_id = :id"
    on_sqlite.sql(statement, id=client["client_id"])
    until(lambda: told(on_sqlite, client, "LogoutTokenUndelivered"))
    assert told(on_sqlite, client, "LogoutTokenUndelivered")[0]["data"]["reason"] == "address_refused"
    assert receiver.at(path) == []


def test_a_restart_between_logout_and_delivery_loses_nothing(receiver, tmp_path):
    outbound = {"outbound_networks": ("127.0.0.0/8", "::1/128"), "outbound_ca_file": receiver.ca_file}
    with deployed(tmp_path, **outbound) as doorward:
        client, path = a_listener(doorward, receiver)
        browser = signed_in(doorward, a_user(doorward))
        identified(browser, client)
        with answering(receiver, 503):
            logout(browser)
            receiver.wait_for(1, path)
            until(lambda: [attempts for attempts, _ in owed(doorward, client)] == [1])
    make_due(doorward)
    with deployed(tmp_path, set_up=False, **outbound) as again:
        first, second = receiver.wait_for(2, path)
        assert read(again, client, first)["sid"] == read(again, client, second)["sid"]
        until(lambda: owed(again, client) == [])


@pytest.mark.parametrize(
    "uri",
    ["http://client.example/logout", "http://127.0.0.1/logout", "https://client.example/logout#x", "ftp://client.example/",
     "https://ada@client.example/logout", "https://127.1/logout", "/logout", "com.example.app:/logout"],
)  # fmt: skip
def test_only_an_https_address_without_a_fragment_can_be_registered(on_sqlite, uri):
    client = an_app(on_sqlite)
    reply = on_sqlite.v1("PATCH", f"/clients/{client['client_id']}", {"backchannel_logout_uri": uri})
    assert reply.status_code == 422
    assert [one["field"] for one in reply.json()["errors"]] == ["backchannel_logout_uri"]


def test_the_metadata_says_that_it_is_done(doorward):
    for path in ("openid-configuration", "oauth-authorization-server"):
        metadata = doorward.http.get(f"/.well-known/{path}").json()
        assert metadata["backchannel_logout_supported"] is True
        assert metadata["backchannel_logout_session_supported"] is True
