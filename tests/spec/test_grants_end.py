"""How what a user allowed a client ends, and what of it is dead at once (T034, T056; decisions 9 and 11)."""

from __future__ import annotations

import json
import subprocess

import pytest
from sqlalchemy import select
from tests.browsing import (
    CALLBACK,
    Page,
    a_code,
    a_user,
    address_of,
    an_app,
    asking,
    consent_page,
    redeem,
    refresh,
    signed_in,
    tokens,
)
from tests.deployment import command
from tests.verify.waiting import until

from doorward.protocol.connected_apps import AT_ONCE
from doorward.store import tables
from doorward.store.engine import open_engine


def by_the_grants_path(doorward, browser, client, grant):
    assert doorward.v1("POST", f"/grants/{grant}/revoke").status_code == 200


def by_the_path_for_everything(doorward, browser, client, grant):
    ended = doorward.v1("POST", "/revocations", {"grant": grant}).json()
    assert ended == {"kind": "grant", "id": grant, "changed": True}


def on_the_account_page(doorward, browser, client, grant):
    page = Page(browser.get("/account").text)
    reply = browser.post("/account/apps", {"csrf": page.fields["csrf"], "client": client["client_id"]})
    assert (reply.status_code, reply.headers["location"]) == (303, "/account?done=app")


def by_the_command(doorward, browser, client, grant):
    """In a process of its own, on the data directory of the one that answers."""
    argv = command("--data-dir", doorward.directory, "grants", "revoke", grant, "--json")
    ran = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60)
    assert json.loads(ran.stdout) == {"kind": "grant", "id": grant, "changed": True}
    # It hears of it within 100 ms.
    until(lambda: doorward.v1("GET", f"/grants/{grant}").json()["revoked_at"] is not None)


def ends_all(doorward, end, user):
    """The client has tokens, a code that it did not redeem yet, and of another user what must not be touched."""
    api = doorward.an_api()
    browser, client = signed_in(doorward, user), an_app(doorward, api=api["identifier"])
    verifier, other = doorward.a_verifier(api=api["identifier"]), an_app(doorward, api=api["identifier"])
    got, bystander = tokens(browser, client), tokens(browser, other)
    theirs = tokens(signed_in(doorward, a_user(doorward)), client)
    grant = doorward.introspect(client, got["access_token"])["grant_id"]
    end(doorward, browser, client, grant)
    until(lambda: not doorward.introspect(verifier, got["access_token"])["active"])
    assert doorward.introspect(client, got["refresh_token"]) == {"active": False}
    reply = refresh(doorward, client, got["refresh_token"])
    assert (reply.status_code, reply.json()["error"]) == (400, "invalid_grant")
    feed = doorward.http.get("/revocations", auth=(verifier["client_id"], verifier["client_secret"])).json()
    assert ("grant", grant, "dead") in [(one["kind"], one["value"], one["effect"]) for one in feed["entries"]]
    for token in (bystander["access_token"], theirs["access_token"]):
        assert doorward.introspect(verifier, token)["active"] is True
    assert refresh(doorward, other, bystander["refresh_token"]).status_code == 200
    consent_page(browser, browser.get(address_of(asking(client))))
    return True


@pytest.mark.parametrize("end", [by_the_grants_path, by_the_path_for_everything, on_the_account_page])
def test_a_grant_ends_with_all_its_tokens_whoever_ends_it(doorward, user, end):
    assert ends_all(doorward, end, user)


def test_a_grant_ends_by_the_command_line_too(on_sqlite):
    assert ends_all(on_sqlite, by_the_command, a_user(on_sqlite))


@pytest.mark.parametrize("which", ["access_token", "refresh_token"])
def test_an_administrator_ends_a_pair_by_either_of_its_tokens(doorward, browser, which):
    client = an_app(doorward)
    got = tokens(browser, client)
    ended = doorward.v1("POST", "/revocations", {"token": got[which]})
    assert (ended.status_code, ended.json()["changed"]) == (200, True)
    for token in (got["access_token"], got["refresh_token"]):
        assert doorward.introspect(client, token) == {"active": False}


def test_the_account_page_ends_all_that_a_client_was_allowed(doorward, browser):
    """Decision 8: each authorization is a grant, and to the user they are one app."""
    client = an_app(doorward)
    got = [tokens(browser, client, scope=scope)["access_token"] for scope in ("invoices:read", "invoices:write")]
    code = a_code(browser, client)
    on_the_account_page(doorward, browser, client, None)
    assert [doorward.introspect(client, token)["active"] for token in got] == [False, False]
    assert redeem(doorward, client, code).json()["reason"] == "grant_ended"
    of_users = doorward.v1("GET", f"/grants?client={client['client_id']}").json()["items"]
    assert all(one["revoked_at"] for one in of_users if one["user"])


