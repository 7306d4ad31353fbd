"""Two workers: of 32 that redeem one code one wins, of 32 that refresh all get the same (T030, T051)."""

from __future__ import annotations

import pytest
from tests.browsing import (
    a_code,
    a_public_app,
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
from tests.deployment import served

WORKERS = 2
RACERS = 32


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def deployment(request, tmp_path_factory):
    directory, flags = tmp_path_factory.mktemp("races"), []
    if request.param == "postgresql":
        flags = ["--database", request.getfixturevalue("postgresql").create()]
    with served(directory, "--workers", WORKERS, *flags) as doorward:
        yield doorward, signed_in(doorward, a_user(doorward))


def workers_that_answered(replies):
    return {reply.headers["x-request-id"][12:14] for reply in replies}


@pytest.mark.parametrize("app", [an_app, a_public_app])
@pytest.mark.parametrize("run", range(3))
def test_of_32_that_redeem_one_code_one_wins_and_the_grant_is_dead(deployment, app, run):
    doorward, browser = deployment
    client = app(doorward)
    code = a_code(browser, client)
    replies = doorward.at_once(RACERS, lambda _: redeem(doorward, client, code))
    outcomes = sorted((reply.status_code, reply.json().get("error")) for reply in replies)
    assert outcomes == [(200, None), *[(400, "invalid_grant")] * (RACERS - 1)]
    (won,) = [reply.json() for reply in replies if reply.status_code == 200]
    assert refresh(doorward, client, won["refresh_token"]).json()["error"] == "invalid_grant"
    assert active(doorward, won["access_token"]) is False
    assert redeem(doorward, client, code).json()["reason"] == "code_replayed"


@pytest.mark.parametrize("app", [an_app, a_public_app])
@pytest.mark.parametrize("run", range(3))
def test_32_that_refresh_one_token_all_get_the_same_successor(deployment, app, run):
    doorward, browser = deployment
    client = app(doorward)
    first = tokens(browser, client)["refresh_token"]
    replies = doorward.at_once(RACERS, lambda _: refresh(doorward, client, first))
    assert [reply.status_code for reply in replies] == [200] * RACERS, [reply.text for reply in replies]
    successors = {reply.json()["refresh_token"] for reply in replies}
    assert len(successors) == 1
    assert len({reply.json()["access_token"] for reply in replies}) == RACERS
    assert successors != {first}
    assert refresh(doorward, client, successors.pop()).status_code == 200
    assert refresh(doorward, client, first).json()["reason"] == "refresh_token_replayed"


def test_both_workers_take_part(deployment):
    doorward, browser = deployment
    client = an_app(doorward)
    seen = set()
    for _ in range(20):
        first = tokens(browser, client)["refresh_token"]
        seen |= workers_that_answered(doorward.at_once(RACERS, lambda _, token=first: refresh(doorward, client, token)))
        if len(seen) == WORKERS:
            return
    raise AssertionError(f"only {seen} ever answered")


def test_of_many_who_say_yes_to_one_question_one_gets_a_code(deployment):
    doorward, browser = deployment
    page = consent_page(browser, browser.get(address_of(asking(an_app(doorward)))))
    replies = doorward.at_once(8, lambda _: browser.submit(page, answer="allow"))
    assert sorted(reply.status_code for reply in replies) == [303, *[400] * 7]


def test_a_revocation_and_a_refresh_at_once_leave_nothing_alive(deployment):
    """Decision 1: whoever was first, what is left is dead."""
    doorward, browser = deployment
    for _ in range(5):
        client = an_app(doorward)
        got = tokens(browser, client)
        grant = doorward.introspect(client, got["access_token"])["grant_id"]

        def either(index, client=client, got=got, grant=grant):
            if index % 2:
                return refresh(doorward, client, got["refresh_token"])
            return doorward.v1("POST", f"/grants/{grant}/revoke")

        replies = doorward.at_once(8, either)
        assert {reply.status_code for reply in replies} <= {200, 400}
        for reply in replies:
            if "access_token" in reply.json():
                assert active(doorward, reply.json()["access_token"]) is False
        assert refresh(doorward, client, got["refresh_token"]).status_code == 400


def active(doorward, token):
    """As an administrator asks."""
    headers = {"authorization": f"Bearer {doorward.admin_key}"}
    return doorward.http.post("/oauth/introspect", data={"token": token}, headers=headers).json()["active"]


class TestRestart:
    """T052, decision 6: what a retry gets is kept, sealed; neither a restart nor another worker changes it."""

    @pytest.fixture
    def retry(self, tmp_path):
        """A refresh token that was rotated before the server was restarted, and its successor."""
        # As long as it may be: what takes its time here are the two starts.
        longest = {"DOORWARD__REFRESH_TOKEN_OVERLAP": "60"}
        with served(tmp_path, "--workers", WORKERS, variables=longest) as doorward:
            client = an_app(doorward)
            first = tokens(signed_in(doorward, a_user(doorward)), client)
            again = refresh(doorward, client, first["refresh_token"]).json()
            admin_key = doorward.admin_key
        port = int(doorward.issuer.rpartition(":")[2])
        with served(tmp_path, "--workers", WORKERS, port=port, variables=longest) as doorward:
            doorward.admin_key = admin_key
            yield doorward, client, first["refresh_token"], again

    def test_every_worker_gives_the_same_successor_after_it_and_a_replay_ends_all(self, retry):
        doorward, client, first, again = retry
        replies = doorward.at_once(RACERS, lambda _: refresh(doorward, client, first))
        assert {reply.status_code for reply in replies} == {200}, [reply.text for reply in replies]
        assert {reply.json()["refresh_token"] for reply in replies} == {again["refresh_token"]}
        assert active(doorward, again["access_token"]) is True
        assert refresh(doorward, client, again["refresh_token"]).status_code == 200
        assert refresh(doorward, client, first).json()["reason"] == "refresh_token_replayed"
        for token in (again["access_token"], *(reply.json()["access_token"] for reply in replies[:4])):
            assert active(doorward, token) is False
