"""Claims about a user, OpenID Connect Core §5: by scope (§5.4), or one by one (§5.5)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.protocol.given import EARLIER, a_client, a_user, scope

from doorward.protocol import claims, user
from doorward.protocol.claims import ID_TOKEN, USERINFO

PROFILE = {
    "given_name": "Ada", "locale": "en-GB", "phone_number": "+44 20 7946 0000", "phone_number_verified": True,
    "address": {"locality": "London", "country": "GB"},
}  # fmt: skip
ADA = a_user(profile=PROFILE)
THIRD_PARTY, FIRST_PARTY = a_client().client, a_client(first_party=True).client


def id_token(**named: Any) -> claims.Asked:
    return claims.read(json.dumps({"id_token": named}))


@pytest.mark.parametrize(
    "asked",
    [
        {}, {"id_token": {}}, {"userinfo": None}, {"id_token": {"email": None}}, {"id_token": {"email": {}}},
        {"userinfo": {"name": {"essential": True}, "https://example.com/groups": {"value": 1, "purpose": "x"}}},
        {"id_token": {"acr": {"values": ["1", "2"]}, "sub": {"value": "user_1"}}}, {"unknown": 1},
    ],
)  # fmt: skip
def test_what_may_be_asked_for(asked: dict[str, Any]) -> None:
    """§5.5: other members MUST be ignored."""
    assert claims.read(json.dumps(asked)) == asked


@pytest.mark.parametrize(
    "text",
    [
        "", "x", "[]", "null", "1", '"id_token"', "{}{}", '{"id_token": {}, "id_token": {}}', '{"id_token": []}',
        '{"userinfo": "email"}', '{"id_token": {"email": true}}', '{"id_token": {"email": ["x"]}}',
        '{"id_token": {"email": {"essential": "yes"}}}', '{"id_token": {"acr": {"values": "1"}}}',
        '{"id_token": {"acr": {"values": []}}}', '{"id_token": {"acr": {"value": "1", "values": ["1"]}}}',
        '{"id_token": {"sub": {"value": 1}}}', '{"id_token": {"sub": {"values": ["user_1", null]}}}',
        '{"x": "\\u0000"}', '{"x": NaN}', "[" * 40 + "]" * 40, '{"x":' * 40 + "1" + "}" * 40,
    ],
)  # fmt: skip
def test_what_is_no_request_for_claims(text: str) -> None:
    with pytest.raises(ValueError):
        claims.read(text)


def test_of_whom_the_client_wants_to_hear() -> None:
    assert claims.subjects(id_token(sub={"value": "user_1"})) == {"user_1"}
    assert claims.subjects(id_token(sub={"values": ["user_1", "user_2"]})) == {"user_1", "user_2"}
    assert claims.subjects(id_token(sub=None)) == claims.subjects({}) == frozenset()


def test_an_acr_binds_where_it_is_essential_and_has_values() -> None:
    """§5.5.1.1."""
    for asked in ({}, {"acr": None}, {"acr": {"essential": True}}, {"acr": {"values": ["9"]}}, {"acr": {"value": "9"}}):
        assert claims.reaches(id_token(**asked), "1")
    for values in ({"value": "9"}, {"values": ["8", "9"]}, {"value": 1}):
        assert not claims.reaches(id_token(acr={"essential": True, **values}), "1")
    assert claims.reaches(id_token(acr={"essential": True, "values": ["9", "1"]}), "1")


@pytest.mark.parametrize(
    ("granted", "told"),
    [
        ("openid", {}),
        ("openid read", {}),
        ("profile", {"name": "Ada Lovelace", "preferred_username": "Ada", "updated_at": EARLIER, "given_name": "Ada",
                     "locale": "en-GB"}),
        ("email", {"email": "ada@example.com", "email_verified": True}),
        ("address", {"address": {"locality": "London", "country": "GB"}}),
        ("phone", {"phone_number": "+44 20 7946 0000", "phone_number_verified": True}),
    ],
)  # fmt: skip
def test_what_a_scope_tells(granted: str, told: dict[str, Any]) -> None:
    """§5.4."""
    assert claims.by_scope(ADA, scope(granted)) == told


def test_every_claim_that_a_user_can_have_belongs_to_a_scope() -> None:
    assert set(claims.NAMES) == user.CLAIMS.keys() | {"name", "preferred_username", "updated_at"} | {
        "email", "email_verified",
    }  # fmt: skip
    assert len(set(claims.NAMES)) == len(claims.NAMES)


def test_what_is_not_known_is_left_out() -> None:
    """§5.3.2: never null, never empty."""
    nobody = a_user(name="", email=None, email_verified=False, profile={"nickname": "", "address": {}})
    assert claims.of(nobody) == {"preferred_username": "Ada", "updated_at": EARLIER}
    assert claims.of(a_user(email_verified=False))["email_verified"] is False


class TestByName:
    asked = claims.read(
        '{"id_token": {"email": null, "name": {"essential": true}}, "userinfo": {"phone_number": null}}'
    )

    def told(self, place: str, granted: str, client: Any = THIRD_PARTY) -> list[str]:
        return sorted(claims.by_name(ADA, self.asked, place, client, scope(granted)))

    def test_it_is_told_where_the_scope_that_covers_it_was_granted(self) -> None:
        assert self.told(ID_TOKEN, "openid email") == ["email"]
        assert self.told(ID_TOKEN, "openid email profile") == ["email", "name"]
        assert self.told(USERINFO, "openid phone") == ["phone_number"]

    def test_nobody_learns_more_than_his_user_was_shown(self) -> None:
        assert self.told(ID_TOKEN, "openid phone address") == []
        assert self.told(USERINFO, "openid email profile address") == []

    def test_our_own_clients_are_told_what_they_name(self) -> None:
        assert self.told(ID_TOKEN, "openid", FIRST_PARTY) == ["email", "name"]
        assert self.told(USERINFO, "openid", FIRST_PARTY) == ["phone_number"]

    def test_what_nobody_knows_is_no_error(self) -> None:
        asked = claims.read('{"userinfo": {"website": {"essential": true}, "groups": null, "sub": null, "role": null}}')
        assert claims.by_name(ADA, asked, USERINFO, FIRST_PARTY, scope("openid profile")) == {}
