"""Threats to codes, `threats.md` B, against a running server. The races stand in `test_oauth_races.py`."""

from __future__ import annotations

from itertools import product

import pytest
from tests.browsing import (
    CALLBACK,
    PROOF,
    Browser,
    Proof,
    a_code,
    a_public_app,
    a_user,
    an_app,
    redeem,
    refresh,
    signed_in,
    tokens,
)
from tests.deployment import deployed

OTHER_CALLBACK = "https://client.example/other"


def refused(reply, reason=None):
    assert (reply.status_code, reply.json()["error"]) == (400, "invalid_grant"), reply.text
    assert reply.headers["cache-control"] == "no-store"
    assert reply.headers["content-type"] == "application/json"
    assert reason in (None, reply.json()["reason"])
    return True


def test_t030_a_code_is_256_bits_of_chance_and_kept_as_a_digest(tmp_path):
    with deployed(tmp_path) as doorward:
        browser, client = signed_in(doorward, a_user(doorward)), an_app(doorward)
        codes = [a_code(browser, client) for _ in range(20)]
        assert len(set(codes)) == 20
        assert {len(code) for code in codes} == {43}
    kept = b"".join(path.read_bytes() for path in (tmp_path / "data").rglob("*") if path.is_file())
    assert not [code for code in codes if code.encode() in kept]
    ((lifetime,),) = doorward.sql("SELECT DISTINCT expires_at - created_at FROM codes")
    assert lifetime <= 60


def test_t031_a_second_use_ends_all_that_the_first_one_gave(doorward, browser):
    client = an_app(doorward)
    code = a_code(browser, client)
    got = redeem(doorward, client, code).json()
    renewed = refresh(doorward, client, got["refresh_token"]).json()
    assert refused(redeem(doorward, client, code), "code_replayed")
    for token in (got["access_token"], renewed["access_token"], renewed["refresh_token"]):
        assert doorward.introspect(client, token) == {"active": False}
    assert refused(refresh(doorward, client, renewed["refresh_token"]), "grant_ended")
    assert refused(redeem(doorward, client, code), "code_replayed")


def test_t031_it_is_in_the_audit_log_without_the_code(doorward, browser):
    client = an_app(doorward)
    code = a_code(browser, client)
    grant = doorward.introspect(client, redeem(doorward, client, code).json()["access_token"])["grant_id"]
    redeem(doorward, client, code)
    log = doorward.v1("GET", f"/audit?entity={grant}&limit=100").text
    assert '"code_replayed"' in log
    assert '"GrantRevoked"' in log
    assert code not in log


def test_t031_another_authorization_of_the_same_client_lives_on(doorward, browser):
    client = an_app(doorward)
    other = tokens(browser, client)
    code = a_code(browser, client)
    redeem(doorward, client, code)
    redeem(doorward, client, code)
    assert refresh(doorward, client, other["refresh_token"]).status_code == 200


@pytest.mark.parametrize("right", [*product((True, False), repeat=3)])
def test_t032_only_client_address_and_verifier_together_redeem_and_nothing_else_burns(doorward, browser, right):
    of_client, of_address, of_verifier = right
    client, stranger = a_public_app(doorward, redirect_uris=[CALLBACK, OTHER_CALLBACK]), a_public_app(doorward)
    code = a_code(browser, client)
    attempt = redeem(
        doorward, client if of_client else stranger, code, redirect_uri=CALLBACK if of_address else OTHER_CALLBACK,
        code_verifier=PROOF.verifier if of_verifier else Proof().verifier,
    )  # fmt: skip
    if all(right):
        assert attempt.status_code == 200
        return
    assert refused(attempt)
    assert redeem(doorward, client, code, redirect_uri=CALLBACK).status_code == 200


def test_t031_a_wrong_attempt_after_the_first_use_ends_nothing(doorward, browser):
    client, stranger = an_app(doorward), an_app(doorward)
    code = a_code(browser, client)
    got = redeem(doorward, client, code).json()
    assert refused(redeem(doorward, stranger, code))
    assert refused(redeem(doorward, client, code, code_verifier="x" * 43))
    assert refused(redeem(doorward, client, code, redirect_uri=OTHER_CALLBACK))
    assert doorward.introspect(client, got["access_token"])["active"]


