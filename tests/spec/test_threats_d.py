"""Threats to refresh tokens, `threats.md` D (RFC 9700 §4.14), against a running server."""

from __future__ import annotations

import re

import pytest
from tests.browsing import a_public_app, a_user, an_app, redeem, refresh, signed_in, tokens
from tests.deployment import deployed

APPS = pytest.mark.parametrize("app", [an_app, a_public_app])


def refused(reply, reason=None, error="invalid_grant"):
    assert (reply.status_code, reply.json()["error"]) == (400, error), reply.text
    assert reason in (None, reply.json()["reason"])
    return True


def is_active(doorward, token):
    headers = {"authorization": f"Bearer {doorward.admin_key}"}
    return doorward.http.post("/oauth/introspect", data={"token": token}, headers=headers).json()["active"]


def renewed(doorward, client, token):
    reply = refresh(doorward, client, token)
    assert reply.status_code == 200, reply.text
    return reply.json()


@APPS
def test_t050_a_replay_ends_the_family_its_access_tokens_and_the_grant(doorward, browser, app):
    client = app(doorward)
    first = tokens(browser, client)
    second = renewed(doorward, client, first["refresh_token"])
    third = renewed(doorward, client, second["refresh_token"])
    assert refused(refresh(doorward, client, first["refresh_token"]), "refresh_token_replayed")
    for token in (first["access_token"], second["access_token"], third["access_token"], third["refresh_token"]):
        assert is_active(doorward, token) is False
    assert refused(refresh(doorward, client, third["refresh_token"]), "grant_ended")


def test_t050_it_is_in_the_audit_log_and_in_the_feed(doorward, browser):
    api = doorward.an_api()
    client, verifier = an_app(doorward, api=api["identifier"]), doorward.a_verifier(api=api["identifier"])
    first = tokens(browser, client)
    grant = doorward.introspect(client, first["access_token"])["grant_id"]
    renewed(doorward, client, renewed(doorward, client, first["refresh_token"])["refresh_token"])
    refresh(doorward, client, first["refresh_token"])
    log = doorward.v1("GET", f"/audit?entity={grant}&limit=100").text
    assert '"refresh_token_replayed"' in log
    assert first["refresh_token"] not in log
    feed = doorward.http.get("/revocations", auth=(verifier["client_id"], verifier["client_secret"])).json()
    assert any(entry["value"] == grant and entry["effect"] == "dead" for entry in feed["entries"])


@APPS
def test_t052_a_retry_gets_the_same_successor(doorward, browser, app):
    client = app(doorward)
    first = tokens(browser, client)["refresh_token"]
    answers = [renewed(doorward, client, first) for _ in range(4)]
    assert len({answer["refresh_token"] for answer in answers}) == 1
    assert len({answer["access_token"] for answer in answers}) == 4
    assert all(is_active(doorward, answer["access_token"]) for answer in answers)


def test_t052_and_so_after_a_restart(tmp_path):
    with deployed(tmp_path) as doorward:
        browser, client = signed_in(doorward, a_user(doorward)), an_app(doorward)
        first = tokens(browser, client)["refresh_token"]
        successor = renewed(doorward, client, first)["refresh_token"]
    with deployed(tmp_path, set_up=False) as doorward:
        assert renewed(doorward, client, first)["refresh_token"] == successor
        renewed(doorward, client, successor)
    with deployed(tmp_path, set_up=False) as doorward:
        assert refused(refresh(doorward, client, first), "refresh_token_replayed")


def test_t052_the_successor_is_not_readable_where_it_is_kept(tmp_path):
    """Decision 6: neither the database nor the journal opens it."""
    with deployed(tmp_path) as doorward:
        browser, client = signed_in(doorward, a_user(doorward)), an_app(doorward)
        first = tokens(browser, client)["refresh_token"]
        successor = renewed(doorward, client, first)["refresh_token"]
    kept = b"".join(path.read_bytes() for path in (tmp_path / "data").rglob("*") if path.is_file())
    for text in (first, successor):
        assert text.encode() not in kept
        assert text[-38:-6].encode() not in kept


@pytest.mark.parametrize(("overlap", "age", "lives"), [(10, 9, True), (10, 12, False), (0, 0, False), (60, 58, True)])
def test_t052_the_overlap_is_as_long_as_the_setting_says(tmp_path, overlap, age, lives):
    """The clock of the test is the row: it was rotated `age` seconds ago."""
    with deployed(tmp_path, refresh_token_overlap=overlap) as doorward:
        browser, client = signed_in(doorward, a_user(doorward)), an_app(doorward)
        first = tokens(browser, client)["refresh_token"]
        successor = renewed(doorward, client, first)["refresh_token"]
        aged(doorward, f"UPDATE refresh_tokens SET rotated_at = rotated_at - {age} WHERE rotated_at IS NOT NULL")
        reply = refresh(doorward, client, first)
        if lives:
            assert reply.json()["refresh_token"] == successor
        else:
            assert refused(reply, "refresh_token_replayed")


