"""What upstreams tell, and which addresses they may vouch for."""

from __future__ import annotations

import pytest
from tests.protocol.elsewhere import ADA, SUBJECT, an_upstream

from doorward.protocol.upstream import ClaimNames, Told, is_same_address, told, vouches

CLAIMS = {
    "email": "ada@acme.example", "email_verified": True, "name": "Ada Lovelace", "preferred_username": "ada.lovelace",
}  # fmt: skip


def test_what_is_told_is_read_by_its_usual_names() -> None:
    claims = {**CLAIMS, "amr": ["pwd", "otp"], "auth_time": 1_799_999_990}
    assert told(an_upstream(), SUBJECT, CLAIMS) == ADA
    assert told(an_upstream(), SUBJECT, claims).amr == ("pwd", "otp")
    assert told(an_upstream(), SUBJECT, claims).auth_time == 1_799_999_990


def test_an_upstream_may_have_other_names_for_it() -> None:
    names = ClaimNames(email="mail", email_verified="xms_edov", name="displayName", username="upn")
    claims = {"mail": "ada@acme.example", "xms_edov": True, "displayName": "Ada Lovelace", "upn": "ada.lovelace"}
    assert told(an_upstream(claims=names), SUBJECT, claims) == ADA
    assert told(an_upstream(), SUBJECT, claims) == Told(SUBJECT)


@pytest.mark.parametrize("said", ["true", 1, None, False, "yes", ["true"]])
def test_an_address_is_verified_only_if_it_is_said_to_be(said: object) -> None:
    found = told(an_upstream(), SUBJECT, {**CLAIMS, "email_verified": said})
    assert (found.email, found.is_vouched_for) == ("ada@acme.example", False)


def test_an_upstream_speaks_for_its_own_domains_alone() -> None:
    assert vouches(an_upstream(), "ada@ACME.example")
    assert vouches(an_upstream(email_domains=("*",)), "ada@anywhere.example")
    assert not vouches(an_upstream(email_domains=()), "ada@acme.example")
    assert not told(an_upstream(), SUBJECT, {**CLAIMS, "email": "ada@other.example"}).is_vouched_for


@pytest.mark.parametrize(
    "address",
    [
        "ada@other.example", "ada@sub.acme.example", "ada@evilacme.example", "ada@acme.example.evil.example",
        "ada@evil.example@acme.example", "@acme.example", "acme.example", "ada@\u0430cme.example",
        "ad\u0430@acme.example",
    ],
)  # fmt: skip
def test_no_trick_with_the_address_makes_it_one_of_its_own(address: str) -> None:
    assert not vouches(an_upstream(), address)


@pytest.mark.parametrize("address", ["ada@evil.example@acme.example", "@acme.example", "ada", "ad\u0430@acme.example"])
def test_what_is_not_plainly_an_address_is_none_of_every_domain_either(address: str) -> None:
    assert not vouches(an_upstream(email_domains=("*",)), address)


def test_what_is_of_the_wrong_kind_was_not_told() -> None:
    claims = {
        "email": ["ada@acme.example"], "name": 7, "preferred_username": "a\nb", "amr": "pwd", "auth_time": True,
    }  # fmt: skip
    assert told(an_upstream(), SUBJECT, claims) == Told(SUBJECT)
    assert told(an_upstream(), SUBJECT, {"name": "x" * 255}).name is None
    assert told(an_upstream(), SUBJECT, {"amr": ["pwd", 7]}).amr == ("pwd",)


def test_addresses_are_the_same_whatever_their_case() -> None:
    assert is_same_address("Ada@Acme.example", "ada@acme.EXAMPLE")
    assert not is_same_address("ada@acme.example", "adah@acme.example")
    assert not is_same_address(None, None)


@pytest.mark.parametrize("letter", ["\u212a", "\uff4b"])
def test_letters_that_fold_into_others_do_not_make_an_address_the_same(letter: str) -> None:
    """The Kelvin sign is a k to whoever folds it, and another mailbox to everybody else."""
    assert not is_same_address(f"{letter}ay@acme.example", "kay@acme.example")