@pytest.mark.parametrize("uri", [CALLBACK + "/", OTHER_CALLBACK, "https://evil.example/", CALLBACK + "?x=1"])
def test_t033_an_address_at_the_token_endpoint_is_the_same(doorward, browser, uri):
    client = an_app(doorward, redirect_uris=[CALLBACK, OTHER_CALLBACK])
    code = a_code(browser, client)
    assert refused(redeem(doorward, client, code, redirect_uri=uri))
    assert redeem(doorward, client, code).status_code == 200


class TestT034:
    """What was ended between the two requests."""

    def test_the_user_was_disabled(self, doorward):
        user, client = a_user(doorward), an_app(doorward)
        code = a_code(signed_in(doorward, user), client)
        doorward.v1("POST", f"/users/{user['id']}/disable")
        assert refused(redeem(doorward, client, code), "grant_ended")
        doorward.v1("POST", f"/users/{user['id']}/enable")
        assert refused(redeem(doorward, client, code)), "his session has ended"

    def test_the_grant_was_revoked(self, doorward, browser, user):
        client = an_app(doorward)
        code = a_code(browser, client)
        grants = doorward.v1("GET", f"/grants?client={client['client_id']}&user={user['id']}").json()["items"]
        doorward.v1("POST", f"/grants/{grants[0]['id']}/revoke")
        assert refused(redeem(doorward, client, code), "grant_ended")

    def test_the_user_signed_out(self, doorward, user):
        browser, client = signed_in(doorward, user), an_app(doorward)
        code = a_code(browser, client)
        sessions = doorward.v1("GET", f"/sessions?user={user['id']}&limit=200").json()["items"]
        newest = max(
            (one for one in sessions if one["ended_at"] is None), key=lambda one: (one["created_at"], one["id"])
        )
        for one in sessions:
            if one["created_at"] >= newest["created_at"]:
                doorward.v1("POST", f"/sessions/{one['id']}/revoke")
        assert refused(redeem(doorward, client, code), "grant_ended")

    def test_the_client_was_disabled(self, doorward, browser):
        client = an_app(doorward)
        code = a_code(browser, client)
        doorward.v1("PATCH", f"/clients/{client['client_id']}", {"state": "disabled"})
        assert redeem(doorward, client, code).status_code == 401

    def test_the_client_was_allowed_less(self, doorward, browser):
        client = an_app(doorward)
        code = a_code(browser, client)
        api = client["apis"][0]["api"]
        doorward.v1("PATCH", f"/clients/{client['client_id']}", {"api": api, "scope": "invoices:read"})
        assert redeem(doorward, client, code).json()["scope"] == "invoices:read"


def test_t035_a_stolen_code_is_nothing_without_its_verifier(doorward, browser):
    """The attacker begins a request of his own and puts the victim's code into its answer."""
    client = an_app(doorward)
    victim, attacker = Proof(), Proof()
    code = a_code(browser, client, code_challenge=victim.challenge)
    assert refused(redeem(doorward, client, code, code_verifier=attacker.verifier), "pkce_failed")
    assert redeem(doorward, client, code, code_verifier=victim.verifier).status_code == 200


def test_a_code_is_a_credential_nowhere_else(doorward, browser):
    client = an_app(doorward)
    code = a_code(browser, client)
    assert doorward.introspect(client, code) == {"active": False}
    assert doorward.post("revoke", client, token=code).status_code == 200
    assert doorward.v1("GET", "/apis", key=code).status_code == 401
    assert refused(refresh(doorward, client, code))
    assert redeem(doorward, client, code).status_code == 200


def test_without_a_session_there_is_no_code(doorward):
    client = an_app(doorward, first_party=True)
    forged = Browser(doorward, {"__Host-doorward-session": "a" * 43})
    assert a_code_of(forged, client) is None


def a_code_of(browser, client):
    from tests.browsing import address_of, asking

    location = browser.get(address_of(asking(client))).headers["location"]
    return None if location.startswith("/login") else location