def aged(doorward, statement):
    assert doorward.sql(f"{statement} RETURNING id")


def test_t052_what_was_ended_on_purpose_is_dead_within_the_overlap(doorward, browser):
    client = an_app(doorward)
    first = tokens(browser, client)
    second = renewed(doorward, client, first["refresh_token"])
    doorward.post("revoke", client, token=second["refresh_token"])
    assert refused(refresh(doorward, client, first["refresh_token"]), "grant_ended")
    assert refused(refresh(doorward, client, second["refresh_token"]), "grant_ended")


@APPS
def test_t054_another_client_has_nothing_of_it(doorward, browser, app):
    client, other = app(doorward), app(doorward)
    token = tokens(browser, client)["refresh_token"]
    assert refused(refresh(doorward, other, token), "grant_invalid")
    doorward.post("revoke", other if other.get("client_secret") else None, token=token, client_id=other["client_id"])
    assert renewed(doorward, client, token)


def test_t055_the_scope_can_shrink_and_never_grow(doorward, browser):
    client = an_app(doorward)
    first = tokens(browser, client, scope="invoices:read invoices:write")
    less = refresh(doorward, client, first["refresh_token"], scope="invoices:read").json()
    assert less["scope"] == "invoices:read"
    assert renewed(doorward, client, less["refresh_token"])["scope"] == "invoices:read invoices:write"
    only_read = tokens(browser, client, scope="invoices:read")["refresh_token"]
    for scope in ("invoices:write", "invoices:read invoices:write", "openid", "no:such"):
        assert refused(refresh(doorward, client, only_read, scope=scope), error="invalid_scope")
    assert renewed(doorward, client, only_read)["scope"] == "invoices:read"


def test_t055_what_an_administrator_narrows_is_narrower(doorward, browser):
    client = an_app(doorward)
    token = tokens(browser, client)["refresh_token"]
    api = client["apis"][0]["api"]
    doorward.v1("PATCH", f"/clients/{client['client_id']}", {"api": api, "scope": "invoices:read"})
    assert renewed(doorward, client, token)["scope"] == "invoices:read"


class TestT056:
    def test_the_user_was_disabled_and_comes_back(self, doorward):
        user, client = a_user(doorward), an_app(doorward)
        got = tokens(signed_in(doorward, user), client)
        doorward.v1("POST", f"/users/{user['id']}/disable")
        assert refused(refresh(doorward, client, got["refresh_token"]), "grant_ended")
        assert is_active(doorward, got["access_token"]) is False
        doorward.v1("POST", f"/users/{user['id']}/enable")
        assert refused(refresh(doorward, client, got["refresh_token"]), "grant_ended")
        assert is_active(doorward, got["access_token"]) is False

    def test_the_client_was_disabled(self, doorward, browser):
        client = an_app(doorward)
        got = tokens(browser, client)
        doorward.v1("PATCH", f"/clients/{client['client_id']}", {"state": "disabled"})
        assert refresh(doorward, client, got["refresh_token"]).status_code == 401
        assert is_active(doorward, got["access_token"]) is False

    def test_the_session_ended(self, doorward, user):
        browser, client = signed_in(doorward, user), an_app(doorward)
        short, lasting = tokens(browser, client), tokens(browser, client, scope="invoices:read offline_access")
        sid = doorward.introspect(client, short["access_token"])["sid"]
        doorward.v1("POST", f"/sessions/{sid}/revoke")
        assert refused(refresh(doorward, client, short["refresh_token"]), "grant_ended")
        assert is_active(doorward, short["access_token"]) is False
        assert is_active(doorward, lasting["access_token"]) is True
        assert renewed(doorward, client, lasting["refresh_token"])

    def test_the_user_left_the_account_that_it_acts_for(self, doorward):
        user, account = a_user(doorward), doorward.an_account()
        membership = doorward.create("/memberships", user=user["id"], account=account["id"], role="viewer")
        client = an_app(doorward)
        got = tokens(signed_in(doorward, user), client)
        assert doorward.introspect(client, got["access_token"])["account"] == account["id"]
        doorward.v1("DELETE", f"/memberships/{membership['id']}")
        assert refused(refresh(doorward, client, got["refresh_token"]), "grant_ended")

    def test_the_account_of_the_client_was_suspended(self, doorward, browser):
        client = an_app(doorward)
        got = tokens(browser, client)
        doorward.v1("POST", f"/accounts/{client['account']}/suspend")
        assert is_active(doorward, got["access_token"]) is False
        assert refresh(doorward, client, got["refresh_token"]).status_code == 401