class TestForTheIssuer:
    """Decision 11: tokens of a client without an api open /oauth/userinfo alone; no verifier hears of their end."""

    @pytest.fixture
    def client(self, doorward):
        body = {"name": "Books", "grant_types": ["authorization_code"], "redirect_uris": [CALLBACK]}
        return doorward.create("/clients", account=doorward.an_account()["id"], **body)

    def test_they_end_with_the_session(self, doorward, client):
        token = tokens(signed_in(doorward, a_user(doorward)), client, scope="openid")["access_token"]
        sid = doorward.introspect(client, token)["sid"]
        assert doorward.v1("POST", f"/sessions/{sid}/revoke").status_code == 200
        assert doorward.introspect(client, token) == {"active": False}
        asked = doorward.http.get("/oauth/userinfo", headers={"authorization": f"Bearer {token}"})
        assert asked.status_code == 401

    def test_they_do_not_come_back_with_their_user(self, doorward, client):
        user = a_user(doorward)
        token = tokens(signed_in(doorward, user), client, scope="openid")["access_token"]
        for step in ("disable", "enable"):
            assert doorward.v1("POST", f"/users/{user['id']}/{step}").status_code == 200
            assert doorward.introspect(client, token) == {"active": False}

    def test_nor_with_their_client(self, doorward, client, browser):
        token = tokens(browser, client, scope="openid")["access_token"]
        for state in ("disabled", "active"):
            assert doorward.v1("PATCH", f"/clients/{client['client_id']}", {"state": state}).status_code == 200
        assert doorward.introspect(client, token) == {"active": False}

    def test_nor_with_its_account(self, doorward, client, browser):
        token = tokens(browser, client, scope="openid")["access_token"]
        for step in ("suspend", "resume"):
            assert doorward.v1("POST", f"/accounts/{client['account']}/{step}").status_code == 200
        assert doorward.introspect(client, token) == {"active": False}


class TestMemberships:
    """What was allowed for one account is allowed for no other, and ends when the user leaves it."""

    @pytest.fixture
    def member(self, doorward):
        user, account = a_user(doorward), doorward.an_account()
        of = {"user": user["id"], "account": account["id"], "role": "viewer"}
        return user, account, doorward.create("/memberships", **of)

    def test_who_leaves_takes_his_clients_along(self, doorward, member):
        user, account, membership = member
        api = doorward.an_api()
        verifier, client = doorward.a_verifier(api=api["identifier"]), an_app(doorward, api=api["identifier"])
        got = tokens(signed_in(doorward, user), client)
        claims = doorward.introspect(verifier, got["access_token"])
        assert claims["account"] == account["id"]
        assert doorward.v1("DELETE", f"/memberships/{membership['id']}").status_code == 204
        assert doorward.introspect(verifier, got["access_token"]) == {"active": False}
        assert refresh(doorward, client, got["refresh_token"]).json()["error"] == "invalid_grant"
        feed = doorward.http.get("/revocations", auth=(verifier["client_id"], verifier["client_secret"])).json()
        assert claims["grant_id"] in [one["value"] for one in feed["entries"] if one["effect"] == "dead"]

    def test_he_is_asked_again_for_another_account(self, doorward, member):
        user, first, _ = member
        browser, client = signed_in(doorward, user), an_app(doorward)
        tokens(browser, client)
        second = doorward.an_account()
        doorward.create("/memberships", user=user["id"], account=second["id"], role="viewer")
        doorward.v1("POST", f"/accounts/{first['id']}/suspend")
        told = browser.get(address_of(asking(client, prompt="none"))).headers["location"]
        assert "error=consent_required" in told
        consent_page(browser, browser.get(address_of(asking(client))))

    def test_what_he_allowed_before_he_belonged_to_one_does_not_reach_it(self, doorward):
        user, client = a_user(doorward), an_app(doorward)
        browser = signed_in(doorward, user)
        tokens(browser, client)
        doorward.create("/memberships", user=user["id"], account=doorward.an_account()["id"], role="owner")
        consent_page(browser, browser.get(address_of(asking(client))))


def test_an_app_with_more_grants_than_end_at_once_is_disconnected_by_one_click(on_sqlite):
    """A single-page application makes one with every silent authorization."""
    doorward = on_sqlite
    browser, client = signed_in(doorward, a_user(doorward)), an_app(doorward, api=doorward.an_api()["identifier"])
    got = tokens(browser, client)
    grant = doorward.introspect(client, got["access_token"])["grant_id"]
    engine = open_engine(f"sqlite:///{doorward.directory / 'doorward.db'}")
    its = tables.grants.c.client_id == client["client_id"]
    with engine.execution_options(writing=True).begin() as connection:
        found = connection.execute(select(tables.grants).where(tables.grants.c.id == grant)).one()._mapping
        copies = [{**found, "id": f"{grant}_{number}"} for number in range(2 * AT_ONCE + 7)]
        connection.execute(tables.grants.insert(), copies)
    on_the_account_page(doorward, browser, client, grant)
    with engine.connect() as connection:
        users = select(tables.grants.c.revoked_at).where(its, tables.grants.c.user_id.is_not(None))
        ended = connection.execute(users).scalars().all()
    engine.dispose()
    assert len(ended) == 2 * AT_ONCE + 8
    assert None not in ended
    assert not doorward.introspect(client, got["access_token"])["active"]
