"""`doorward signing-keys` and `doorward revoke --signing-key`: turns of keys, as they are typed."""

from __future__ import annotations

import pytest
from tests.cli.conftest import prepared


@pytest.fixture(scope="module")
def acme_directory(tmp_path_factory):
    """Of this file alone: five minutes after it was published, every verifier may know a spare."""
    return prepared(tmp_path_factory.mktemp("acme") / "data")


def states(acme):
    items = acme("signing-keys", "list", "--json").json["items"]
    return {(key["purpose"], key["algorithm"], key["state"]): key["kid"] for key in items}


def test_the_list_says_what_comes_next_for_each_key(acme):
    ran = acme("signing-keys", "list")
    assert ran.code == 0
    header, *lines = ran.out.splitlines()
    assert header.split() == ["KID", "PURPOSE", "ALGORITHM", "STATE", "CREATED", "NEXT"]
    assert len(lines) == 8
    for line in lines:
        assert ("retired 2" if " active " in line else "ready 2") in line


def test_a_spare_that_verifiers_may_not_know_waits_unless_it_is_said_otherwise(acme):
    before = states(acme)
    ran = acme("signing-keys", "rotate")
    assert ran.code == 1
    assert "seconds" in ran.err
    assert "--now" in ran.err
    assert states(acme) == before
    ran = acme("signing-keys", "rotate", "--algorithm", "RS256", "--now")
    assert (ran.code, ran.out) == (0, f"{before['token', 'RS256', 'pending']} signs tokens (RS256) from now on.\n")
    after = states(acme)
    assert after["token", "RS256", "active"] == before["token", "RS256", "pending"]
    assert after["token", "RS256", "retired"] == before["token", "RS256", "active"]
    assert after["token", "ES256", "active"] == before["token", "ES256", "active"]


def test_the_feed_has_keys_of_its_own(acme):
    before = states(acme)
    ran = acme("signing-keys", "rotate", "--purpose", "feed", "--now", "--json")
    assert [key["kid"] for key in ran.json["active"]] == [before["feed", "ES256", "pending"]]
    assert states(acme)["feed", "ES256", "retired"] == before["feed", "ES256", "active"]


def test_one_key_is_retired(acme):
    before = states(acme)
    assert acme("signing-keys", "retire", before["token", "ES256", "active"]).code == 1
    ran = acme("signing-keys", "retire", before["token", "ES256", "active"], "--now")
    assert ran.code == 0
    assert before["token", "ES256", "pending"] in ran.out
    assert states(acme)["token", "ES256", "retired"] == before["token", "ES256", "active"]
    assert acme("signing-keys", "retire", before["token", "ES256", "active"]).code == 0


def test_a_stolen_key_is_removed_at_once(acme):
    before = states(acme)
    stolen = before["token", "ES256", "active"]
    ran = acme("revoke", "--signing-key", stolen)
    assert (ran.code, ran.out) == (0, f"The signing key {stolen} was ended: it is refused from now on.\n")
    after = states(acme)
    assert after["token", "ES256", "removed"] == stolen
    assert after["token", "ES256", "active"] == before["token", "ES256", "pending"]
    assert "had ended before" in acme("revoke", "--signing-key", stolen).out


def test_keys_that_are_not_there_are_said_not_to_be(acme):
    assert acme("signing-keys", "retire", "signing_unknown").code == 1
    assert acme("revoke", "--signing-key", "signing_unknown").code == 1
    assert acme("signing-keys", "rotate", "--algorithm", "none").code == 2