@pytest.mark.parametrize("column", ["expires_at", "ends_at"])
def test_t057_it_is_too_old_when_it_is_used_not_when_it_is_swept(tmp_path, column):
    with deployed(tmp_path) as doorward:
        browser, client = signed_in(doorward, a_user(doorward)), an_app(doorward)
        token = tokens(browser, client)["refresh_token"]
        aged(doorward, f"UPDATE refresh_tokens SET {column} = created_at")
        assert refused(refresh(doorward, client, token), "grant_invalid")


def test_t058_a_family_ends_by_one_row_however_long_it_is(tmp_path):
    with deployed(tmp_path) as doorward:
        browser, client = signed_in(doorward, a_user(doorward)), an_app(doorward)
        token = tokens(browser, client)["refresh_token"]
        for _ in range(20):
            token = renewed(doorward, client, token)["refresh_token"]
        before = rows_of(doorward)
        doorward.post("revoke", client, token=token)
        after = rows_of(doorward)
    assert before["refresh_tokens"] == after["refresh_tokens"]
    assert len([row for row in after["grants"] if row not in before["grants"]]) == 1


def rows_of(doorward):
    return {table: doorward.sql(f"SELECT * FROM {table} ORDER BY id") for table in ("refresh_tokens", "grants")}


def test_t059_only_its_client_hears_of_it(doorward, browser):
    api = doorward.an_api()
    client, other = an_app(doorward, api=api["identifier"]), an_app(doorward, api=api["identifier"])
    verifier = doorward.a_verifier(api=api["identifier"])
    token = tokens(browser, client)["refresh_token"]
    assert doorward.introspect(client, token)["credential"] == "refresh_token"
    for stranger in (other, verifier):
        assert doorward.introspect(stranger, token) == {"active": False}


def test_t059_it_is_found_by_no_digest(doorward, browser):
    import base64
    import hashlib

    api = doorward.an_api()
    client, verifier = an_app(doorward, api=api["identifier"]), doorward.a_verifier(api=api["identifier"])
    token = tokens(browser, client)["refresh_token"]
    digest = base64.urlsafe_b64encode(hashlib.sha256(token.encode()).digest()).rstrip(b"=").decode()
    assert doorward.post("introspect", verifier, token_sha256=digest).json() == {"active": False}


@pytest.mark.parametrize("which", ["access_token", "refresh_token"])
@APPS
def test_t060_to_revoke_one_of_the_pair_is_to_revoke_both(doorward, browser, app, which):
    client = app(doorward)
    got = tokens(browser, client)
    caller = client if client.get("client_secret") else None
    reply = doorward.post("revoke", caller, token=got[which], client_id=client["client_id"])
    assert reply.status_code == 200
    assert is_active(doorward, got["access_token"]) is False
    assert is_active(doorward, got["refresh_token"]) is False
    assert refused(refresh(doorward, client, got["refresh_token"]), "grant_ended")
    assert doorward.post("revoke", caller, token=got[which], client_id=client["client_id"]).status_code == 200


def test_t060_what_the_user_allowed_stays_allowed(doorward, browser):
    """Decision 9: the client ends its tokens, and only the user or an administrator what he allowed."""
    from tests.browsing import address_of, asking, sent_back

    client = an_app(doorward)
    got = tokens(browser, client)
    doorward.post("revoke", client, token=got["refresh_token"])
    assert "code" in sent_back(browser.get(address_of(asking(client))))


def test_t060_a_public_client_ends_only_its_own(doorward, browser):
    client, other = a_public_app(doorward), a_public_app(doorward)
    got = tokens(browser, client)
    assert doorward.post("revoke", None, token=got["access_token"], client_id=other["client_id"]).status_code == 200
    assert is_active(doorward, got["access_token"]) is True


def test_a_refresh_token_is_recognised_by_scanners(doorward, browser):
    assert re.fullmatch(r"dwr_live_[0-9A-Za-z]{50}", tokens(browser, an_app(doorward))["refresh_token"])


def test_a_refresh_token_opens_nothing_else(doorward, browser):
    client = an_app(doorward)
    token = tokens(browser, client)["refresh_token"]
    assert doorward.v1("GET", "/apis", key=token).status_code == 401
    assert redeem(doorward, client, token).json()["error"] == "invalid_grant"
    asked = doorward.v1("POST", "/keys/verify", {"key": token})
    assert asked.status_code == 422 or asked.json().get("valid") is False or asked.json().get("active") is False
