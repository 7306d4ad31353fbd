"""What users allowed clients, and whether they have to be asked."""

from __future__ import annotations

import pytest
from tests.protocol.allowed import CALLBACK, an_app
from tests.protocol.given import NOW, a_grant, a_user_grant, an_account, an_api, scope

from doorward.protocol import consent

OIDC = scope("openid profile email address phone offline_access")


def test_a_client_may_have_what_both_administrator_and_api_name() -> None:
    assert consent.allowed(a_grant(allowed="read write")) == scope("read write") | OIDC
    assert consent.allowed(a_grant(an_api(scopes={"read": ""}), "read write")) == scope("read") | OIDC
    assert consent.allowed(None) == OIDC


def test_remembered_is_the_union_of_what_lives_there() -> None:
    """Decision 8."""
    grants = (
        a_user_grant(scope=scope("read")), a_user_grant(scope=scope("openid")),
        a_user_grant(scope=scope("write"), revoked_at=NOW), a_user_grant(scope=scope("email"), api_id=None),
        a_user_grant(scope=scope("profile"), tokens_revoked_at=NOW),
    )  # fmt: skip
    assert consent.remembered(grants, "api_1", None) == scope("read openid profile")
    assert consent.remembered(grants, None, None) == scope("email")
    assert consent.remembered(grants, "api_2", None) == consent.remembered((), "api_1", None) == frozenset()


def test_what_was_allowed_for_one_account_is_not_remembered_for_another() -> None:
    grants = (a_user_grant(account_id="a"), a_user_grant(account_id="b", scope=scope("write")), a_user_grant())
    assert consent.remembered(grants, "api_1", "a") == scope("read")
    assert consent.remembered(grants, "api_1", "b") == scope("write")
    assert consent.remembered(grants, "api_1", "c") == frozenset()


@pytest.mark.parametrize(
    ("uri", "wanted", "known", "first_party", "needed"),
    [
        (CALLBACK, "read", "", False, True), (CALLBACK, "read", "read write", False, False),
        (CALLBACK, "read write", "read", False, True), ("http://127.0.0.1/cb", "read", "read", False, True),
        ("com.example.app:/cb", "read", "read", False, True), (CALLBACK, "read", "", True, False),
        ("http://127.0.0.1/cb", "read", "", True, False),
    ],
)  # fmt: skip
def test_who_is_asked(uri: str, wanted: str, known: str, first_party: bool, needed: bool) -> None:
    client = an_app(first_party=first_party).client
    assert consent.is_needed(client, uri, scope(wanted), scope(known)) is needed


def test_the_account_is_last_times_or_the_first_of_his_own() -> None:
    own = (an_account(id="b"), an_account(id="a"))
    older, newer = a_user_grant(account_id="a", created_at=1), a_user_grant(account_id="b", created_at=2)
    assert consent.account(own, (newer, older)) == "b"
    assert consent.account(own, ()) == "a"
    assert consent.account(own, (a_user_grant(account_id="left"),)) == "a"
    assert consent.account((), (older,)) is None


def test_a_scope_is_said_in_its_owners_words_and_never_in_none() -> None:
    granted = a_grant(an_api(scopes={"read": "Read your invoices", "write": "", "openid": "Ours"}))
    assert consent.sentence("read", granted) == "Read your invoices"
    assert consent.sentence("write", granted) == "write"
    assert consent.sentence("email", granted) == "See your e-mail address"
    assert consent.sentence("openid", None) == "Know who you are"
